package wado

import (
	"bytes"
	"context"
	"io"
	"strconv"

	"dicom-qr-gateway/dicomnet/pixeldata"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/dicomweb/render"
)

// maxPictures limits the encoded images of one answer, in bytes. They are held until all are there, so that a failure is a plain error.
const maxPictures = 32 << 20

// SendRendered sends frames of an instance as images: those of the request, or the one that stands for all.
func SendRendered(ctx context.Context, t *Transfer) error {
	var answer bytes.Buffer
	contentType := t.Offer.Type
	used, err := t.only(func(in *receive.Arrived, r io.Reader) error {
		var m *multipart
		if t.Offer.Multipart() {
			m = newMultipart(&answer, t.Offer.Part)
			contentType = m.contentType()
		}
		return pictureProblem(t.pictures(ctx, &answer, m, in, r))
	})
	if err != nil {
		return err
	}
	outcome, err := t.end()
	switch {
	case err != nil:
		return err
	case !used || !outcome.Complete:
		return Incomplete(&outcome)
	}
	t.out.Header().Set("Content-Length", strconv.Itoa(answer.Len()))
	t.Begin(contentType, 0)
	if _, err := t.writer.Write(answer.Bytes()); err != nil {
		return err
	}
	t.finish(&outcome)
	return nil
}

// pictures writes the images to answer, as parts of m unless it is nil.
func (t *Transfer) pictures(ctx context.Context, answer *bytes.Buffer, m *multipart, in *receive.Arrived, r io.Reader) error {
	source, err := renderer.Open(r, in.TransferSyntax)
	if err != nil {
		return err
	}
	defer source.Close()
	numbers := t.FrameNumbers
	if len(numbers) == 0 {
		numbers = []int{render.Representative(source)}
	}
	mediaType := t.Offer.Type
	if m != nil {
		mediaType = t.Offer.Part
	}
	for frame, err := range renderer.Frames(ctx, source, numbers, t.Rendering) {
		if err != nil {
			return err
		}
		picture, err := t.Rendering.Picture(frame)
		if err != nil {
			return err
		}
		if m != nil {
			answer.Write(append(m.next(mediaType), "Content-Location: "+t.frameURL(frame.Frame)+"/rendered\r\n\r\n"...))
		}
		if err := t.Rendering.Encode(answer, mediaType, picture); err != nil {
			return err
		}
		if answer.Len() > maxPictures {
			return &pixeldata.LimitError{What: "bytes of images", Limit: maxPictures}
		}
	}
	if m != nil {
		return m.end()
	}
	return nil
}

package wado

import (
	"context"
	"errors"
	"io"
	"strconv"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pixeldata"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/dicomweb/render"
	"dicom-qr-gateway/server/problem"
)

// renderer decodes and renders for all answers.
var renderer = render.NewRenderer()

// counter counts what is read of an instance.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// only calls use with the requested instance, and reads what use leaves of it. It does not read other instances of the retrieval.
func (t *Transfer) only(use func(in *receive.Arrived, r io.Reader) error) (used bool, err error) {
	for in, err := range t.Source.All() {
		if err != nil {
			return used, err
		}
		if used || t.wanted() != "" && in.SOPInstanceUID != t.wanted() {
			continue
		}
		used = true
		r := &counter{r: in}
		if err := use(in, r); err != nil {
			return used, err
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return used, err
		}
		if t.Taken != nil {
			t.Taken(in, r.n)
		}
	}
	return used, nil
}

// wanted returns the SOP Instance UID of the requested instance.
func (t *Transfer) wanted() string { return t.Source.Inventory().SOPInstanceUID }

// nativeFrames reports whether frames of a transfer syntax can be sent in Explicit VR Little Endian.
func nativeFrames(ts dataset.TransferSyntax) bool {
	return !pixeldata.Encapsulates(ts) || pixeldata.Decodes(ts)
}

// SendFrames sends frames of an instance as parts, in the order of the request: as they are stored, or native.
func SendFrames(ctx context.Context, t *Transfer) error {
	var m *multipart
	used, err := t.only(func(in *receive.Arrived, r io.Reader) (err error) {
		m, err = t.frames(ctx, in.TransferSyntax, r)
		return frameProblem(err)
	})
	if err != nil {
		return err
	}
	outcome, err := t.end()
	switch {
	case err != nil:
		return err
	case !used || !outcome.Complete:
		return Incomplete(&outcome) // lenient handling cannot leave out the only instance
	}
	if err := m.end(); err != nil {
		return err
	}
	t.finish(&outcome)
	return nil
}

// frames sends the frames of an instance.
func (t *Transfer) frames(ctx context.Context, stored dataset.TransferSyntax, r io.Reader) (*multipart, error) {
	syntax, ok := t.Syntaxes.For(stored, nativeFrames)
	if !ok {
		return nil, &problem.Problem{Code: api.ProblemCodeTransferSyntaxUnavailable}
	}
	source, err := pixeldata.Open(r, stored, nil, pixeldata.Limits{Memory: renderer})
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if source.Form != pixeldata.Encapsulated {
		syntax = dataset.ExplicitVRLittleEndian // also of a deflated data set
	}
	mediaType := mediaTypeOf(syntax)
	m := newMultipart(t.writer, mediaType)
	part := func(number int) error {
		if !t.begun {
			t.Begin(m.contentType(), 0)
		}
		m.head = append(m.next(mediaType+"; transfer-syntax="+string(syntax)), "Content-Location: "+t.frameURL(number)+"\r\n\r\n"...)
		_, err := t.writer.Write(m.head)
		return err
	}
	if source.Form == pixeldata.Encapsulated && syntax != stored {
		return m, t.decodedFrames(ctx, source, part)
	}
	return m, t.storedFrames(source, part)
}

// storedFrames sends frames as they are, or native ones.
func (t *Transfer) storedFrames(source *pixeldata.Source, part func(number int) error) error {
	buffer := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buffer)
	for frame, err := range source.Frames(t.FrameNumbers) {
		if err != nil {
			return err
		}
		// A part begins with the first bytes of its frame, so that a frame that is not there is a plain error.
		n, err := frame.Read(buffer[:])
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := part(frame.Number); err != nil {
			return err
		}
		if _, err := t.writer.Write(buffer[:n]); err != nil {
			return err
		}
		if _, err := io.CopyBuffer(onlyWriter{t.writer}, onlyReader{frame}, buffer[:]); err != nil {
			return err
		}
		if err := t.writer.flushPart(); err != nil {
			return err
		}
	}
	return nil
}

// onlyReader hides the other methods of a reader.
type onlyReader struct{ io.Reader }

// decodedFrames sends frames that are decoded here.
func (t *Transfer) decodedFrames(ctx context.Context, source *pixeldata.Source, part func(number int) error) error {
	for frame, err := range renderer.Frames(ctx, source, t.FrameNumbers, nil) {
		if err != nil {
			return err
		}
		if err := part(frame.Frame); err != nil {
			return err
		}
		if _, err := t.writer.Write(frame.Pixels); err != nil {
			return err
		}
		if err := t.writer.flushPart(); err != nil {
			return err
		}
	}
	return nil
}

// frameURL is the URL of a frame.
func (t *Transfer) frameURL(number int) string {
	return t.BaseURL + "/studies/" + t.StudyInstanceUID + "/series/" + t.SeriesInstanceUID + "/instances/" + t.SOPInstanceUID +
		"/frames/" + strconv.Itoa(number)
}

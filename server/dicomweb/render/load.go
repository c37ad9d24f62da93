package render

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"golang.org/x/sync/semaphore"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pixeldata"
)

const (
	// MaxMemory limits the memory that all images take while they are decoded and rendered. It suffices for 44 megapixels of 16 bits
	// in grey, 19 megapixels in colour, and 13 of a JPEG in colour.
	MaxMemory = 128 << 20
	// maxWait is how long an image waits for the memory of others.
	maxWait = 30 * time.Second
	// maxAttributes limits the attributes of an image. The tables of a palette have 384 KiB, the transformations of a frame 150 bytes.
	maxAttributes = 4 << 20
)

// Renderer decodes and renders images, as many at once as its memory allows.
type Renderer struct{ memory *semaphore.Weighted }

// NewRenderer returns a Renderer.
func NewRenderer() *Renderer { return &Renderer{semaphore.NewWeighted(MaxMemory)} }

// TryTake takes memory for something else than a picture, if there is enough.
func (re *Renderer) TryTake(bytes int64) bool { return re.memory.TryAcquire(bytes) }

// Give returns memory of TryTake.
func (re *Renderer) Give(bytes int64) { re.memory.Release(bytes) }

// Open reads the data set of r in transfer syntax ts up to its pixel data, with the attributes that rendering needs.
//
// The error is an *UnsupportedError if the instance is no image that can be rendered, a *CompressedError, or an error of pixeldata.Open.
func (re *Renderer) Open(r io.Reader, ts dataset.TransferSyntax) (*pixeldata.Source, error) {
	source, err := pixeldata.Open(r, ts, keep, pixeldata.Limits{Attributes: maxAttributes, Memory: re})
	if err != nil {
		return nil, err //nolint:wrapcheck // documented
	}
	if source.Form == pixeldata.Encapsulated && !pixeldata.Decodes(ts) {
		err = &CompressedError{}
	} else {
		err = supported(&source.Layout, source.Form, source.Attributes)
	}
	if err != nil {
		source.Close()
		return nil, err
	}
	return source, nil
}

// Representative returns the number of the frame that stands for all: Representative Frame Number (PS3.3 section C.7.6.6), or the one in
// the middle.
func Representative(source *pixeldata.Source) int {
	if n, ok := source.Attributes.Uint16(tagRepresentativeFrame); ok && n >= 1 && int(n) <= source.Count {
		return int(n)
	}
	return (source.Count + 1) / 2
}

// Frames yields frames of a source with native pixels, in the order of numbers. An Image is valid until the next iteration. Memory for it and
// its picture in the size of p is reserved first, in turn with other callers. p is nil if the images are not resized.
//
// The sequence ends with the first error: a *CompressedError, a *BusyError, an error of pixeldata.Source.Frames, or that of ctx.
func (re *Renderer) Frames(ctx context.Context, source *pixeldata.Source, numbers []int, p *Parameters) iter.Seq2[*Image, error] {
	return func(yield func(*Image, error) bool) {
		if err := re.frames(ctx, source, numbers, p, func(m *Image) bool { return yield(m, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

func (re *Renderer) frames(ctx context.Context, source *pixeldata.Source, numbers []int, p *Parameters, yield func(*Image) bool) error {
	if source.Form == pixeldata.Encapsulated && !pixeldata.Decodes(source.TransferSyntax) {
		return &CompressedError{}
	}
	cost := cost(&source.Layout, source.Form) + p.cost(&source.Layout)
	if err := re.reserve(ctx, cost); err != nil {
		return err
	}
	defer re.memory.Release(cost)
	for frame, err := range source.Frames(numbers) {
		if err != nil {
			return err //nolint:wrapcheck // documented
		}
		m := &Image{Layout: source.Layout, Form: source.Form, Attributes: source.Attributes, Frame: frame.Number}
		if m.Pixels, err = read(frame, source.Size()); err != nil {
			return err
		}
		if source.Form == pixeldata.Encapsulated {
			m.Form = pixeldata.Native
			if m.Pixels, m.Layout, err = pixeldata.Decode(nil, m.Pixels, source.TransferSyntax, source.Layout); err != nil {
				return err //nolint:wrapcheck // documented
			}
		}
		if !yield(m) {
			return nil
		}
	}
	return nil
}

// cost returns the memory that an image takes, in bytes: the frame, its compressed form and the picture.
func cost(l *pixeldata.Layout, form pixeldata.Form) int64 {
	const channels = 4
	pixels := int64(l.Rows) * int64(l.Columns)
	total := l.Size() + pixels
	if l.Samples > 1 || l.Photometric == paletteColor {
		total = l.Size() + channels*pixels
	}
	if form == pixeldata.Encapsulated {
		total += l.Size()
	}
	return total
}

// cost returns the memory that resizing takes beside that of the image, in bytes.
func (p *Parameters) cost(l *pixeldata.Layout) int64 {
	if p == nil || p.Viewport == nil {
		return 0
	}
	const channels = 4
	width, height := int64(p.Viewport.Width), int64(p.Viewport.Height)
	pixels := width * height
	if !p.enlarge {
		pixels = min(pixels, int64(l.Rows)*int64(l.Columns))
	}
	if l.Samples > 1 || l.Photometric == paletteColor {
		pixels *= channels
	}
	rows := min(int64(l.Rows), 2*height) // a picture that becomes smaller than half is averaged first
	return pixels + min(perPoint*width*rows, interpolation)
}

// reserve reserves memory. It waits for other images, for a time.
func (re *Renderer) reserve(ctx context.Context, bytes int64) error {
	if bytes > MaxMemory {
		return &pixeldata.LimitError{What: "bytes to render an image", Limit: MaxMemory}
	}
	bounded, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	switch err := re.memory.Acquire(bounded, bytes); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err() //nolint:wrapcheck // documented
	}
	return &BusyError{}
}

// read reads a frame. An encapsulated one is hardly larger than a native one of size bytes, unless it is no image.
func read(frame *pixeldata.Frame, size int64) ([]byte, error) {
	const header = 64 << 10
	most := size + size/4 + header
	b := make([]byte, 0, min(max(frame.Size, 512), most))
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := frame.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, err //nolint:wrapcheck // documented
		case int64(len(b)) > most:
			return nil, &pixeldata.FormatError{Reason: "a compressed frame is larger than its pixels"}
		}
	}
}

package transcode

import (
	"errors"
	"io"

	"dicom-qr-gateway/dicomnet/pixeldata"
)

// rleFrames decodes frames of RLE Lossless (PS3.5 annex G). It holds one encoded frame.
type rleFrames struct {
	source *frameSource
	layout pixeldata.Layout

	data  []byte // the encoded frame
	frame *pixeldata.RLEFrame
	out   []byte
}

const chunkSize = 32 << 10

func (f *rleFrames) next() ([]byte, error) {
	for {
		if f.frame == nil {
			if err := f.load(); err != nil {
				return nil, err
			}
		}
		b, err := f.frame.Next(f.out)
		if err == nil {
			return b, nil
		} else if !errors.Is(err, io.EOF) {
			return nil, f.source.failed(err)
		}
		f.frame = nil
	}
}

// load reads the next encoded frame. It returns io.EOF after the last.
func (f *rleFrames) load() error {
	ok, err := f.source.nextFrame()
	if err != nil {
		return err
	}
	if !ok {
		return io.EOF
	}
	if f.out == nil {
		f.out = make([]byte, chunkSize)
	}
	f.data = f.data[:0]
	for {
		if len(f.data) == cap(f.data) {
			f.data = append(f.data, 0)[:len(f.data)]
		}
		n, err := f.source.Read(f.data[len(f.data):cap(f.data)])
		f.data = f.data[:len(f.data)+n]
		if err == io.EOF { //nolint:errorlint // made there
			break
		} else if err != nil {
			return err
		}
	}
	if f.frame, err = pixeldata.OpenRLE(f.data, f.layout); err != nil {
		return f.source.failed(err)
	}
	return nil
}

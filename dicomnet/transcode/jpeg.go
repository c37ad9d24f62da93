package transcode

import (
	"io"

	"dicom-qr-gateway/dicomnet/pixeldata"
)

// jpegFrames decodes frames of JPEG Baseline (PS3.5 section 8.2.1). It holds one decoded frame.
type jpegFrames struct {
	source *frameSource
	layout pixeldata.Layout
	frame  *pixeldata.JPEGFrame
	row    int
	out    []byte
}

func (f *jpegFrames) next() ([]byte, error) {
	if f.frame == nil || f.row == f.layout.Rows {
		f.frame = nil // not held while the next is decoded
		ok, err := f.source.nextFrame()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, io.EOF
		}
		if f.frame, err = pixeldata.OpenJPEG(f.source, f.layout); err != nil {
			return nil, f.source.failed(err)
		}
		f.row = 0
	}
	f.out = f.out[:0]
	for f.row < f.layout.Rows && len(f.out) < chunkSize {
		f.out = f.frame.AppendRow(f.out, f.row)
		f.row++
	}
	return f.out, nil
}

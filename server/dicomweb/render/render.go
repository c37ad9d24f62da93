package render

import (
	"image"
	"image/jpeg"
	"image/png"
	"io"
)

// The media types of a picture, the default first (PS3.18 section 8.7.4).
const (
	JPEG = "image/jpeg"
	PNG  = "image/png"
)

// Picture renders a frame.
//
// The error is an *UnsupportedError, a *RegionError or a *pixeldata.FormatError.
func (p *Parameters) Picture(m *Image) (image.Image, error) {
	picture, err := m.picture(p.Window)
	if err != nil {
		return nil, err
	}
	return p.fit(picture)
}

// Encode writes a picture. quality counts for JPEG only.
func (p *Parameters) Encode(w io.Writer, mediaType string, picture image.Image) error {
	if mediaType == PNG {
		// The best compression takes ten times as long for a few per cent.
		encoder := png.Encoder{CompressionLevel: png.BestSpeed}
		return encoder.Encode(w, picture) //nolint:wrapcheck // of w
	}
	return jpeg.Encode(w, picture, &jpeg.Options{Quality: p.Quality}) //nolint:wrapcheck // of w
}

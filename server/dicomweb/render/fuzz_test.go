package render_test

import (
	"bytes"
	"io"
	"testing"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/server/dicomweb/render"
)

// FuzzRender checks that any data set and any parameters give a picture within the viewport, or an error.
func FuzzRender(f *testing.F) {
	ct := object{photometric: "MONOCHROME2", rows: 2, columns: 2, bits: 16, stored: 12, middle: window("40", "400", "") + rescale("-1024", "1")}
	f.Add([]byte(ct.encode(us(0, 1024, 1064, 4095))), "40,400,sigmoid", "20,20,0,0,-1,2")
	palette := object{photometric: "PALETTE COLOR", rows: 1, columns: 4, bits: 8, palette: palettes(3, 5, 8, us(10, 11, 12), us(20, 21, 22), us(30, 31, 32))}
	f.Add([]byte(palette.encode("\x00\x05\x06\xFF")), "", "2,2")
	segmented := object{photometric: "PALETTE COLOR", rows: 1, columns: 4, bits: 8, palette: palettes(8, 0, 16)}
	for i := range 3 {
		segmented.palette += element(0x0028, uint16(0x1221+i), "OW", us(0, 2, 0x0000, 0x4000, 1, 2, 0x8000, 2, 2, 0, 0))
	}
	f.Add([]byte(segmented.encode("\x00\x01\x02\x03")), "", "")
	voi := object{photometric: "MONOCHROME1", rows: 1, columns: 4, bits: 8, middle: element(0x0028, 0x3010, "SQ", lut(4, 100, 8, "\x0A\xC8\x1E\x05"))}
	f.Add([]byte(voi.encode("\x00\x01\x02\x03")), "", "300,1")
	rgb := object{photometric: "YBR_FULL", rows: 1, columns: 2, samples: 3, bits: 16, stored: 12, planar: 1}
	f.Add([]byte(rgb.encode(us(1, 2, 3, 4, 5, 6))), "", "9,9,0,0,1,1")
	f.Fuzz(func(t *testing.T, data []byte, window, viewport string) {
		values := map[string]string{}
		if window != "" {
			values["window"] = window
		}
		if viewport != "" {
			values["viewport"] = viewport
		}
		p, faults := render.ParseParameters(values, false)
		if len(faults) > 0 || p.Viewport != nil && p.Viewport.Width*p.Viewport.Height > 1<<16 {
			return
		}
		source, err := render.NewRenderer().Open(bytes.NewReader(data), dataset.ExplicitVRLittleEndian)
		if err != nil {
			return
		}
		defer source.Close()
		if source.Size() > 1<<20 {
			return
		}
		for m, err := range render.NewRenderer().Frames(t.Context(), source, []int{1}, nil) {
			if err != nil {
				return
			}
			picture, err := p.Picture(m)
			if err != nil {
				return
			}
			if size := picture.Bounds().Size(); p.Viewport != nil && (size.X > p.Viewport.Width || size.Y > p.Viewport.Height) {
				t.Fatal("the picture is larger than its viewport")
			}
			if err := p.Encode(io.Discard, render.JPEG, picture); err != nil {
				t.Fatal(err)
			}
		}
	})
}

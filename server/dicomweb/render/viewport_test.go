package render_test

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pixeldata"
	"dicom-qr-gateway/server/dicomweb/render"
)

// steps is an image of 8x4 pixels whose brightness grows from left to right and from top to bottom.
func steps() string {
	o := object{photometric: "MONOCHROME2", rows: 4, columns: 8, bits: 8, middle: window("128", "256", "")}
	pixels := make([]byte, 32)
	for i := range pixels {
		pixels[i] = byte(i%8*10 + i/8*40)
	}
	return o.encode(string(pixels))
}

func TestViewport(t *testing.T) {
	for viewport, want := range map[string]struct {
		width, height int
		first, last   int // brightness of the corners
	}{
		"8,4":             {8, 4, 0, 190},
		"8,100":           {8, 4, 0, 190},
		"4,4":             {4, 2, 25, 165},
		"3,100":           {3, 2, 30, 160},
		"2,2":             {2, 1, 75, 115},
		"1,1":             {1, 1, 95, 95},
		"16,16":           {16, 8, 0, 190},
		"8,4,,,,":         {8, 4, 0, 190},
		"2,2,2,1,2,2":     {2, 2, 60, 110},
		"6,6,2,,,":        {6, 4, 20, 190},
		"8,4,0,0,-8,4":    {8, 4, 70, 120},
		"8,4,0,0,8,-4":    {8, 4, 120, 70},
		"8,4,0,0,-8,-4":   {8, 4, 190, 0},
		"4,4,4,0,4,4":     {4, 4, 40, 190},
		"2,2,4.4,0,4,3.6": {2, 2, 65, 165},
	} {
		m, err := picture(t, steps(), 1, "viewport", viewport)
		require.NoError(t, err, viewport)
		g := m.(*image.Gray)
		assert.Equal(t, image.Rect(0, 0, want.width, want.height), g.Bounds(), viewport)
		assert.InDelta(t, want.first, g.GrayAt(0, 0).Y, 2, viewport)
		assert.InDelta(t, want.last, g.GrayAt(want.width-1, want.height-1).Y, 6, viewport)
	}
	colour := object{photometric: "RGB", rows: 4, columns: 4, samples: 3, bits: 8}
	m, err := picture(t, colour.encode(strings.Repeat("\x0A\x14\x1E", 16)), 1, "viewport", "2,2,0,0,-4,4")
	require.NoError(t, err)
	require.Equal(t, []byte{10, 20, 30, 255, 10, 20, 30, 255, 10, 20, 30, 255, 10, 20, 30, 255}, m.(*image.RGBA).Pix)
	for _, viewport := range []string{"8,4,8,0,1,1", "8,4,0,0,9,4", "8,4,0,0,8,5", "8,4,0,0,0.2,4", "8,4,1e11,0,,"} {
		_, err := picture(t, steps(), 1, "viewport", viewport)
		var region *render.RegionError
		require.ErrorAs(t, err, &region, viewport)
	}
}

func TestFaultsOfParameters(t *testing.T) {
	values := map[string]string{"window": "1,2", "viewport": "0,5", "quality": "0"}
	_, faults := render.ParseParameters(values, false)
	require.Len(t, faults, 3, "all faults at once")
	for name, list := range map[string][]string{
		"window": {
			"", "1,2", "1,2,linear,3", "a,2,linear", "1,b,linear", "1,2,cubic", "1,0,linear", "1,0.5,linear", "1,0,sigmoid", "1,-1,linear-exact",
			"NaN,2,linear", "Inf,2,linear", "1e99,2,linear", "0x10,2,linear", strings.Repeat("1", 300),
		},
		"viewport": {
			"", "1", "1,2,3", "0,1", "1,0", "-1,1", "1.5,1", "5000,1", "1,2,3,4,5", "1,2,3,4,5,6,7", "1,1,-1,0,1,1", "1,1,0,-1,1,1", "1,1,0,0,0,1",
			"1,1,a,0,1,1", "1,1,NaN,0,1,1",
		},
		"quality": {"", "0", "101", "-1", "x", "1.5", "99999999999999999999"},
	} {
		for _, value := range list {
			_, faults := render.ParseParameters(map[string]string{name: value}, false)
			require.Len(t, faults, 1, "%s=%s", name, value)
			require.Equal(t, "/"+name, faults[0].Pointer)
			if len(value) > 3 {
				require.NotContains(t, faults[0].Detail, value)
			}
		}
	}
	_, faults = render.ParseParameters(map[string]string{"viewport": "1,1,0,0,1,1"}, true)
	require.Len(t, faults, 1, "the viewport of a thumbnail has no region")
}

func TestAThumbnailIsSmallAndNotEnlarged(t *testing.T) {
	for _, c := range []struct {
		edge     int
		viewport string
		want     int
	}{{600, "", 256}, {100, "", 100}, {100, "200,300", 200}, {600, "64,64", 64}} {
		values := map[string]string{"window": "not read"}
		if c.viewport != "" {
			values["viewport"] = c.viewport
		}
		p, faults := render.ParseParameters(values, true)
		require.Empty(t, faults)
		m := &render.Image{Layout: layout(c.edge), Attributes: emptySet(t), Frame: 1, Pixels: make([]byte, c.edge*c.edge)}
		got, err := p.Picture(m)
		require.NoError(t, err)
		require.Equal(t, image.Rect(0, 0, c.want, c.want), got.Bounds())
	}
}

func layout(edge int) pixeldata.Layout {
	return pixeldata.Layout{Rows: edge, Columns: edge, Samples: 1, BitsAllocated: 8, BitsStored: 8, HighBit: 7, Photometric: "MONOCHROME2"}
}

func emptySet(t *testing.T) *dataset.Set {
	t.Helper()
	set, err := dataset.Parse(nil, dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	return set
}

func TestEncoding(t *testing.T) {
	m, err := picture(t, steps(), 1)
	require.NoError(t, err)
	sizes := map[string]int{}
	for _, quality := range []string{"1", "100"} {
		p, faults := render.ParseParameters(map[string]string{"quality": quality}, false)
		require.Empty(t, faults)
		var b bytes.Buffer
		require.NoError(t, p.Encode(&b, render.JPEG, m))
		sizes[quality] = b.Len()
		_, err = jpeg.Decode(&b)
		require.NoError(t, err)
		require.NoError(t, p.Encode(&b, render.PNG, m))
		decoded, err := png.Decode(&b)
		require.NoError(t, err)
		require.Equal(t, m.(*image.Gray).Pix, decoded.(*image.Gray).Pix)
	}
	require.Less(t, sizes["1"], sizes["100"])
}

func TestFramesOfASource(t *testing.T) {
	o := object{photometric: "MONOCHROME2", rows: 1, columns: 2, bits: 8, frames: "5"}
	source, err := render.NewRenderer().Open(strings.NewReader(o.encode("aabbccddee")), dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	defer source.Close()
	require.Equal(t, 3, render.Representative(source))
	var got []string
	for m, err := range render.NewRenderer().Frames(t.Context(), source, []int{5, 2, 3}, nil) {
		require.NoError(t, err)
		got = append(got, strconv.Itoa(m.Frame)+string(m.Pixels))
		if len(got) == 2 {
			break
		}
	}
	require.Equal(t, []string{"5ee", "2bb"}, got)

	o.middle = element(0x0028, 0x6010, "US", us(4))
	source, err = render.NewRenderer().Open(strings.NewReader(o.encode("aabbccddee")), dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	require.Equal(t, 4, render.Representative(source))
	source.Close()
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestMemoryIsLimitedAndWaitedForInTurn(t *testing.T) {
	// The length alone says that the pixels are there.
	open := func(t *testing.T, edge int, pixels io.Reader) *pixeldata.Source {
		t.Helper()
		o := object{photometric: "MONOCHROME2", rows: edge, columns: edge, bits: 8}
		data, n := o.encode(""), edge*edge
		head := data[:len(data)-4] + string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
		source, err := render.NewRenderer().Open(io.MultiReader(strings.NewReader(head), pixels), dataset.ExplicitVRLittleEndian)
		require.NoError(t, err)
		return source
	}
	result := func(ctx context.Context, renderer *render.Renderer, source *pixeldata.Source) error {
		for _, err := range renderer.Frames(ctx, source, []int{1}, nil) {
			return err
		}
		return io.ErrNoProgress
	}
	synctest.Test(t, func(t *testing.T) {
		renderer := render.NewRenderer()
		var limit *pixeldata.LimitError
		require.ErrorAs(t, result(t.Context(), renderer, open(t, 9000, zeros{})), &limit)

		pixels, writer := io.Pipe()
		first := make(chan error)
		source := open(t, 6000, io.MultiReader(io.LimitReader(zeros{}, 100000), pixels))
		go func() { first <- result(t.Context(), renderer, source) }()
		synctest.Wait()
		var busy *render.BusyError
		require.ErrorAs(t, result(t.Context(), renderer, open(t, 6000, zeros{})), &busy)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, result(ctx, renderer, open(t, 6000, zeros{})), context.Canceled)
		require.NoError(t, result(t.Context(), renderer, open(t, 100, zeros{})), "a small one finds room")
		require.NoError(t, writer.CloseWithError(io.ErrClosedPipe))
		require.ErrorIs(t, <-first, io.ErrClosedPipe)
		require.NoError(t, result(t.Context(), renderer, open(t, 6000, zeros{})))
	})
}

func TestMemoryOfTheEnlargedPictureIsReserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renderer := render.NewRenderer()
		parameters, faults := render.ParseParameters(map[string]string{"viewport": "4096,4096"}, false)
		require.Empty(t, faults)
		o := object{photometric: "RGB", rows: 2, columns: 2, samples: 3, bits: 8}
		open := func() *pixeldata.Source {
			source, err := renderer.Open(strings.NewReader(o.encode(strings.Repeat("x", 12))), dataset.ExplicitVRLittleEndian)
			require.NoError(t, err)
			return source
		}
		for _, err := range renderer.Frames(t.Context(), open(), []int{1}, parameters) {
			require.NoError(t, err)
			for _, err := range renderer.Frames(t.Context(), open(), []int{1}, parameters) {
				var busy *render.BusyError
				require.ErrorAs(t, err, &busy)
			}
			for _, err := range renderer.Frames(t.Context(), open(), []int{1}, nil) {
				require.NoError(t, err, "in its own size")
			}
		}
	})
}

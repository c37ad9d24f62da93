package pixeldata

import "image"

// chroma gives the rows of one chrominance component in the resolution of the image.
//
// Chrominance that is sampled less often is interpolated as libjpeg does by default, which most viewers use: each sample lies in the middle of
// the pixels that it covers.
type chroma struct {
	samples              []byte
	stride               int
	width, height        int // of the component
	horizontal, vertical int // pixels that a sample covers
	columns              int
	interpolated         []byte
	sums                 []int
}

func newChroma(samples []byte, picture *image.YCbCr, l Layout) *chroma {
	horizontal, vertical := ratio(picture.SubsampleRatio)
	width := (l.Columns + horizontal - 1) / horizontal
	return &chroma{
		samples: samples, stride: picture.CStride,
		width: width, height: (l.Rows + vertical - 1) / vertical,
		horizontal: horizontal, vertical: vertical, columns: l.Columns,
		interpolated: make([]byte, width*horizontal), sums: make([]int, width),
	}
}

func ratio(r image.YCbCrSubsampleRatio) (horizontal, vertical int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}

func (c *chroma) at(y int) []byte { return c.samples[y*c.stride:][:c.width] }

// row returns row y of the image. It is valid until the next call.
func (c *chroma) row(y int) []byte {
	near := c.at(y / c.vertical)
	switch {
	case c.horizontal == 1 && c.vertical == 1:
		return near
	case c.horizontal == 2 && c.width > 2:
		c.interpolate(near, c.far(y))
	default:
		for x := range c.interpolated {
			c.interpolated[x] = near[x/c.horizontal]
		}
	}
	return c.interpolated
}

// far returns the row of samples that is second nearest to row y of the image.
func (c *chroma) far(y int) []byte {
	if c.vertical == 1 {
		return c.at(y)
	}
	other := y/2 + 1
	if y%2 == 0 {
		other = y/2 - 1
	}
	return c.at(min(max(other, 0), c.height-1))
}

// interpolate weighs the nearest sample with 3/4 in each direction and the second nearest with 1/4. The roundings alternate, so that they do not shift
// the colour.
func (c *chroma) interpolate(near, far []byte) {
	for x := range c.sums {
		c.sums[x] = 3*int(near[x]) + int(far[x])
	}
	last := len(c.sums) - 1
	for x, sum := range c.sums {
		left, right := sum, sum
		if x > 0 {
			left = c.sums[x-1]
		}
		if x < last {
			right = c.sums[x+1]
		}
		c.interpolated[2*x] = byte((3*sum + left + 8) >> 4)
		c.interpolated[2*x+1] = byte((3*sum + right + 7) >> 4)
	}
}

package render

import (
	"image"
	"math"

	"golang.org/x/image/draw"
)

// fit cuts the region of the viewport out of a picture and scales it, with its proportions, to be as large as the viewport allows
// (PS3.18 section 8.3.5.1.3).
func (p *Parameters) fit(picture image.Image) (image.Image, error) {
	v := p.Viewport
	if v == nil {
		return picture, nil
	}
	region, err := v.region(picture.Bounds())
	if err != nil {
		return nil, err
	}
	scale := min(float64(v.Width)/float64(region.Dx()), float64(v.Height)/float64(region.Dy()))
	if !p.enlarge {
		scale = min(scale, 1)
	}
	width := min(max(int(math.Round(float64(region.Dx())*scale)), 1), v.Width)
	height := min(max(int(math.Round(float64(region.Dy())*scale)), 1), v.Height)
	if width != region.Dx() || height != region.Dy() || region != picture.Bounds() {
		picture = resize(picture, region, width, height)
	}
	if v.RegionWidth < 0 {
		mirror(picture, true)
	}
	if v.RegionHeight < 0 {
		mirror(picture, false)
	}
	return picture, nil
}

// region returns the region in whole pixels.
func (v *Viewport) region(bounds image.Rectangle) (image.Rectangle, error) {
	or := func(value, otherwise float64) float64 {
		if math.IsNaN(value) {
			return otherwise
		}
		return value
	}
	x, y := or(v.X, 0), or(v.Y, 0)
	width, height := math.Abs(or(v.RegionWidth, float64(bounds.Dx())-x)), math.Abs(or(v.RegionHeight, float64(bounds.Dy())-y))
	left, top, right, bottom := math.Round(x), math.Round(y), math.Round(x+width), math.Round(y+height)
	if right > float64(bounds.Dx()) || bottom > float64(bounds.Dy()) || left >= right || top >= bottom {
		return image.Rectangle{}, &RegionError{}
	}
	return image.Rect(int(left), int(top), int(right), int(bottom)), nil
}

const (
	// perPoint is the memory of interpolation in both directions, for each column of the result and row of the source.
	perPoint = 32
	// interpolation is the most that it takes; larger pictures are interpolated less well.
	interpolation = 32 << 20
)

// resize returns a region of a picture in another size. A picture that becomes much smaller is averaged first, so that no detail is left to
// chance and the memory for interpolation stays small.
func resize(picture image.Image, region image.Rectangle, width, height int) image.Image {
	factor := min(region.Dx()/width, region.Dy()/height)
	if factor >= 2 {
		picture, region = average(picture, region, factor)
	}
	to := image.Rect(0, 0, width, height)
	scaler := draw.Interpolator(draw.BiLinear)
	if width*region.Dy() > interpolation/perPoint {
		scaler = draw.ApproxBiLinear
	}
	var result draw.Image = image.NewRGBA(to)
	if _, ok := picture.(*image.Gray); ok {
		result = image.NewGray(to)
	}
	scaler.Scale(result, to, picture, region, draw.Src, nil)
	return result
}

// channels returns the pixels of a picture, and how many bytes a pixel has.
func channels(picture image.Image) (pixels []byte, stride, size int) {
	switch p := picture.(type) {
	case *image.Gray:
		return p.Pix, p.Stride, 1
	case *image.RGBA:
		return p.Pix, p.Stride, 4
	}
	return nil, 0, 0
}

// average replaces squares of pixels by their mean. What is left at the right and the lower edge counts for smaller squares.
func average(picture image.Image, region image.Rectangle, factor int) (image.Image, image.Rectangle) {
	bounds := image.Rect(0, 0, (region.Dx()+factor-1)/factor, (region.Dy()+factor-1)/factor)
	src, stride, size := channels(picture)
	var result image.Image = image.NewRGBA(bounds)
	if size == 1 {
		result = image.NewGray(bounds)
	}
	dst, _, _ := channels(result)
	sums := make([]uint32, bounds.Dx()*size)
	for y := range bounds.Dy() {
		clear(sums)
		rows := min(factor, region.Dy()-y*factor)
		for row := range rows {
			line := src[(region.Min.Y+y*factor+row)*stride+region.Min.X*size:]
			for x := range region.Dx() {
				for c := range size {
					sums[x/factor*size+c] += uint32(line[x*size+c])
				}
			}
		}
		for x := range bounds.Dx() {
			n := uint32(rows * min(factor, region.Dx()-x*factor))
			for c := range size {
				i := x*size + c
				dst[y*len(sums)+i] = byte((sums[i] + n/2) / n)
			}
		}
	}
	return result, bounds
}

// mirror reverses the columns or the rows of a picture.
func mirror(picture image.Image, columns bool) {
	pixels, stride, size := channels(picture)
	bounds := picture.Bounds()
	width, height := bounds.Dx(), bounds.Dy()
	swap := func(a, b int) {
		for c := range size {
			pixels[a+c], pixels[b+c] = pixels[b+c], pixels[a+c]
		}
	}
	for y := range height {
		for x := range width {
			switch at := y*stride + x*size; {
			case columns && x < width/2:
				swap(at, y*stride+(width-1-x)*size)
			case !columns && y < height/2:
				swap(at, (height-1-y)*stride+x*size)
			}
		}
	}
}

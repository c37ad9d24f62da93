package render

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"dicom-qr-gateway/gen/api"
)

// The limits of parameters.
const (
	// MaxEdge limits the width and height of a viewport.
	MaxEdge = 4096
	// DefaultQuality is that of a JPEG without the parameter quality.
	DefaultQuality = 90
	// thumbnailEdge is the width and height of the viewport of a thumbnail without the parameter viewport.
	thumbnailEdge = 256

	maxValue = 256
)

// Parameters are those of a rendered resource or of a thumbnail.
type Parameters struct {
	Window   *Window   // nil: that of the object
	Viewport *Viewport // nil: the size of the image
	Quality  int       // of a JPEG, 1 to 100

	// enlarge permits a result that is larger than the image.
	enlarge bool
}

// Viewport is the size of the result and the region of the image that it shows (PS3.18 section 8.3.5.1.3).
type Viewport struct {
	Width, Height int
	// X, Y, RegionWidth and RegionHeight are in pixels of the image. A negative RegionWidth or RegionHeight mirrors the region. NaN stands for the
	// default: from the upper left corner, to the lower right corner.
	X, Y, RegionWidth, RegionHeight float64
}

// Names are the query parameters of a rendered resource that decide how it looks (PS3.18 section 8.3.5.1).
func Names() []string { return []string{"window", "viewport", "quality"} }

// ParseParameters reads the query parameters of a rendered resource, or those of a thumbnail, which has no window and whose viewport has no
// region. It returns every fault at once. A pointer is the name of a parameter; no fault contains a value.
func ParseParameters(values map[string]string, thumbnail bool) (*Parameters, []api.Fault) {
	p := parser{thumbnail: thumbnail}
	p.out = Parameters{Quality: DefaultQuality, enlarge: true}
	for _, name := range Names() {
		value, given := values[name]
		switch {
		case !given:
		case len(value) > maxValue:
			p.fault(name, "is too long")
		case name == "viewport":
			p.viewport(value)
		case name == "quality":
			quality, err := strconv.Atoi(value)
			if err != nil || quality < 1 || quality > 100 {
				p.fault(name, "must be a number from 1 to 100")
			}
			p.out.Quality = quality
		case !thumbnail:
			p.window(value)
		}
	}
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	if thumbnail && p.out.Viewport == nil {
		nan := math.NaN()
		p.out.Viewport = &Viewport{Width: thumbnailEdge, Height: thumbnailEdge, X: nan, Y: nan, RegionWidth: nan, RegionHeight: nan}
		p.out.enlarge = false
	}
	return &p.out, nil
}

type parser struct {
	out       Parameters
	faults    []api.Fault
	thumbnail bool
}

func (p *parser) fault(name, detail string) {
	p.faults = append(p.faults, api.Fault{Pointer: "/" + name, Detail: detail})
}

func (p *parser) window(value string) {
	const want = "must be a centre, a width and linear, linear-exact or sigmoid, such as 40,400,linear"
	parts := strings.Split(value, ",")
	if len(parts) != 3 {
		p.fault("window", want)
		return
	}
	centre, okCentre := number(parts[0])
	width, okWidth := number(parts[1])
	function, okFunction := functionNames[parts[2]]
	w := Window{Centre: centre, Width: width, Function: function}
	switch {
	case !okCentre || !okWidth || !okFunction:
		p.fault("window", want)
	case !w.valid():
		p.fault("window", "must have a width of at least 1 if it is linear, and else above 0")
	}
	p.out.Window = &w
}

func (p *parser) viewport(value string) {
	parts := strings.Split(value, ",")
	if len(parts) != 2 && (p.thumbnail || len(parts) != 6) {
		if p.thumbnail {
			p.fault("viewport", "must be a width and a height, such as 256,256")
			return
		}
		p.fault("viewport", "must be a width and a height, or these and a region: left, top, width, height")
		return
	}
	nan := math.NaN()
	v := Viewport{X: nan, Y: nan, RegionWidth: nan, RegionHeight: nan}
	for i, to := range []*int{&v.Width, &v.Height} {
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < 1 || n > MaxEdge {
			p.fault("viewport", fmt.Sprintf("must have a width and a height from 1 to %d", MaxEdge))
			return
		}
		*to = n
	}
	for i, to := range []*float64{&v.X, &v.Y, &v.RegionWidth, &v.RegionHeight} {
		if len(parts) == 2 || parts[2+i] == "" {
			continue
		}
		n, ok := number(parts[2+i])
		if !ok || i < 2 && n < 0 || i >= 2 && n == 0 {
			p.fault("viewport", "must have a region of numbers: left and top not negative, width and height not 0")
			return
		}
		*to = n
	}
	p.out.Viewport = &v
}

// number reads a decimal number whose size makes sense for a pixel or a value of one.
func number(s string) (float64, bool) {
	const limit = 1e12
	if strings.Trim(s, "0123456789.+-eE") != "" {
		return 0, false // ParseFloat also reads names and hexadecimal digits
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && math.Abs(v) <= limit
}

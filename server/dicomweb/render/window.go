package render

import (
	"math"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Function is how a window maps values (PS3.3 section C.11.2.1.3).
type Function uint8

// The functions of a window.
const (
	Linear Function = iota
	LinearExact
	Sigmoid
)

var functionNames = map[string]Function{"linear": Linear, "linear-exact": LinearExact, "sigmoid": Sigmoid}

// Window is a VOI window: the values that are shown with different brightness.
type Window struct {
	Centre, Width float64
	Function      Function
}

// valid reports whether the width is one that the function allows.
func (w *Window) valid() bool {
	if math.IsNaN(w.Centre) || math.IsInf(w.Centre, 0) || math.IsInf(w.Width, 0) {
		return false
	}
	if w.Function == Linear {
		return w.Width >= 1
	}
	return w.Width > 0
}

// at returns the brightness of a value, from 0 to 1.
func (w *Window) at(x float64) float64 {
	switch w.Function {
	case LinearExact:
		return clamp((x-w.Centre)/w.Width + 0.5)
	case Sigmoid:
		return 1 / (1 + math.Exp(-4*(x-w.Centre)/w.Width))
	}
	centre, width := w.Centre-0.5, w.Width-1
	switch {
	case x <= centre-width/2:
		return 0
	case x > centre+width/2:
		return 1
	}
	return clamp((x-centre)/width + 0.5)
}

func clamp(v float64) float64 {
	if v >= 0 { // false for NaN
		return min(v, 1)
	}
	return 0
}

// objectWindow returns the first window of the object that is valid. set has the attributes of the VOI LUT module (PS3.3 section C.11.2).
func objectWindow(set *dataset.Set) (Window, bool) {
	centres, widths := decimals(set, tagWindowCenter), decimals(set, tagWindowWidth)
	w := Window{}
	switch strings.ToUpper(set.String(tagVOILUTFunction)) {
	case "LINEAR_EXACT":
		w.Function = LinearExact
	case "SIGMOID":
		w.Function = Sigmoid
	}
	for i := range min(len(centres), len(widths)) {
		if w.Centre, w.Width = centres[i], widths[i]; w.valid() {
			return w, true
		}
	}
	return w, false
}

// decimals returns the values of an attribute of VR DS, NaN for one that is no number.
func decimals(set *dataset.Set, tag dataset.Tag) []float64 {
	texts := set.Strings(tag)
	values := make([]float64, len(texts))
	for i, text := range texts {
		v, ok := number(text)
		if !ok {
			v = math.NaN()
		}
		values[i] = v
	}
	return values
}

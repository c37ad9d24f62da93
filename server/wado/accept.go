package wado

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// mediaRange is one element of Accept (RFC 9110 section 12.5.1) with its parameters.
type mediaRange struct {
	name       string // in lower case
	parameters map[string]string
	quality    int // 0 to 1000
}

// maxRanges is far more than any client sends. Further elements are ignored.
const maxRanges = 64

// parseAccept reads the elements of Accept. Malformed ones are ignored (PS3.18 section 8.7.8.1). Values may be quoted in either way, or
// not at all although they hold a slash, and the first of repeated parameters counts, because clients send all of that.
func parseAccept(fields []string) []mediaRange {
	var ranges []mediaRange
	for _, field := range fields {
		for field != "" && len(ranges) < maxRanges {
			var element string
			element, field = cut(field, ',')
			if r, ok := parseRange(element); ok {
				ranges = append(ranges, r)
			}
		}
	}
	return ranges
}

func parseRange(element string) (mediaRange, bool) {
	name, rest := cut(element, ';')
	r := mediaRange{name: strings.ToLower(strings.TrimSpace(name)), quality: 1000, parameters: map[string]string{}}
	if r.name == "*" { // Java sends it
		r.name = "*/*"
	}
	if kind, subtype, ok := strings.Cut(r.name, "/"); !ok || kind == "" || subtype == "" {
		return r, false
	}
	for rest != "" {
		var parameter string
		parameter, rest = cut(rest, ';')
		key, value, _ := strings.Cut(parameter, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if _, repeated := r.parameters[key]; key == "" || repeated {
			continue
		}
		r.parameters[key] = unquoted(strings.TrimSpace(value))
	}
	if q, ok := r.parameters["q"]; ok {
		quality, err := strconv.ParseFloat(q, 64)
		if err != nil || !(quality >= 0 && quality <= 1) {
			return r, false
		}
		r.quality = int(quality * 1000)
	}
	return r, true
}

func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// cut returns what is before the first separator outside of quotation marks, and the rest.
func cut(list string, separator byte) (element, rest string) {
	quoted := false
	for i := range len(list) {
		switch {
		case list[i] == '"':
			quoted = !quoted
		case list[i] == separator && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, ""
}

// Offer is a media type that a route can answer with.
type Offer struct {
	// Type is the media type. That of the parts of multipart/related is Part.
	Type, Part string
}

// Multipart reports whether the media type has parts.
func (o Offer) Multipart() bool { return o.Type == multipartRelated }

// The offers of instances.
var (
	OfferMultipart = Offer{Type: multipartRelated, Part: applicationDICOM}
	OfferZip       = Offer{Type: "application/zip"}
	OfferDICOM     = Offer{Type: applicationDICOM}
)

const (
	multipartRelated = "multipart/related"
	applicationDICOM = "application/dicom"
	octetStream      = "application/octet-stream"
)

// specificity returns how precisely a range names the offer; 0: not at all.
func (r *mediaRange) specificity(o Offer) int {
	const whole, kind, exact = 1, 2, 3
	switch {
	case r.name == "*/*":
		return whole
	case r.name != o.Type:
		if prefix, ok := strings.CutSuffix(r.name, "*"); ok && strings.HasPrefix(o.Type, prefix) {
			return kind
		}
		return 0
	case !o.Multipart():
		return exact
	}
	part, given := r.parameters["type"]
	part = strings.ToLower(part)
	switch prefix, wild := strings.CutSuffix(part, "*"); {
	case !given, wild && strings.HasPrefix(o.Part, strings.TrimSuffix(prefix, "*/")):
		return kind
	case part == o.Part:
		return exact
	}
	return 0
}

// choice is an offer that the request permits.
type choice struct {
	offer    Offer
	quality  int
	syntaxes Syntaxes
}

// negotiate chooses among the offers, of which the first is the default. Without a range, everything is permitted. syntax is the query
// parameter transfer-syntax, which counts for ranges without one (PS3.18 section 8.7.8.2).
func negotiate(ranges []mediaRange, offers []Offer, syntax string) (Offer, Syntaxes, bool) {
	if len(ranges) == 0 {
		ranges = []mediaRange{{name: "*/*", quality: 1000}}
	}
	choices := make([]choice, 0, len(offers))
	for _, offer := range offers {
		best := 0
		for i := range ranges {
			best = max(best, ranges[i].specificity(offer))
		}
		var matching []*mediaRange
		for i := range ranges {
			if best > 0 && ranges[i].specificity(offer) == best && ranges[i].quality > 0 {
				matching = append(matching, &ranges[i])
			}
		}
		if len(matching) == 0 {
			continue
		}
		slices.SortStableFunc(matching, func(a, b *mediaRange) int { return cmp.Compare(b.quality, a.quality) })
		c := choice{offer: offer, quality: matching[0].quality}
		for _, r := range matching {
			c.syntaxes = c.syntaxes.with(cmp.Or(r.parameters["transfer-syntax"], syntax))
		}
		choices = append(choices, c)
	}
	if len(choices) == 0 {
		return Offer{}, nil, false
	}
	best := slices.MaxFunc(choices, func(a, b choice) int { return cmp.Compare(a.quality, b.quality) })
	return best.offer, best.syntaxes, true
}

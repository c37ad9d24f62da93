package dicomweb

import (
	"slices"
	"strconv"
	"strings"
)

// The media types of a search, in the order of preference.
const (
	DICOMJSON = "application/dicom+json"
	JSON      = "application/json"
)

// MediaType chooses the media type of a search (RFC 9110 section 12.5.1, PS3.18 section 8.7.8.1): by the query parameter accept if it
// is given, and else by the header fields. No header field accepts everything, and so does an
// empty one, which Odil sends. It returns false if neither type is acceptable.
func MediaType(parameter *string, header []string) (string, bool) {
	switch {
	case parameter != nil:
		header = []string{*parameter}
	case !slices.ContainsFunc(header, func(field string) bool { return strings.Trim(field, " \t,") != "" }):
		return DICOMJSON, true
	}
	var dicomJSON, json preference
	for _, field := range header {
		for field != "" {
			var element string
			element, field = cutElement(field)
			if r, ok := parseRange(element); ok {
				if parameter != nil {
					// An unescaped plus sign in a query string is a space, and no media type contains one.
					r.name = strings.ReplaceAll(r.name, " ", "+")
				}
				dicomJSON.apply(&r, DICOMJSON)
				json.apply(&r, JSON)
			}
		}
	}
	switch {
	case dicomJSON.quality == 0 && json.quality == 0:
		return "", false
	case dicomJSON.quality >= json.quality:
		return DICOMJSON, true
	}
	return JSON, true
}

// preference is the quality of a media type by the most specific range so far.
type preference struct {
	quality     int // 0 to 1000
	specificity int
}

func (p *preference) apply(r *mediaRange, mediaType string) {
	var specificity int
	switch {
	case strings.EqualFold(r.name, mediaType):
		specificity = 3
	case strings.EqualFold(r.name, "application/*"):
		specificity = 2
	case r.name == "*/*" || r.name == "*":
		specificity = 1
	default:
		return
	}
	if specificity > p.specificity || specificity == p.specificity && r.quality > p.quality {
		*p = preference{r.quality, specificity}
	}
}

// mediaRange is one element of Accept. Parameters but q and charset do not distinguish the media types of a search.
type mediaRange struct {
	name    string
	quality int
}

// parseRange reads an element of Accept. It returns false for one that is malformed, which is ignored, or of another character set than
// UTF-8.
func parseRange(element string) (mediaRange, bool) {
	name, rest, _ := strings.Cut(element, ";")
	r := mediaRange{name: strings.TrimSpace(name), quality: 1000}
	if r.name == "" {
		return r, false
	}
	for rest != "" {
		var parameter string
		parameter, rest, _ = strings.Cut(rest, ";")
		key, value, _ := strings.Cut(parameter, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "charset":
			if !strings.EqualFold(value, "utf-8") && value != "*" {
				return r, false
			}
		case "q":
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return r, false
			}
			r.quality = int(q * 1000)
		}
	}
	return r, true
}

// cutElement returns the first element of a list and the rest. A comma in a quoted string does not separate elements.
func cutElement(list string) (element, rest string) {
	quoted := false
	for i := range len(list) {
		switch {
		case list[i] == '"':
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, ""
}

// Package mediatype chooses between media types by the header field Accept.
package mediatype

import (
	"mime"
	"strconv"
	"strings"
)

// Prefers reports whether Accept (RFC 9110 section 12.5.1) names the media type, with a quality above zero that is not below that of the
// other one. fields are the values of the field. Parts that cannot be parsed, and wildcards, count for neither.
func Prefers(fields []string, mediaType, other string) bool {
	wanted, plain := 0.0, 0.0
	for part := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		named, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, ok := parameters["q"]; ok {
			if quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		switch named {
		case mediaType:
			wanted = quality
		case other:
			plain = quality
		}
	}
	return wanted > 0 && wanted >= plain
}

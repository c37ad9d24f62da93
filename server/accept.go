package server

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

const (
	jsonType  = "application/json"
	jsonUTF8  = jsonType + "; charset=utf-8"
	eventType = "text/event-stream"
)

// prefersEvents reports whether Accept (RFC 9110 section 12.5.1) names events, with a quality that is not below that of JSON.
func prefersEvents(fields []string) bool {
	events, plain := 0.0, 0.0
	for part := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		mediaType, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, ok := parameters["q"]; ok {
			if quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		switch mediaType {
		case eventType:
			events = quality
		case jsonType:
			plain = quality
		}
	}
	return events > 0 && events >= plain
}

// declaresJSON reports whether the header declares a body of JSON in UTF-8.
func declaresJSON(h http.Header) bool {
	mediaType, parameters, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType != jsonType {
		return false
	}
	charset, ok := parameters["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}

// isEncoded reports whether the header declares a content encoding, such as gzip.
func isEncoded(h http.Header) bool {
	encoding := h.Get("Content-Encoding")
	return encoding != "" && !strings.EqualFold(encoding, "identity")
}

package server

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

const (
	jsonType  = "application/json"
	eventType = "text/event-stream"
)

// prefersEvents reads Accept (RFC 9110 section 12.5.1): events go to callers that
// name them and do not like JSON better.
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

// declaresJSON reports whether the body is said to be plain JSON in UTF-8.
func declaresJSON(h http.Header) bool {
	mediaType, parameters, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType != jsonType {
		return false
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	encoding := h.Get("Content-Encoding")
	return encoding == "" || strings.EqualFold(encoding, "identity")
}

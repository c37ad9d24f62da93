package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"

	"dicom-qr-gateway/gen/api"
)

const correlationHeader = "X-Correlation-ID"

// requestInfo is what a request's handler and its log line share.
type requestInfo struct {
	correlationID   string
	caller          caller
	wantsEvents     bool
	bodyRead        bool // whole
	operation, peer string
	code            api.ProblemCode
	outcome         int // the status that the plain answer would have, of a stream
}

type requestInfoKey struct{}

func withInfo(ctx context.Context, info *requestInfo) context.Context {
	return context.WithValue(ctx, requestInfoKey{}, info)
}

// infoOf is that of the request which ctx belongs to, and an empty one outside of any.
func infoOf(ctx context.Context) *requestInfo {
	if info, ok := ctx.Value(requestInfoKey{}).(*requestInfo); ok {
		return info
	}
	return &requestInfo{}
}

// correlationID is the caller's where there is one that can be logged and sent
// back as it is, else a fresh one.
func correlationID(h http.Header) string {
	if values := h.Values(correlationHeader); len(values) == 1 && validCorrelationID(values[0]) {
		return values[0]
	}
	// Digits and the letters a to f: a longer alphabet spells names of patients now
	// and then, which whoever searches logs for those would find.
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func validCorrelationID(s string) bool {
	if len(s) < 1 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

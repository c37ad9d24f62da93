package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/qr"
)

// BenchmarkQuery is what the HTTP side adds to a query: routing, checks, answer
// and log line, without the network and the PACS.
func BenchmarkQuery(b *testing.B) {
	contract, err := os.ReadFile("../openapi.yaml")
	require.NoError(b, err)
	config, err := LoadConfig(environment())
	require.NoError(b, err)
	studies := make([]qr.Study, 20)
	for i := range studies {
		studies[i] = study(studyUID)
	}
	s, err := New(Options{
		Config: config, Gateway: answering(&qr.QueryResult{Studies: studies}, nil), Contract: contract,
		Logger: NewLogger(config, io.Discard),
	})
	require.NoError(b, err)

	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/q", strings.NewReader(queryBody))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}

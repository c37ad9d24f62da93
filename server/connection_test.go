package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/qr"
)

// Near the size of the buffer of net/http an answer is one write or two.
func TestAnswersOfAllSizesArriveComplete(t *testing.T) {
	describedAt := func(length int) string { return strings.Repeat("x", length) }
	r := start(t, &fakeGateway{query: func(_ context.Context, _ qr.Call, _ qr.Peer, f qr.Filter) (*qr.QueryResult, error) {
		length, err := strconv.Atoi(f.AccessionNumber)
		one := study(studyUID)
		one.StudyDescription = describedAt(length)
		return &qr.QueryResult{Studies: []qr.Study{one}}, err
	}})
	for length := 3000; length < 9000; length += 37 {
		status, _, body := r.post(t, "/q", with(t, "accession_number", strconv.Quote(strconv.Itoa(length))))
		require.Equal(t, http.StatusOK, status)
		assert.Contains(t, body, `"StudyDescription":"`+describedAt(length)+`"`)
		assert.True(t, strings.HasSuffix(body, "}\n"))
	}
}

package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/audit"
)

// pipe is a writer that fails with err after the first bytes of a write.
type pipe struct {
	bytes.Buffer
	takes int
	err   error
}

func (p *pipe) Write(b []byte) (int, error) {
	if p.err == nil {
		return p.Buffer.Write(b)
	}
	n, _ := p.Buffer.Write(b[:min(p.takes, len(b))])
	return n, p.err
}

func numbered(id string) *audit.Record { return &audit.Record{CorrelationID: id} }

// ids returns the IDs of the complete records in text, and ignores other lines.
func ids(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		var r struct {
			ID string `json:"correlation_id"`
		}
		if json.Unmarshal([]byte(line), &r) == nil && r.ID != "" {
			all = append(all, r.ID)
		}
	}
	return strings.Join(all, " ")
}

var errFull = errors.New("no space")

func TestRecordsThatFailedAreWrittenFirst(t *testing.T) {
	sink := &pipe{}
	log := audit.To(sink, audit.Options{})
	require.NoError(t, log.Write(numbered("1")))
	sink.err = errFull
	require.ErrorIs(t, log.Write(numbered("2")), errFull)
	require.ErrorIs(t, log.Write(numbered("3")), errFull)
	require.ErrorIs(t, log.Ready(), errFull)
	assert.Equal(t, "1", ids(sink.String()))
	sink.err = nil
	require.NoError(t, log.Write(numbered("4")))
	require.NoError(t, log.Ready())
	assert.Equal(t, "1 2 3 4", ids(sink.String()))
}

func TestTruncatedRecordIsWrittenAgain(t *testing.T) {
	sink := &pipe{takes: 7, err: errFull}
	log := audit.To(sink, audit.Options{})
	require.ErrorIs(t, log.Write(numbered("1")), errFull)
	sink.takes = 0
	require.ErrorIs(t, log.Ready(), errFull)
	sink.err = nil
	require.NoError(t, log.Write(numbered("2")))
	assert.Equal(t, "1 2", ids(sink.String()), "on a line of its own")
	assert.Equal(t, 3, strings.Count(sink.String(), "\n"))
}

func TestPendingRecordsAreLimited(t *testing.T) {
	sink := &pipe{err: errFull}
	log := audit.To(sink, audit.Options{})
	lost := 0
	for range 1500 {
		if err := log.Write(numbered("x")); errors.Is(err, audit.ErrFull) {
			lost++
		}
	}
	assert.Equal(t, 500, lost)
	require.ErrorContains(t, log.Close(t.Context()), "1000 records lost: no space")
}

func TestFileIsAppendedToAndFollowedByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte("before\n"), 0o600))
	log, err := audit.Open(path, audit.Options{})
	require.NoError(t, err)
	require.NoError(t, log.Write(numbered("1")))

	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, log.Reopen())
	require.NoError(t, log.Write(numbered("2")))
	require.NoError(t, os.Rename(path, path+".2"))
	require.NoError(t, log.Write(numbered("3")), "the log notices a new file by itself")
	require.NoError(t, log.Reopen())
	require.NoError(t, log.Close(t.Context()))
	for suffix, want := range map[string]string{".1": "1", ".2": "2", "": "3"} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		assert.Equal(t, want, ids(string(content)))
	}

	_, err = audit.Open(filepath.Join(path, "no directory"), audit.Options{})
	require.Error(t, err)
}

func TestRecordsDoNotEscapeHTML(t *testing.T) {
	sink := &pipe{}
	require.NoError(t, audit.To(sink, audit.Options{}).Write(numbered("<&>")))
	assert.Contains(t, sink.String(), `"<&>"`)
}

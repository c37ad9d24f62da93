package audit_test

import (
	"bytes"
	"encoding/json"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/audit"
)

// message is a record as encoding/json writes and reads it.
type message struct {
	Event         audit.Event         `json:"EventIdentification"`
	Participants  []audit.Participant `json:"ActiveParticipant"`
	Source        audit.Source        `json:"AuditSourceIdentification"`
	Objects       []audit.Object      `json:"ParticipantObjectIdentification,omitempty"`
	CorrelationID string              `json:"correlation_id,omitempty"`
}

// encoded returns the line that encoding/json makes of a record.
func encoded(t *testing.T, r *audit.Record) string {
	t.Helper()
	m := message{r.Event, r.Participants, r.Source, nil, r.CorrelationID}
	if r.Objects != nil {
		m.Objects = slices.Collect(r.Objects)
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(m))
	return line.String()
}

func written(t *testing.T, r *audit.Record) string {
	t.Helper()
	sink := &pipe{}
	require.NoError(t, audit.To(sink, audit.Options{}).Write(r))
	return sink.String()
}

// objects yields n objects with the same texts.
func objects(n int, text string) iter.Seq[audit.Object] {
	return func(yield func(audit.Object) bool) {
		for range n {
			o := audit.Object{
				ID: text, TypeCode: text, TypeCodeRole: text, IDTypeCode: audit.Code{Code: text, System: text, OriginalText: text}, Name: text,
				Query: []byte(text), Details: []audit.Detail{{Type: text, Value: []byte(text)}, {}},
				Description: &audit.Description{Accessions: []audit.Accession{{Number: text}, {}}},
			}
			if !yield(o) || !yield(audit.Object{Description: &audit.Description{}}) {
				return
			}
		}
	}
}

func full(n int, text string) *audit.Record {
	codes := []audit.Code{{}, {Code: text, System: text, OriginalText: text}}
	return &audit.Record{
		Event: audit.Event{
			ID: codes[1], ActionCode: text, DateTime: time.Date(2026, 1, 31, 12, 0, 0, 123e6, time.UTC),
			OutcomeIndicator: audit.Outcome(text), TypeCodes: codes, OutcomeDescription: text,
		},
		Participants: []audit.Participant{{}, {
			UserID: text, AlternativeUserID: text, UserName: text, IsRequestor: true, Roles: codes, AccessPointID: text, AccessPointType: audit.IPAddress,
		}},
		Source:        audit.Source{ID: text, TypeCodes: codes},
		Objects:       objects(n, text),
		CorrelationID: text,
	}
}

func TestRecordsHaveTheBytesOfEncodingJSON(t *testing.T) {
	texts := []string{"", "DOE^JOHN", "<&>", "é山\u2028\u2029\U0001F600", "\xff\xe5\xb1x\xe2\x80\xe2\x80\xa8\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80", "\x7f\ufffd"}
	for c := range rune(utf8.RuneSelf) {
		texts = append(texts, "a"+string(c)+"b")
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		b := make([]byte, random.IntN(700))
		for i := range b {
			b[i] = "a \"\\\n\x00\xe2\x80\xa8\xa9\xff\xf0\x9f\x98"[random.IntN(14)]
		}
		texts = append(texts, string(b))
	}
	for _, text := range texts {
		require.Equal(t, encoded(t, full(1, text)), written(t, full(1, text)))
	}
	assert.Equal(t, encoded(t, &audit.Record{}), written(t, &audit.Record{}), "without elements")
	assert.Equal(t, encoded(t, full(0, "x")), written(t, full(0, "x")), "without objects")
}

func TestLongRecordsHaveTheBytesOfEncodingJSON(t *testing.T) {
	for _, text := range []string{"DOE^JOHN", "\x01\"<山\xff", strings.Repeat("x", 70_000), strings.Repeat("\x00山", 20_000)} {
		r := full(1+4_000/len(text), text)
		line := written(t, r)
		require.Greater(t, len(line), 64<<10)
		require.True(t, encoded(t, r) == line)
	}
}

// counting is a sink that keeps the lengths of writes only.
type counting struct {
	writes, largest, length int
	last                    byte
}

func (c *counting) Write(b []byte) (int, error) {
	c.writes++
	c.largest = max(c.largest, len(b))
	c.length += len(b)
	c.last = b[len(b)-1]
	return len(b), nil
}

func TestRecordIsOneWriteUnlessItIsLong(t *testing.T) {
	const part = 64 << 10
	base := len(written(t, numbered("x"))) - 1
	for length, writes := range map[int]int{base + 1: 1, part - 1: 1, part: 1, part + 1: 2, 2 * part: 2, 2*part + 1: 3} {
		sink := &counting{}
		require.NoError(t, audit.To(sink, audit.Options{}).Write(numbered(strings.Repeat("x", length-base))))
		assert.Equal(t, counting{writes: writes, largest: min(length, part), length: length, last: '\n'}, *sink)
	}
}

func TestLongRecordIsNeverInMemoryAsAWhole(t *testing.T) {
	study := audit.Study{UID: "1.2.840.10008.1.2.3", Description: strings.Repeat("<", 64), AccessionNumber: "ACC-1", PatientName: "DOE^JOHN"}
	studies := func(yield func(audit.Study) bool) {
		for range 10_000 {
			if !yield(study) {
				return
			}
		}
	}
	sink := &counting{}
	trail := audit.NewTrail(audit.To(sink, audit.Options{}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, trail.Transferred(&audit.Operation{}, "DESTINATION", studies, audit.Result{Outcome: audit.Success}))
	runtime.ReadMemStats(&after)
	assert.Greater(t, sink.length, 3_000_000)
	assert.LessOrEqual(t, sink.largest, 64<<10)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<10), "garbage included")
	assert.EqualValues(t, '\n', sink.last)
}

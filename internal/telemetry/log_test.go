package telemetry

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestLoggerWritesWhatTheOptionsSay(t *testing.T) {
	var b bytes.Buffer
	logged := func(o LogOptions) string {
		b.Reset()
		logger := NewLogger(o, &b)
		logger.Debug().Msg("detail")
		logger.Info().Msg("start")
		return b.String()
	}
	assert.True(t, json.Valid([]byte(logged(LogOptions{On: true}))))
	assert.NotContains(t, b.String(), "detail")
	assert.Contains(t, logged(LogOptions{On: true, Debug: true}), "detail")
	assert.Contains(t, logged(LogOptions{On: true, Console: true}), "INF start")
	assert.Empty(t, logged(LogOptions{Debug: true}))
	require.NotNil(t, NewLogTrace(true, "").Identifier)
	require.Nil(t, NewLogTrace(false, "").Identifier)
}

// implicit holds values by tag; the order of its elements is not defined.
type implicit map[tag.Tag]string

// encode returns the elements in Implicit VR Little Endian.
func (d implicit) encode() []byte {
	var b []byte
	for t, value := range d {
		if len(value)%2 != 0 {
			value += " "
		}
		b = append(b, byte(t.Group), byte(t.Group>>8), byte(t.Element), byte(t.Element>>8), byte(len(value)), byte(len(value)>>8), 0, 0)
		b = append(b, value...)
	}
	return b
}

func TestLoggedIdentifiersAreBounded(t *testing.T) {
	var b bytes.Buffer
	ctx := zerolog.New(&b).WithContext(t.Context())
	long := implicit{tag.PatientName: strings.Repeat("é", 300), tag.Tag{Group: 0x0009, Element: 0x0010}: "private"}
	for n := range uint16(120) {
		long[tag.Tag{Group: 0x0011, Element: n}] = "x"
	}
	logIdentifier(ctx, false, dataset.ImplicitVRLittleEndian, long.encode())
	assert.Contains(t, b.String(), "and 21 more")
	b.Reset()
	sequence := []byte{0x08, 0, 0x10, 0x11, 16, 0, 0, 0, 0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0, 0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0}
	name := implicit{tag.PatientName: strings.Repeat("A", 300)}.encode()
	binary := []byte{0x42, 0, 0x11, 0, 3, 0, 0, 0, 1, 2, 3}
	logIdentifier(ctx, true, dataset.ImplicitVRLittleEndian, append(append(sequence, name...), binary...))
	assert.Contains(t, b.String(), "(0008,1110) ReferencedStudySequence: sequence of 2")
	assert.Contains(t, b.String(), "A… (300 characters)")
	assert.Contains(t, b.String(), "(0042,0011) EncapsulatedDocument: 3 bytes")
	b.Reset()
	logIdentifier(ctx, true, dataset.ImplicitVRLittleEndian, []byte{8, 0, 5, 0, 0xf0, 0xff, 0xff, 0x7f, 1, 2})
	assert.Contains(t, b.String(), `"error"`)
	assert.Contains(t, b.String(), `"identifier"`)
}

package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/qr"
)

// written records each write.
type written struct {
	net.Conn
	parts []string
	err   error
}

func (w *written) Write(b []byte) (int, error) {
	w.parts = append(w.parts, string(b))
	return len(b), w.err
}

func TestHeldBytesAreSentWithTheRest(t *testing.T) {
	w := &written{}
	c := &connection{Conn: w}
	write := func(s string) {
		n, err := c.Write([]byte(s))
		require.NoError(t, err)
		assert.Equal(t, len(s), n)
	}
	write("at once")
	c.hold(8)
	write("head")
	assert.Equal(t, []string{"at once"}, w.parts)
	write("body, longer")
	assert.Equal(t, "at onceheadbody, longer", strings.Join(w.parts, ""))
	w.parts = nil
	write("next")
	c.hold(4)
	write("whole")
	assert.Equal(t, []string{"next", "whole"}, w.parts)
}

func TestHeldBytesAreLimited(t *testing.T) {
	w := &written{}
	c := &connection{Conn: w}
	c.hold(1 << 30)
	for range maxHeld {
		_, err := c.Write(make([]byte, 2))
		require.NoError(t, err)
	}
	assert.Equal(t, maxHeld*2, len(strings.Join(w.parts, "")))
}

func TestErrorOfHeldBytesIsReturnedByTheWriteThatSendsThem(t *testing.T) {
	w := &written{err: io.ErrClosedPipe}
	c := &connection{Conn: w}
	c.hold(10)
	n, err := c.Write([]byte("12345"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	n, err = c.Write([]byte("67890"))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	assert.Zero(t, n)
}

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

package wado

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// deadlines records the write deadlines of an answer.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.set = append(d.set, at)
	return nil
}

func TestCutOffBeforeTheAnswerBeginsLeavesRoomForAProblem(t *testing.T) {
	answer := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	w := newStallWriter(Line{ResponseWriter: answer})
	w.cutOff(errors.New("draining"))
	assert.Empty(t, answer.set)
	w.start()
	assert.Equal(t, []time.Time{time.Unix(1, 0)}, answer.set, "an answer that begins all the same is cut off")
}

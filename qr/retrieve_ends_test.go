package qr_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

func TestAssociationThatEndsDuringAMoveFailsItsStudyAndIsReplaced(t *testing.T) {
	ok := func(a *association) { a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1)) }
	half := func(a *association, end func()) { a.Moving(dicomtest.Count(2, 1, 0, 5)); end() }
	abort := func(a *association) { half(a, a.Abort) }
	atOnce := func(a *association) { a.Abort() }
	failed := func(a *association) { a.Moved(0xA702, dicomtest.Count(0, 1, 0, -1)) }
	closed := func(a *association) { half(a, func() { a.Close() }) }
	tests := []struct {
		name         string
		on           map[string]func(*association) // by study; a study that is missing is ok
		rejectsAgain bool
		want         []string
		events       []string
	}{
		{
			"an abort in the second study",
			map[string]func(*association){"1.2": abort},
			false,
			[]string{"1.1 ok 0000 1/0/0", "1.2 failed  2/1/0", "1.3 ok 0000 1/0/0", "1.4 ok 0000 1/0/0", "1.5 ok 0000 1/0/0"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST",
				"associate MOVE", "move 1.3 to DEST", "move 1.4 to DEST", "move 1.5 to DEST", "release",
			},
		},
		{
			"a closed connection in the second study",
			map[string]func(*association){"1.2": closed},
			false,
			[]string{"1.1 ok 0000 1/0/0", "1.2 failed  2/1/0", "1.3 ok 0000 1/0/0", "1.4 ok 0000 1/0/0", "1.5 ok 0000 1/0/0"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST",
				"associate MOVE", "move 1.3 to DEST", "move 1.4 to DEST", "move 1.5 to DEST", "release",
			},
		},
		{
			"two aborts with a study moved between them",
			map[string]func(*association){"1.1": abort, "1.3": abort},
			false,
			[]string{"1.1 failed  2/1/0", "1.2 ok 0000 1/0/0", "1.3 failed  2/1/0", "1.4 ok 0000 1/0/0", "1.5 ok 0000 1/0/0"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST",
				"associate MOVE", "move 1.2 to DEST", "move 1.3 to DEST",
				"associate MOVE", "move 1.4 to DEST", "move 1.5 to DEST", "release",
			},
		},
		{
			"two aborts in a row with instances moved between them",
			map[string]func(*association){"1.2": abort, "1.3": abort},
			false,
			[]string{"1.1 ok 0000 1/0/0", "1.2 failed  2/1/0", "1.3 failed  2/1/0", "1.4 ok 0000 1/0/0", "1.5 ok 0000 1/0/0"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST",
				"associate MOVE", "move 1.3 to DEST",
				"associate MOVE", "move 1.4 to DEST", "move 1.5 to DEST", "release",
			},
		},
		{
			"two aborts in a row with nothing moved between them",
			map[string]func(*association){"1.2": abort, "1.3": atOnce},
			false,
			[]string{"1.1 ok 0000 1/0/0", "1.2 failed  2/1/0", "1.3 failed  -/-/-", "1.4 not_attempted  -/-/-", "1.5 not_attempted  -/-/-"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST",
				"associate MOVE", "move 1.3 to DEST",
			},
		},
		{
			"a failure between two aborts",
			map[string]func(*association){"1.1": atOnce, "1.2": failed, "1.3": atOnce},
			false,
			[]string{"1.1 failed  -/-/-", "1.2 failed A702 0/1/0", "1.3 failed  -/-/-", "1.4 ok 0000 1/0/0", "1.5 ok 0000 1/0/0"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST",
				"associate MOVE", "move 1.2 to DEST", "move 1.3 to DEST",
				"associate MOVE", "move 1.4 to DEST", "move 1.5 to DEST", "release",
			},
		},
		{
			"an abort, then a rejection",
			map[string]func(*association){"1.3": abort},
			true,
			[]string{"1.1 ok 0000 1/0/0", "1.2 ok 0000 1/0/0", "1.3 failed  2/1/0", "1.4 not_attempted  -/-/-", "1.5 not_attempted  -/-/-"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST", "move 1.3 to DEST",
				"associate MOVE",
			},
		},
		{
			"an abort in the last study",
			map[string]func(*association){"1.5": abort},
			false,
			[]string{"1.1 ok 0000 1/0/0", "1.2 ok 0000 1/0/0", "1.3 ok 0000 1/0/0", "1.4 ok 0000 1/0/0", "1.5 failed  2/1/0"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST", "move 1.3 to DEST", "move 1.4 to DEST",
				"move 1.5 to DEST",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var seen recorder
			p := &dicomtest.ScriptedPACS{Studies: fiveStudies(), Negotiate: func(a *association) bool {
				return !test.rejectsAgain || a.Number == 1 || a.Reject(dicomtest.CalledAETitleNotRecognized)
			}, Move: func(a *association, uid string) {
				if answer, set := test.on[uid]; set {
					answer(a)
					return
				}
				ok(a)
			}}
			result := retrieve(t, p, qr.Filter{}, &seen)
			assert.Equal(t, test.want, lines(result.Retrievals))
			assert.Equal(t, test.events, qrtest.Lines(p))
			assert.Equal(t, dicomnet.StepMove, qrtest.StepOf(t, result.Err))
			assert.True(t, result.Moved())
			var retrieved []string
			for _, line := range seen.lines {
				if rest, is := strings.CutPrefix(line, "retrieved "); is {
					retrieved = append(retrieved, rest)
				}
			}
			assert.Equal(t, test.want, retrieved, "Retrieved is called for each study")
		})
	}
}

func TestLastErrorIsThatOfTheLastStudyThatWasAttempted(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: fiveStudies(), Move: func(a *association, uid string) {
		if uid == "1.1" {
			a.Moved(0xC001, dicomtest.Count(0, 1, 0, -1))
			return
		}
		a.Abort()
	}}
	result := retrieve(t, p, qr.Filter{}, &recorder{})
	var status *qr.MoveOutcomeError
	var final *dicomnet.StatusError
	assert.True(t, errors.As(result.Err, &status) || errors.As(result.Err, &final), "%v", result.Err)
	assert.ErrorAs(t, result.LastErr, new(*dicomnet.AbortError))
}

func TestStudyWhoseAssociationIsRevokedKeepsWhatThePACSReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var share *pool.Share
		p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: func(a *association, uid string) {
			if uid != "1.2" {
				a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1))
				return
			}
			a.Moving(dicomtest.Count(2, 1, 0, 5))
			dicomtest.Wait(time.Second)
			share.Revoke(0)
		}}
		g := qrtest.For(p, qrtest.Options{MaxAssociationsPerPeer: 1, QueueTimeout: time.Minute})
		share = g.Share(qrtest.PACS)
		result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
		require.NoError(t, err)
		assert.Equal(t, []string{"1.1 ok 0000 1/0/0", "1.2 failed  2/1/0", "1.3 not_attempted  -/-/-"}, lines(result.Retrievals))
		assert.Equal(t, &dicomnet.OpError{Step: dicomnet.StepMove, Err: &pool.BusyError{Reason: pool.ShareLost}}, result.Err)
		g.Drain()
		require.NoError(t, g.Wait(t.Context()))
	})
}

func TestMoveTimeoutAbortsTheAssociation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: func(a *association, uid string) {
			if uid == "1.1" {
				a.Moving(dicomtest.Count(1, 0, 0, 5))
				return
			}
			a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1))
		}}
		g := qrtest.For(p, qrtest.Options{Timeouts: dicomnet.Timeouts{ACSE: time.Second, DIMSE: time.Second, Move: time.Minute, Network: time.Second}})
		start := time.Now()
		result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Equal(t, []string{"1.1 failed  1/0/0", "1.2 ok 0000 1/0/0", "1.3 ok 0000 1/0/0"}, lines(result.Retrievals))
		var timeout *dicomnet.TimeoutError
		require.ErrorAs(t, result.Err, &timeout)
		assert.Equal(t, dicomnet.TimerMove, timeout.Timer)
		assert.ElementsMatch(t, []string{
			"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "abort", "associate MOVE", "move 1.2 to DEST", "move 1.3 to DEST", "release",
		}, qrtest.Events(t, p, g), "in this order, except that the PACS may see the abort late")
	})
}

func TestMoveMayTakeLongWhilePendingResponsesArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps = 15
		p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("P1", "1.1")}, Move: func(a *association, _ string) {
			for i := range steps {
				time.Sleep(2 * time.Second)
				a.Moving(dicomtest.Count(i+1, 0, 0, steps-i-1))
			}
			a.Moved(dicomnet.StatusSuccess, dicomtest.Count(steps, 0, 0, -1))
		}}
		g := qrtest.For(p, qrtest.Options{})
		var seen recorder
		result, err := g.Retrieve(t.Context(), qr.Call{Observer: &seen}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
		require.NoError(t, err)
		assert.Equal(t, []string{"1.1 ok 0000 15/0/0"}, lines(result.Retrievals))
		assert.Len(t, seen.lines, 1+steps+1, "Moving is called for each pending response")
		qrtest.Events(t, p, g)
	})
}

func TestCancelledRetrieveSendsCancel(t *testing.T) {
	cause := errors.New("caller disconnected")
	ctx, cancel := context.WithCancelCause(t.Context())
	p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: func(a *association, uid string) {
		if uid != "1.2" {
			a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1))
			return
		}
		a.Moving(dicomtest.Count(2, 0, 0, 5))
		a.AwaitCancel()
		a.Moved(dicomnet.StatusCancel, dicomtest.Count(2, 0, 0, 5))
	}}
	g := qrtest.For(p, qrtest.Options{})
	seen := recorder{onMoving: func() { cancel(cause) }}
	result, err := g.Retrieve(ctx, qr.Call{Observer: &seen}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
	require.NoError(t, err)
	require.Len(t, result.Retrievals, 3)
	assert.Equal(t, qr.RetrievalOK, result.Retrievals[0].Status)
	assert.Equal(t, qr.RetrievalCancelled, result.Retrievals[1].Status)
	assert.Equal(t, 2, *result.Retrievals[1].Completed)
	assert.Equal(t, qr.RetrievalNotAttempted, result.Retrievals[2].Status)
	assert.ErrorIs(t, result.Err, context.Canceled)
	assert.ErrorIs(t, result.Err, cause)
	assert.Equal(t, dicomnet.StepMove, qrtest.StepOf(t, result.Err))
	assert.Equal(t, []string{
		"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST", "cancel", "release",
	}, qrtest.Events(t, p, g))
	assert.Len(t, seen.lines, 5)
}

func TestCancelBetweenStudiesLeavesTheRestUnattempted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &dicomtest.ScriptedPACS{Studies: threeStudies()}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Retrieve(ctx, qr.Call{Observer: &recorder{onRetrieved: cancel}}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1 ok 0000 1/0/0", "1.2 not_attempted  -/-/-", "1.3 not_attempted  -/-/-"}, lines(result.Retrievals))
	assert.ErrorIs(t, result.Err, context.Canceled)
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "release"}, qrtest.Events(t, p, g))
}

func TestOperationTimeoutEndsARetrieveWithItsOutcomesSoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: func(a *association, uid string) {
			if uid == "1.1" {
				a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1))
				return
			}
			for range 12 {
				a.Moving(dicomtest.Count(2, 0, 0, 5))
				time.Sleep(5 * time.Second)
			}
			a.AwaitCancel()
			a.Moved(dicomnet.StatusCancel, dicomtest.Count(2, 0, 0, 5))
		}}
		g := qrtest.For(p, qrtest.Options{OperationTimeout: 59 * time.Second})
		start := time.Now()
		result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(start), 61*time.Second)
		require.Len(t, result.Retrievals, 3)
		assert.Equal(t, qr.RetrievalCancelled, result.Retrievals[1].Status)
		assert.Equal(t, qr.RetrievalNotAttempted, result.Retrievals[2].Status)
		var timeout *qr.OperationTimeoutError
		assert.ErrorAs(t, result.Err, &timeout)
		assert.Equal(t, dicomnet.StepMove, qrtest.StepOf(t, result.Err))
		assert.True(t, result.Moved())
		qrtest.Events(t, p, g)
	})
}

package qr_test

import (
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/internal/pool"

	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
)

func fiveStudies() []dicomtest.Attributes {
	return append(threeStudies(), study("P1", "1.4"), study("P1", "1.5"))
}

func TestAnAssociationThatEndsCostsItsStudyAndIsReplacedOnce(t *testing.T) {
	ok := func(a *dicomtest.ScriptedAssociation) { a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1)) }
	half := func(a *dicomtest.ScriptedAssociation, end func()) { a.Moving(dicomtest.Count(2, 1, 0, 5)); end() }
	abort := func(a *dicomtest.ScriptedAssociation) { half(a, a.Abort) }
	closed := func(a *dicomtest.ScriptedAssociation) { half(a, func() { a.Close() }) }
	tests := []struct {
		name    string
		on      map[string]func(*dicomtest.ScriptedAssociation) // by study; ok where missing
		rejects func(nth int) bool
		want    []string
		events  []string
	}{
		{
			"an abort in the second of five",
			map[string]func(*dicomtest.ScriptedAssociation){"1.2": abort},
			nil,
			[]string{"1.1 ok 0000 1/0/0", "1.2 failed  2/1/0", "1.3 ok 0000 1/0/0", "1.4 ok 0000 1/0/0", "1.5 ok 0000 1/0/0"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST",
				"associate MOVE", "move 1.3 to DEST", "move 1.4 to DEST", "move 1.5 to DEST", "release",
			},
		},
		{
			"a closed connection in the second of five",
			map[string]func(*dicomtest.ScriptedAssociation){"1.2": closed},
			nil,
			[]string{"1.1 ok 0000 1/0/0", "1.2 failed  2/1/0", "1.3 ok 0000 1/0/0", "1.4 ok 0000 1/0/0", "1.5 ok 0000 1/0/0"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST",
				"associate MOVE", "move 1.3 to DEST", "move 1.4 to DEST", "move 1.5 to DEST", "release",
			},
		},
		{
			"a second end",
			map[string]func(*dicomtest.ScriptedAssociation){"1.1": abort, "1.3": abort},
			nil,
			[]string{"1.1 failed  2/1/0", "1.2 ok 0000 1/0/0", "1.3 failed  2/1/0", "1.4 not_attempted  -/-/-", "1.5 not_attempted  -/-/-"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST",
				"associate MOVE", "move 1.2 to DEST", "move 1.3 to DEST",
			},
		},
		{
			"an end that lets nobody in again",
			map[string]func(*dicomtest.ScriptedAssociation){"1.3": abort},
			func(nth int) bool { return nth > 1 },
			[]string{"1.1 ok 0000 1/0/0", "1.2 ok 0000 1/0/0", "1.3 failed  2/1/0", "1.4 not_attempted  -/-/-", "1.5 not_attempted  -/-/-"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST", "move 1.3 to DEST",
				"associate MOVE",
			},
		},
		{
			"an end in the last one",
			map[string]func(*dicomtest.ScriptedAssociation){"1.5": abort},
			nil,
			[]string{"1.1 ok 0000 1/0/0", "1.2 ok 0000 1/0/0", "1.3 ok 0000 1/0/0", "1.4 ok 0000 1/0/0", "1.5 failed  2/1/0"},
			[]string{
				"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST", "move 1.3 to DEST", "move 1.4 to DEST",
				"move 1.5 to DEST",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var trail []string
			p := &dicomtest.ScriptedPACS{Studies: fiveStudies(), rejects: test.rejects, Move: func(a *dicomtest.ScriptedAssociation, uid string) {
				if answer, set := test.on[uid]; set {
					answer(a)
					return
				}
				ok(a)
			}}
			result := retrieve(t, p, qr.Filter{}, follow(&trail))
			assert.Equal(t, test.want, lines(result.Retrievals))
			assert.Equal(t, test.events, qrtest.Lines(p))
			assert.Equal(t, dicomnet.StepMove, qrtest.StepOf(t, result.Err))
			assert.True(t, result.Moved())
			var told []string
			for _, line := range trail {
				if rest, is := strings.CutPrefix(line, "retrieved "); is {
					told = append(told, rest)
				}
			}
			assert.Equal(t, test.want, told, "each study is told of, also those that were not attempted")
		})
	}
}

func TestAMoveThatFallsSilentIsAnEndOfTheAssociation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: func(a *dicomtest.ScriptedAssociation, uid string) {
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
		}, qrtest.Events(t, p, g), "in this order but for the abort, which the peer may see late")
	})
}

func TestAMoveMayTakeLongAsLongAsItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps = 15
		p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("P1", "1.1")}, Move: func(a *dicomtest.ScriptedAssociation, _ string) {
			for i := range steps {
				time.Sleep(2 * time.Second)
				a.Moving(dicomtest.Count(i+1, 0, 0, steps-i-1))
			}
			a.Moved(dicomnet.StatusSuccess, dicomtest.Count(steps, 0, 0, -1))
		}}
		g := qrtest.For(p, qrtest.Options{})
		told := 0
		result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST", Progress{
			Moving: func(qr.SubOperations) { told++ },
		})
		require.NoError(t, err)
		assert.Equal(t, []string{"1.1 ok 0000 15/0/0"}, lines(result.Retrievals))
		assert.Equal(t, steps, told)
		qrtest.Events(t, p, g)
	})
}

func TestACallerThatGoesAwayCancelsTheMove(t *testing.T) {
	gone := errors.New("gone")
	ctx, leave := context.WithCancelCause(t.Context())
	p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: func(a *dicomtest.ScriptedAssociation, uid string) {
		if uid != "1.2" {
			a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1))
			return
		}
		a.Moving(dicomtest.Count(2, 0, 0, 5))
		a.AwaitCancel()
		a.Moved(dicomnet.StatusCancel, dicomtest.Count(2, 0, 0, 5))
	}}
	g := qrtest.For(p, qrtest.Options{})
	var trail []string
	progress := follow(&trail)
	moving := progress.Moving
	progress.Moving = func(p qr.SubOperations) { moving(p); leave(gone) }
	result, err := g.Retrieve(ctx, qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST", progress)
	require.NoError(t, err)
	require.Len(t, result.Retrievals, 3)
	assert.Equal(t, qr.RetrievalOK, result.Retrievals[0].Status)
	assert.Equal(t, qr.RetrievalCancelled, result.Retrievals[1].Status)
	assert.Equal(t, 2, *result.Retrievals[1].Completed)
	assert.Equal(t, qr.RetrievalNotAttempted, result.Retrievals[2].Status)
	assert.ErrorIs(t, result.Err, context.Canceled)
	assert.ErrorIs(t, result.Err, gone)
	assert.Equal(t, dicomnet.StepMove, qrtest.StepOf(t, result.Err))
	assert.Equal(t, []string{
		"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST", "cancel", "release",
	}, qrtest.Events(t, p, g))
	assert.Len(t, trail, 5)
}

func TestACallerThatGoesAwayBetweenStudiesLeavesTheRestUnattempted(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	p := &dicomtest.ScriptedPACS{Studies: threeStudies()}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Retrieve(ctx, qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST", Progress{Retrieved: func(qr.Retrieval) { leave() }})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1 ok 0000 1/0/0", "1.2 not_attempted  -/-/-", "1.3 not_attempted  -/-/-"}, lines(result.Retrievals))
	assert.ErrorIs(t, result.Err, context.Canceled)
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "release"}, qrtest.Events(t, p, g))
}

func TestTheOperationTimeoutEndsARetrieveWithWhatItDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: func(a *dicomtest.ScriptedAssociation, uid string) {
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

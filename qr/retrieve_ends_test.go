package qr

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
)

func fiveStudies() []attributes {
	return append(threeStudies(), study("P1", "1.4"), study("P1", "1.5"))
}

func TestAnAssociationThatEndsCostsItsStudyAndIsReplacedOnce(t *testing.T) {
	ok := func(a *association) { a.final(dicomnet.StatusSuccess, count(1, 0, 0, -1)) }
	half := func(a *association, end func()) { a.pending(count(2, 1, 0, 5)); end() }
	abort := func(a *association) { half(a, a.abort) }
	closed := func(a *association) { half(a, func() { _ = a.Conn.Close() }) }
	tests := []struct {
		name    string
		on      map[string]func(*association) // by study; ok where missing
		rejects func(nth int) bool
		want    []string
		events  []string
	}{
		{
			"an abort in the second of five",
			map[string]func(*association){"1.2": abort},
			nil,
			[]string{"1.1 ok 0000 1/0/0", "1.2 failed  2/1/0", "1.3 ok 0000 1/0/0", "1.4 ok 0000 1/0/0", "1.5 ok 0000 1/0/0"},
			[]string{
				"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST", "move 1.2 to DEST",
				"associate MOVE", "move 1.3 to DEST", "move 1.4 to DEST", "move 1.5 to DEST", "release",
			},
		},
		{
			"a closed connection in the second of five",
			map[string]func(*association){"1.2": closed},
			nil,
			[]string{"1.1 ok 0000 1/0/0", "1.2 failed  2/1/0", "1.3 ok 0000 1/0/0", "1.4 ok 0000 1/0/0", "1.5 ok 0000 1/0/0"},
			[]string{
				"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST", "move 1.2 to DEST",
				"associate MOVE", "move 1.3 to DEST", "move 1.4 to DEST", "move 1.5 to DEST", "release",
			},
		},
		{
			"a second end",
			map[string]func(*association){"1.1": abort, "1.3": abort},
			nil,
			[]string{"1.1 failed  2/1/0", "1.2 ok 0000 1/0/0", "1.3 failed  2/1/0", "1.4 not_attempted  -/-/-", "1.5 not_attempted  -/-/-"},
			[]string{
				"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST",
				"associate MOVE", "move 1.2 to DEST", "move 1.3 to DEST",
			},
		},
		{
			"an end that lets nobody in again",
			map[string]func(*association){"1.3": abort},
			func(nth int) bool { return nth > 1 },
			[]string{"1.1 ok 0000 1/0/0", "1.2 ok 0000 1/0/0", "1.3 failed  2/1/0", "1.4 not_attempted  -/-/-", "1.5 not_attempted  -/-/-"},
			[]string{
				"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST", "move 1.2 to DEST", "move 1.3 to DEST",
				"associate MOVE",
			},
		},
		{
			"an end in the last one",
			map[string]func(*association){"1.5": abort},
			nil,
			[]string{"1.1 ok 0000 1/0/0", "1.2 ok 0000 1/0/0", "1.3 ok 0000 1/0/0", "1.4 ok 0000 1/0/0", "1.5 failed  2/1/0"},
			[]string{
				"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST", "move 1.2 to DEST", "move 1.3 to DEST", "move 1.4 to DEST",
				"move 1.5 to DEST",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var trail []string
			p := &pacs{studies: fiveStudies(), rejects: test.rejects, move: func(a *association, uid string) {
				if answer, set := test.on[uid]; set {
					answer(a)
					return
				}
				ok(a)
			}}
			result := retrieve(t, p, Filter{}, follow(&trail))
			assert.Equal(t, test.want, lines(result.Retrievals))
			assert.Equal(t, test.events, p.events)
			assert.Equal(t, dicomnet.StepMove, stepOf(t, result.Err))
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
		p := &pacs{studies: threeStudies(), move: func(a *association, uid string) {
			if uid == "1.1" {
				a.pending(count(1, 0, 0, 5))
				return
			}
			a.final(dicomnet.StatusSuccess, count(1, 0, 0, -1))
		}}
		g := p.gateway(t, Options{Timeouts: dicomnet.Timeouts{ACSE: time.Second, DIMSE: time.Second, Move: time.Minute, Network: time.Second}})
		start := time.Now()
		result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1"}, "DEST", Progress{})
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Equal(t, []string{"1.1 failed  1/0/0", "1.2 ok 0000 1/0/0", "1.3 ok 0000 1/0/0"}, lines(result.Retrievals))
		var timeout *dicomnet.TimeoutError
		require.ErrorAs(t, result.Err, &timeout)
		assert.Equal(t, dicomnet.TimerMove, timeout.Timer)
		assert.ElementsMatch(t, []string{
			"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST", "abort", "associate MOVE", "move 1.2 to DEST", "move 1.3 to DEST", "release",
		}, p.seen(t, g), "in this order but for the abort, which the peer may see late")
	})
}

func TestAMoveMayTakeLongAsLongAsItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps = 15
		p := &pacs{studies: []attributes{study("P1", "1.1")}, move: func(a *association, _ string) {
			for i := range steps {
				time.Sleep(2 * time.Second)
				a.pending(count(i+1, 0, 0, steps-i-1))
			}
			a.final(dicomnet.StatusSuccess, count(steps, 0, 0, -1))
		}}
		g := p.gateway(t, Options{})
		told := 0
		result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1"}, "DEST", Progress{
			Moving: func(SubOperations) { told++ },
		})
		require.NoError(t, err)
		assert.Equal(t, []string{"1.1 ok 0000 15/0/0"}, lines(result.Retrievals))
		assert.Equal(t, steps, told)
		p.seen(t, g)
	})
}

func TestACallerThatGoesAwayCancelsTheMove(t *testing.T) {
	gone := errors.New("gone")
	ctx, leave := context.WithCancelCause(t.Context())
	p := &pacs{studies: threeStudies(), move: func(a *association, uid string) {
		if uid != "1.2" {
			a.final(dicomnet.StatusSuccess, count(1, 0, 0, -1))
			return
		}
		a.pending(count(2, 0, 0, 5))
		a.awaitCancel()
		a.final(dicomnet.StatusCancel, count(2, 0, 0, 5))
	}}
	g := p.gateway(t, Options{})
	var trail []string
	progress := follow(&trail)
	moving := progress.Moving
	progress.Moving = func(p SubOperations) { moving(p); leave(gone) }
	result, err := g.Retrieve(ctx, thePACS, Filter{PatientID: "P1"}, "DEST", progress)
	require.NoError(t, err)
	require.Len(t, result.Retrievals, 3)
	assert.Equal(t, RetrievalOK, result.Retrievals[0].Status)
	assert.Equal(t, RetrievalCancelled, result.Retrievals[1].Status)
	assert.Equal(t, 2, *result.Retrievals[1].Completed)
	assert.Equal(t, RetrievalNotAttempted, result.Retrievals[2].Status)
	assert.ErrorIs(t, result.Err, context.Canceled)
	assert.ErrorIs(t, result.Err, gone)
	assert.Equal(t, dicomnet.StepMove, stepOf(t, result.Err))
	assert.Equal(t, []string{
		"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST", "move 1.2 to DEST", "cancel", "release",
	}, p.seen(t, g))
	assert.Len(t, trail, 5)
}

func TestACallerThatGoesAwayBetweenStudiesLeavesTheRestUnattempted(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	p := &pacs{studies: threeStudies()}
	g := p.gateway(t, Options{})
	result, err := g.Retrieve(ctx, thePACS, Filter{PatientID: "P1"}, "DEST", Progress{Retrieved: func(Retrieval) { leave() }})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1 ok 0000 1/0/0", "1.2 not_attempted  -/-/-", "1.3 not_attempted  -/-/-"}, lines(result.Retrievals))
	assert.ErrorIs(t, result.Err, context.Canceled)
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST", "release"}, p.seen(t, g))
}

func TestTheOperationTimeoutEndsARetrieveWithWhatItDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{studies: threeStudies(), move: func(a *association, uid string) {
			if uid == "1.1" {
				a.final(dicomnet.StatusSuccess, count(1, 0, 0, -1))
				return
			}
			for range 12 {
				a.pending(count(2, 0, 0, 5))
				time.Sleep(5 * time.Second)
			}
			a.awaitCancel()
			a.final(dicomnet.StatusCancel, count(2, 0, 0, 5))
		}}
		g := p.gateway(t, Options{OperationTimeout: 59 * time.Second})
		start := time.Now()
		result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1"}, "DEST", Progress{})
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(start), 61*time.Second)
		require.Len(t, result.Retrievals, 3)
		assert.Equal(t, RetrievalCancelled, result.Retrievals[1].Status)
		assert.Equal(t, RetrievalNotAttempted, result.Retrievals[2].Status)
		var timeout *OperationTimeoutError
		assert.ErrorAs(t, result.Err, &timeout)
		assert.Equal(t, dicomnet.StepMove, stepOf(t, result.Err))
		assert.True(t, result.Moved())
		p.seen(t, g)
	})
}

package receive_test

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/qr/receive"
)

func moving() pool.Settings { return pool.Settings{Retrieve: pool.RetrieveMove} }

func TestAStudyASeriesAndAnInstanceAreRetrievedByCMOVE(t *testing.T) {
	s := study()
	r := newRig(t, rigOptions{scp: true, settings: moving()})
	got := r.whole(t, s)
	assert.Equal(t, receive.WayMove, got.outcome.Way)
	assert.Zero(t, r.pacs.Operations(dicomnet.StepGet))

	q := r.request(s)
	q.SeriesInstanceUID = s.Instances()[0].Text(tag.SeriesInstanceUID)
	got, err := r.retrieve(t, q)
	require.NoError(t, err)
	assert.Len(t, got.uids, 3)
	assert.True(t, got.outcome.Complete)

	q.SOPInstanceUID = s.Instances()[0].Text(tag.SOPInstanceUID)
	got, err = r.retrieve(t, q)
	require.NoError(t, err)
	assert.Equal(t, []string{q.SOPInstanceUID}, got.uids)
	assert.True(t, got.outcome.Complete)
}

func TestAPACSWithCMOVEInPatientRootAlone(t *testing.T) {
	r := newRig(t, rigOptions{scp: true, settings: moving(), pacs: dicomtest.PACSConfig{RefuseContexts: []string{dicomnet.StudyRoot.Move}}})
	r.whole(t, study())
}

// The grace period of the rig is long: a retrieval that waited for it, or a title that rested, would be seen.
func TestAStudyIsCompleteByCMOVEFromEveryKindOfPACS(t *testing.T) {
	for name, retrieval := range map[string]dicomtest.Retrieval{
		"with several associations":        {PerAssociation: 1},
		"with its own originator":          {OwnOriginator: true},
		"that answers before it sends all": {AfterFinal: 2},
		"that answers before it sends":     {AfterFinal: 100},
		"that leaves out some at first": {Plan: plan(1, func(list []*dicomtest.Instance) []*dicomtest.Instance {
			return without(list, 1, 3)
		})},
		"that sends in another order": {Plan: plan(always, func(list []*dicomtest.Instance) []*dicomtest.Instance {
			slices.Reverse(list)
			return list
		})},
		"that sends some twice": {Plan: plan(always, func(list []*dicomtest.Instance) []*dicomtest.Instance {
			return append(list, list[0], list[0])
		})},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{scp: true, settings: moving(), pacs: dicomtest.PACSConfig{Retrieval: retrieval}})
			start := time.Now()
			r.whole(t, study())
			r.whole(t, study())
			assert.Less(t, time.Since(start), 10*time.Second)
		})
	}
}

func TestAMoveWhoseInstancesDoNotComeEndsAfterTheGracePeriod(t *testing.T) {
	s := study()
	r := newRig(t, rigOptions{scp: true, grace: 100 * time.Millisecond, settings: moving(), pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
		Plan: plan(always, none),
		Final: func(_ dicomnet.Step, r *dicomnet.RetrieveReport) {
			*r.Completed = 5
		},
	}}})
	_, err := r.retrieve(t, r.request(s))
	var incomplete *receive.IncompleteError
	require.ErrorAs(t, err, &incomplete)
	assert.Equal(t, 5, incomplete.Missing)
}

func TestAPACSWithoutCGETIsAskedToMove(t *testing.T) {
	s := study()
	for name, refuse := range map[string]dicomtest.PACSConfig{
		"no presentation context for C-GET": {RefuseContexts: []string{dicomnet.StudyRoot.Get, dicomnet.PatientRoot.Get}},
		"no presentation context of storage": {RefuseContexts: []string{
			dicomtest.CTImageStorage, dicomtest.UltrasoundImageStorage, "1.2.840.10008.5.1.4.1.1.88.11",
		}},
		"no role of SCP": {Retrieval: dicomtest.Retrieval{UnconfirmedRoles: true, Plan: byMoveOnly, Final: unable}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{scp: true, pacs: refuse})
			got := r.whole(t, s)
			tried := r.pacs.Operations(dicomnet.StepGet)
			if refuse.RefuseContexts != nil {
				assert.Equal(t, receive.WayMove, got.outcome.Way)
				assert.Zero(t, tried)
			} else {
				assert.Equal(t, receive.WayGetThenMove, got.outcome.Way)
			}
			got = r.whole(t, s)
			assert.Equal(t, receive.WayMove, got.outcome.Way, "it is remembered")
			assert.Equal(t, tried, r.pacs.Operations(dicomnet.StepGet))
		})
	}
}

// byMoveOnly sends nothing by C-GET.
func byMoveOnly(op dicomnet.Step, list []*dicomtest.Instance) []*dicomtest.Instance {
	if op == dicomnet.StepGet {
		return nil
	}
	return list
}

func unable(op dicomnet.Step, r *dicomnet.RetrieveReport) {
	if op == dicomnet.StepGet {
		r.Status = dicomnet.StatusCannotPerform
	}
}

func TestWhatDoesNotComeByCGETComesByCMOVE(t *testing.T) {
	s := study()
	r := newRig(t, rigOptions{scp: true, pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
		Plan: func(op dicomnet.Step, list []*dicomtest.Instance) []*dicomtest.Instance {
			if op == dicomnet.StepGet {
				return slices.DeleteFunc(list, func(in *dicomtest.Instance) bool {
					return in.Text(tag.SOPInstanceUID) == s.Instances()[1].Text(tag.SOPInstanceUID)
				})
			}
			return list
		},
	}}})
	got := r.whole(t, s)
	assert.Equal(t, receive.WayGetThenMove, got.outcome.Way)
	assert.Equal(t, 1, r.pacs.Operations(dicomnet.StepMove))
	assert.Zero(t, got.outcome.Duplicates, "only what is missing is asked for")
}

func TestARetrievalFailsIfThePACSOffersNoWay(t *testing.T) {
	s := study()
	none := []string{dicomnet.StudyRoot.Get, dicomnet.PatientRoot.Get, dicomnet.StudyRoot.Move, dicomnet.PatientRoot.Move}
	for name, test := range map[string]struct {
		options rigOptions
		want    receive.NoWayError
		text    string
	}{
		"no C-GET, no storage SCP": {
			rigOptions{pacs: dicomtest.PACSConfig{RefuseContexts: none}},
			receive.NoWayError{GetRefused: true, SCPOff: true},
			"the PACS does not accept C-GET, and there is no storage SCP for C-MOVE",
		},
		"C-MOVE wanted, no storage SCP": {
			rigOptions{settings: moving()},
			receive.NoWayError{SCPOff: true},
			"there is no storage SCP for C-MOVE",
		},
		"neither": {
			rigOptions{pacs: dicomtest.PACSConfig{RefuseContexts: none}, scp: true},
			receive.NoWayError{GetRefused: true},
			"the PACS accepts neither C-GET nor C-MOVE",
		},
		"no AE title for the PACS": {
			rigOptions{settings: pool.Settings{Retrieve: pool.RetrieveMove, MoveDestinations: []string{"OTHER"}}, scp: true},
			receive.NoWayError{SCPOff: true},
			"there is no storage SCP for C-MOVE",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.options)
			for range 2 {
				_, err := r.retrieve(t, r.request(s))
				var noWay *receive.NoWayError
				require.ErrorAs(t, err, &noWay)
				assert.Equal(t, &test.want, noWay)
				assert.Equal(t, test.text, noWay.Error())
			}
		})
	}
}

// Two retrievals of one study under one AE title run one after the other; each gets all of it.
func TestRetrievalsThatCouldBeConfusedDoNotMix(t *testing.T) {
	s := study()
	r := newRig(t, rigOptions{scp: true, settings: moving()})
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { r.whole(t, s) })
	}
	all.Wait()
}

func TestACallerThatLeavesCancelsAMove(t *testing.T) {
	s := large(12)
	r := newRig(t, rigOptions{scp: true, settings: moving(), grace: 100 * time.Millisecond, studies: []dicomtest.Study{s}, pacs: dicomtest.PACSConfig{
		Before: func(ctx context.Context, op dicomnet.Step) {
			if op == dicomnet.StepMove {
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		},
	}})
	x, err := r.Retrieve(t.Context(), r.request(s))
	require.NoError(t, err)
	for in, err := range x.All() {
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, in)
		require.NoError(t, err)
		break
	}
	x.Close()
	o := x.Outcome()
	assert.False(t, o.Complete)
	assert.Less(t, o.Received, 12)
	r.whole(t, s)
}

func TestAPACSWithoutAFreeAssociationIsAskedOnce(t *testing.T) {
	r := newRig(t, rigOptions{scp: true, queue: 20 * time.Millisecond, settings: pool.Settings{MaxRetrievals: 1}})
	held := r.pool.Retrieval(r.peer, principal.Identity{}, nil)
	require.NoError(t, held.Open(t.Context(), dicomnet.StudyRoot.Move))
	_, err := r.retrieve(t, r.request(study()))
	held.End(t.Context())
	var busy *pool.BusyError
	require.ErrorAs(t, err, &busy)
	assert.Equal(t, pool.TooManyRetrievals, busy.Reason)
	r.whole(t, study())
}

// Some PACS end the connection when an association has something that they do not know.
func TestAPACSThatAbortsTheAssociationForCGETIsAskedToMove(t *testing.T) {
	for _, way := range []pool.RetrieveMethod{pool.RetrieveAuto, pool.RetrieveGet} {
		p := &dicomtest.ScriptedPACS{
			Negotiate: func(a *dicomtest.ScriptedAssociation) bool {
				if len(a.RQ.User.Roles) > 0 {
					a.Abort()
					return false
				}
				return true
			},
			Find: func(a *dicomtest.ScriptedAssociation, level string) {
				match := dicomtest.Attributes{dataset.SeriesInstanceUID: "1.2.1"}
				if level == "IMAGE" {
					match[tag.SOPInstanceUID] = "1.2.1.1"
				}
				a.Match(dicomtest.StudyMatch("P1", "1.2", match))
				a.Finish(dicomnet.StatusSuccess)
			},
			Move: func(a *dicomtest.ScriptedAssociation, _ string) { a.Moved(0xA801, dicomtest.Counters{}) },
		}
		listening, stop, err := p.Listen()
		require.NoError(t, err)
		r := newRig(t, rigOptions{scp: true, settings: pool.Settings{Retrieve: way}})
		r.peer.Port = qrtest.At(t, listening).Port
		_, err = r.retrieve(t, receive.Request{Target: receive.Target{StudyInstanceUID: "1.2"}, Peer: r.peer})
		var aborted *dicomnet.AbortError
		require.ErrorAs(t, err, &aborted)
		moved := !p.When("move").IsZero()
		assert.Equal(t, way == pool.RetrieveAuto, moved)
		stop()
		require.NoError(t, p.Err())
	}
}

package dicomtest_test

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// dialScripted opens an association with the PACS for C-ECHO, C-FIND and C-MOVE.
func dialScripted(t *testing.T, p *dicomtest.ScriptedPACS) (*dicomnet.Association, error) {
	t.Helper()
	const d = 10 * time.Second
	cfg := dicomnet.Config{
		CalledAETitle: aeTitle, CallingAETitle: "TEST", DialContext: p.DialContext,
		Timeouts: dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Move: d, Network: d},
	}
	for _, class := range []string{dicomnet.VerificationSOPClass, dicomnet.StudyRoot.Find, dicomnet.StudyRoot.Move} {
		cfg.Contexts = append(cfg.Contexts, dicomnet.Context{
			AbstractSyntax: class, TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian},
		})
	}
	return dicomnet.Dial(t.Context(), "pacs:104", cfg)
}

// establish is dialScripted for an association that is accepted.
func establish(t *testing.T, p *dicomtest.ScriptedPACS) *dicomnet.Association {
	t.Helper()
	assoc, err := dialScripted(t, p)
	require.NoError(t, err)
	return assoc
}

func findStudies(t *testing.T, assoc *dicomnet.Association) ([]answer, error) {
	t.Helper()
	return find(t.Context(), assoc, dicomnet.StudyRoot, identifier("STUDY", want(tag.PatientID, "P1")))
}

func studyKeys(level, uid string) *dicom.Dataset {
	return identifier(level, want(tag.StudyInstanceUID, uid))
}

func TestScriptedPACSAnswersWithItsStudiesAndSeries(t *testing.T) {
	p := &dicomtest.ScriptedPACS{
		Studies: []dicomtest.Attributes{
			dicomtest.StudyMatch("P1", "1.1", dicomtest.Attributes{tag.StudyDate: "20240101"}), dicomtest.StudyMatch("P1", "1.2"),
		},
		Series: map[string][]dicomtest.Attributes{"1.2": {{tag.Modality: "CT"}, {tag.Modality: "MR"}}},
	}
	assoc := establish(t, p)
	require.NoError(t, assoc.Echo(t.Context()))
	studies, err := findStudies(t, assoc)
	require.NoError(t, err)
	assert.Equal(t, []answer{
		{tag.PatientID: {"P1"}, tag.StudyInstanceUID: {"1.1"}, tag.StudyDate: {"20240101"}},
		{tag.PatientID: {"P1"}, tag.StudyInstanceUID: {"1.2"}},
	}, studies)
	series, err := find(t.Context(), assoc, dicomnet.StudyRoot, studyKeys("SERIES", "1.2"))
	require.NoError(t, err)
	assert.Equal(t, []answer{{tag.Modality: {"CT"}}, {tag.Modality: {"MR"}}}, series)
	reports := move(t, assoc, dicomnet.StudyRoot, "DEST", studyKeys("STUDY", "1.2"))
	require.Len(t, reports, 1)
	assert.Equal(t, dicomnet.StatusSuccess, reports[0].Status)
	assert.Equal(t, uint16(1), *reports[0].Completed)
	assert.Nil(t, reports[0].Remaining)
	require.NoError(t, assoc.Close())
	require.NoError(t, p.Err())

	assert.Equal(t, []string{
		"associate ECHO FIND MOVE", "echo", "find STUDY", "find SERIES 1.2", "move 1.2 to DEST", "release",
	}, p.Lines())
	for _, e := range p.Events() {
		assert.Equal(t, 1, e.Nth)
	}
	require.Len(t, p.AssociateRQs(), 1)
	assert.Equal(t, "TEST", p.AssociateRQs()[0].CallingAETitle)
}

func TestScriptedPACSRefusesAssociationsAndContexts(t *testing.T) {
	p := &dicomtest.ScriptedPACS{
		Greet:   func(a *dicomtest.Association) bool { return a.Nth != 1 || a.Reject(dicomtest.LocalLimitExceeded) },
		Accepts: func(nth int, class string) bool { return nth > 2 || class != dicomnet.StudyRoot.Move },
	}
	_, err := dialScripted(t, p)
	var reject *dicomnet.RejectError
	require.ErrorAs(t, err, &reject)
	assert.True(t, reject.Transient())
	for nth := 2; nth <= 3; nth++ {
		assoc := establish(t, p)
		assert.True(t, assoc.Accepts(dicomnet.StudyRoot.Find))
		assert.Equal(t, nth == 3, assoc.Accepts(dicomnet.StudyRoot.Move))
		require.NoError(t, assoc.Close())
	}
	require.NoError(t, p.Err())

	p.Forget()
	assert.Empty(t, p.Lines())
	assert.Empty(t, p.AssociateRQs())
	_, err = dialScripted(t, p)
	assert.ErrorAs(t, err, &reject, "Forget counts from 1 again")
	require.NoError(t, p.Err())
}

func TestScriptedPACSSendsTheResponsesOfTheTest(t *testing.T) {
	p := &dicomtest.ScriptedPACS{
		Echo: func(a *dicomtest.Association) { a.Done(dicomnet.StatusOutOfResources) },
		Find: func(a *dicomtest.Association) {
			assert.Equal(t, "STUDY", a.Level())
			a.Match(dicomtest.StudyMatch("P1", "1.1").With(tag.StudyDate, "20240101"))
			a.Undecodable()
			a.Done(dicomnet.StatusUnableToProcess)
		},
		Move: func(a *dicomtest.Association) {
			assert.Equal(t, "P1", a.PatientID, "the patient of the C-FIND before")
			assert.Equal(t, "1.1", a.StudyInstanceUID())
			a.Pending(dicomtest.Count(1, 0, 0, 2))
			a.Final(dicomnet.StatusWarning, dicomtest.Count(2, 1, -1, -1), "1.2.3", "1.2.4")
		},
	}
	assoc := establish(t, p)
	requireStatus(t, dicomnet.StatusOutOfResources, assoc.Echo(t.Context()))
	var errs []error
	for match, err := range assoc.Find(t.Context(), dicomnet.StudyRoot, identifier("STUDY", want(tag.PatientID, "P1"))) {
		if errs = append(errs, err); err == nil {
			assert.Equal(t, "20240101", match.String(tag.StudyDate))
		}
	}
	require.Len(t, errs, 3)
	require.NoError(t, errs[0])
	var undecodable *dicomnet.DataSetError
	require.ErrorAs(t, errs[1], &undecodable)
	requireStatus(t, dicomnet.StatusUnableToProcess, errs[2])

	reports := move(t, assoc, dicomnet.StudyRoot, "DEST", studyKeys("STUDY", "1.1"))
	require.Len(t, reports, 2)
	assert.Equal(t, uint16(2), *reports[0].Remaining)
	assert.Equal(t, dicomnet.StatusWarning, reports[1].Status)
	assert.Equal(t, uint16(1), *reports[1].Failed)
	assert.Nil(t, reports[1].Warning)
	assert.Equal(t, []string{"1.2.3", "1.2.4"}, reports[1].FailedSOPInstanceUIDs)
	require.NoError(t, assoc.Close())
	require.NoError(t, p.Err())
}

func TestScriptedPACSAwaitsCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.Association) {
			a.Match(dicomtest.StudyMatch("P1", "1.1"))
			a.AwaitCancel()
			dicomtest.Wait(time.Second)
			a.Done(dicomnet.StatusCancel)
		}}
		assoc := establish(t, p)
		for range assoc.Find(t.Context(), dicomnet.StudyRoot, identifier("STUDY", want(tag.PatientID, "P1"))) {
			break
		}
		require.NoError(t, assoc.Close())
		require.NoError(t, p.Err())
		assert.Equal(t, []string{"associate ECHO FIND MOVE", "find STUDY", "cancel", "release"}, p.Lines())
		assert.Equal(t, time.Second, p.Last(dicomtest.EventRelease).Sub(p.Last(dicomtest.EventCancel)))
		assert.Zero(t, p.Last(dicomtest.EventAbort))
	})
}

func TestScriptedPACSEndsAssociations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.Association) {
			dicomtest.Wait(time.Second)
			switch a.Nth {
			case 1:
				a.Abort()
			case 2:
				a.Close()
			default:
				a.Repeat(dicomtest.Response(a.Request, dicomnet.StatusPending, dicomtest.StudyMatch("P1", "1.1").Implicit()), time.Second)
			}
		}}
		start := time.Now()
		_, err := findStudies(t, establish(t, p))
		var aborted *dicomnet.AbortError
		require.ErrorAs(t, err, &aborted)
		assert.True(t, aborted.Remote)
		assert.Equal(t, time.Second, p.AwaitEnd().Sub(start))

		_, err = findStudies(t, establish(t, p))
		require.ErrorIs(t, err, dicomnet.ErrConnectionLost)
		assert.Equal(t, 2*time.Second, p.AwaitEnd().Sub(start))

		ctx, cancel := context.WithTimeout(t.Context(), 4500*time.Millisecond)
		defer cancel()
		assoc := establish(t, p)
		matches, err := find(ctx, assoc, dicomnet.StudyRoot, identifier("STUDY", want(tag.PatientID, "P1")))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, matches, 4)
		assoc.Abort()
		assert.Greater(t, p.AwaitEnd().Sub(start), 6500*time.Millisecond)
		require.NoError(t, p.Err())
	})
}

func TestScriptedPACSReportsWhatItDoesNotExpect(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.Association) { a.AwaitCancel() }}
	conn, err := p.DialContext(t.Context(), "tcp", "pacs:104")
	require.NoError(t, err)
	_, err = conn.Write((&pdu.ReleaseRQ{}).Append(nil))
	require.NoError(t, err)
	require.ErrorContains(t, p.Err(), "want A-ASSOCIATE-RQ")
}

func TestScriptedPACSListensOnLoopback(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Greet: func(a *dicomtest.Association) bool { a.Reset(); return false }}
	address, closeFn, err := p.Listen()
	require.NoError(t, err)
	cfg := dicomnet.Config{CalledAETitle: aeTitle, CallingAETitle: "TEST", Contexts: []dicomnet.Context{{
		AbstractSyntax: dicomnet.VerificationSOPClass, TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian},
	}}}
	_, err = dicomnet.Dial(t.Context(), address, cfg)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	closeFn()
	require.NoError(t, p.Err())
	p.Note("noted", "by the test")
	assert.Equal(t, []string{"associate ECHO", "noted by the test"}, p.Lines())
}

func TestAttributesEncodeTheirText(t *testing.T) {
	a := dicomtest.Attributes{tag.PatientID: "P1", tag.Modality: "CT", tag.ModalitiesInStudy: `CT\MR`}
	changed := a.With(tag.PatientID, "P23")
	assert.Equal(t, "P1", a[tag.PatientID], "With copies")
	for syntax, encoded := range map[dataset.TransferSyntax][]byte{
		dataset.ImplicitVRLittleEndian: changed.Implicit(), dataset.ExplicitVRLittleEndian: changed.Explicit(),
	} {
		set, err := dataset.Parse(encoded, syntax, dataset.Limits{})
		require.NoError(t, err)
		assert.Equal(t, 3, set.Len())
		assert.Equal(t, "P23", set.String(tag.PatientID))
		assert.Equal(t, []string{"CT", "MR"}, set.Strings(tag.ModalitiesInStudy))
	}
	_, err := dataset.Parse(dicomtest.Undecodable(), dataset.ImplicitVRLittleEndian, dataset.Limits{})
	require.Error(t, err)
}

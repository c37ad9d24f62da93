package qr_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

func accession(s string) dicomtest.Attributes {
	return dicomtest.Attributes{dataset.AccessionNumber: s}
}

// keys returns a Find that records the keys of each query, and answers it with the matches.
func keys(status dicomnet.Status, matches ...dicomtest.Attributes) func(a *association, level string) {
	return func(a *association, _ string) {
		k := a.Keys()
		a.PACS.Record("keys", "["+k.String(dataset.PatientID)+" "+k.String(dataset.StudyInstanceUID)+" "+k.String(dataset.AccessionNumber)+"]")
		if status == dicomnet.StatusSuccess {
			a.Match(matches...)
		}
		a.Finish(status)
	}
}

func retrieveFor(t *testing.T, p *dicomtest.ScriptedPACS, peer qr.Peer, f qr.Filter) (result *qr.RetrieveResult, events []string, err error) {
	t.Helper()
	g := qrtest.For(p, qrtest.Options{})
	result, err = g.Retrieve(t.Context(), qr.Call{}, peer, f, "DEST")
	return result, qrtest.Events(t, p, g), err
}

func TestAnAccessionNumberAloneSelectsStudiesOfAnyPatient(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: keys(
		dicomnet.StatusSuccess, study("P1", "1.1", accession("A7")), study("P2", "1.2", accession("A7")), study("P3", "1.3", accession("A8")),
	)}
	result, events, err := retrieveFor(t, p, qrtest.PACS, qr.Filter{AnyPatient: true, AccessionNumber: "A7"})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1", "1.2"}, qrtest.UIDs(result.Studies))
	assert.Equal(t, []qr.Warning{{qr.WarningPatientAmbiguous, "1 study is of another patient than the first"}}, result.Warnings)
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY", "keys [  A7]", "move 1.1 to DEST", "move 1.2 to DEST", "release"}, events)
}

func TestAStudyThatIsListedForTwoPatientsIsOfNeither(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: keys(dicomnet.StatusSuccess, study("P1", "1.1"), study("P2", "1.1"))}
	result, _, err := retrieveFor(t, p, qrtest.PACS, qr.Filter{AnyPatient: true, StudyInstanceUIDs: []string{"1.1"}})
	require.NoError(t, err)
	assert.Empty(t, result.Studies)
	assert.Contains(t, codes(result.Warnings), qr.WarningOtherPatientDropped)
}

func TestAQueryForAnyPatientIsNeverMadeWithoutItsKey(t *testing.T) {
	for _, f := range []qr.Filter{
		{AnyPatient: true, AccessionNumber: "A7"},
		{AnyPatient: true, StudyInstanceUIDs: []string{"1.1"}},
		{AnyPatient: true, StudyInstanceUIDs: []string{"1.1", "1.2"}, AccessionNumber: "A7"},
	} {
		for _, status := range []dicomnet.Status{dicomnet.StatusSuccess, 0xA900} {
			p := &dicomtest.ScriptedPACS{Find: keys(status)}
			_, events, _ := retrieveFor(t, p, qrtest.PACS, f)
			assert.NotContains(t, events, "keys [  ]")
		}
	}
	for _, f := range []qr.Filter{
		{},
		{AccessionNumber: "A7"},
		{AnyPatient: true},
		{AnyPatient: true, AccessionNumber: "12345678901234567"},
		{AnyPatient: true, StudyInstanceUIDs: []string{"1.1", "1.2"}},
	} {
		p := &dicomtest.ScriptedPACS{}
		require.ErrorAs(t, f.Check(today()), new(*qr.FilterError))
		_, events, err := retrieveFor(t, p, qrtest.PACS, f)
		require.ErrorAs(t, err, new(*qr.FilterError))
		assert.Empty(t, events)
	}
	require.NoError(t, qr.Filter{PatientID: "P1"}.Check(today()))
}

func TestStudiesOfAnyPatientAreSoughtInStudyRoot(t *testing.T) {
	patientRoot := qrtest.PACS
	patientRoot.Settings = &pool.Settings{PatientRoot: true}
	p := &dicomtest.ScriptedPACS{Find: keys(dicomnet.StatusSuccess, study("P1", "1.1"))}
	f := qr.Filter{AnyPatient: true, StudyInstanceUIDs: []string{"1.1"}}
	_, events, err := retrieveFor(t, p, patientRoot, f)
	require.NoError(t, err)
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY 1.1", "keys [ 1.1 ]", "move 1.1 to DEST", "release"}, events)

	p = &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
		a.Refuse(dicomnet.StudyRoot.Find)
		return true
	}}
	_, events, err = retrieveFor(t, p, patientRoot, f)
	require.ErrorAs(t, err, new(*dicomnet.NoContextError))
	assert.NotContains(t, events, "find STUDY 1.1")
}

func TestStudiesThatWereMovedBeforeAreNotMoved(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: threeStudies()}
	f := qr.Filter{PatientID: "P1", MaxResults: 2, Except: []string{"1.1"}}
	result, events, err := retrieveFor(t, p, qrtest.PACS, f)
	require.NoError(t, err)
	assert.Equal(t, []string{"1.2"}, qrtest.UIDs(result.Studies))
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY", "move 1.2 to DEST", "release"}, events)
	p = &dicomtest.ScriptedPACS{Studies: threeStudies()}
	f.Except = []string{"1.1", "1.2"}
	result, _, err = retrieveFor(t, p, qrtest.PACS, f)
	require.NoError(t, err)
	assert.Empty(t, result.Studies, "nothing is left to move")
}

package qr_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

func TestMissingModalitiesAreQueriedAtSeriesLevel(t *testing.T) {
	modality := func(uid, m string) dicomtest.Attributes {
		return dicomtest.Attributes{dataset.StudyInstanceUID: uid, dataset.Modality: m}
	}
	p := &dicomtest.ScriptedPACS{
		Studies: []dicomtest.Attributes{
			study("P1", "1.1", date("20200101")),                      // CT at SERIES level
			study("P1", "1.2", date("20210101"), modalities("MR")),    // known
			study("P1", "1.3", date("20220101"), modalities("")),      // an empty value counts as missing
			study("P1", "1.4", date("20100101")),                      // too old
			study("P2", "1.5", date("20230101")),                      // another patient
			study("P1", "1.6", date("20230101")),                      // the PACS returns series of other studies
			study("P1", "1.7", date("20240101"), modalities(`CT\SR`)), // known
		},
		Series: map[string][]dicomtest.Attributes{
			"1.1": {modality("1.1", "SR"), {dataset.Modality: "CT "}},
			"1.3": {modality("1.3", "US")},
			"1.6": {modality("1.9", "CT"), modality("", "CT")},
		},
	}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1", Modalities: []string{"CT"}, StudyDateFrom: "20150101"})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.7", "1.1"}, qrtest.UIDs(result.Studies))
	assert.Equal(t, []string{"SR", "CT"}, result.Studies[1].ModalitiesInStudy)
	assert.Equal(t, []qr.WarningCode{qr.WarningOtherPatientDropped, qr.WarningModalitiesUnknown}, codes(result.Warnings))
	assert.Equal(t, []string{
		"associate FIND", "find STUDY", "find SERIES 1.6", "find SERIES 1.3", "find SERIES 1.1", "release",
	}, qrtest.Events(t, p, g))
}

func TestUndecodableSeriesLeavesModalitiesUnknown(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		if level == "STUDY" {
			a.Match(study("P1", "1.1"), study("P1", "1.2"))
		} else {
			a.Pending(dicomtest.Undecodable)
			a.Match(dicomtest.Attributes{dataset.Modality: map[string]string{"1.1": "CT", "1.2": "MR"}[a.Keys().String(dataset.StudyInstanceUID)]})
		}
		a.Finish(dicomnet.StatusSuccess)
	}}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1", Modalities: []string{"CT"}})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1"}, qrtest.UIDs(result.Studies))
	assert.Equal(t, []qr.WarningCode{qr.WarningMatchUndecodable, qr.WarningModalitiesUnknown}, codes(result.Warnings))
	qrtest.Events(t, p, g)
}

func TestQueryFailsIfASeriesQueryFails(t *testing.T) {
	for name, fault := range map[string]func(*association){
		"failure": func(a *association) { a.Finish(0xC000) },
		"abort":   func(a *association) { a.Abort() },
		"close":   func(a *association) { a.Close() },
		"too many": func(a *association) {
			a.Match(study("", ""), study("", ""), study("", ""))
			a.AwaitCancel()
			a.Finish(0xFE00)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
				if level == "SERIES" {
					fault(a)
					return
				}
				a.Match(study("P1", "1.1", modalities("CT")), study("P1", "1.2"))
				a.Finish(dicomnet.StatusSuccess)
			}}
			g := qrtest.For(p, qrtest.Options{MaxMatches: 2})
			result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1", Modalities: []string{"CT"}})
			assert.Nil(t, result)
			assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
			qrtest.Events(t, p, g)
		})
	}
}

func TestSeriesMatchesAreCheckedLikeStudyMatches(t *testing.T) {
	series := func(more dicomtest.Attributes) dicomtest.Attributes {
		a := dicomtest.Attributes{dataset.StudyInstanceUID: "1.1", dataset.Modality: "CT"}
		maps.Copy(a, more)
		return a
	}
	for name, test := range map[string]struct {
		answer  func(a *association)
		studies []string
		codes   []qr.WarningCode
	}{
		"unsupported optional keys": {
			answer: func(a *association) {
				a.SendMessage(dicomtest.Response(a.Request, dicomnet.StatusPendingWarning, series(nil).Encode(dataset.ImplicitVRLittleEndian)))
			},
			studies: []string{"1.1"}, codes: []qr.WarningCode{qr.WarningOptionalKeysUnsupported},
		},
		"series of the patient": {
			answer:  func(a *association) { a.Match(series(dicomtest.Attributes{dataset.PatientID: "P1"})) },
			studies: []string{"1.1"}, codes: []qr.WarningCode{},
		},
		"one series of another patient": {
			answer:  func(a *association) { a.Match(series(nil), series(dicomtest.Attributes{dataset.PatientID: "P2"})) },
			studies: []string{}, codes: []qr.WarningCode{qr.WarningOtherPatientDropped, qr.WarningOtherPatientDropped},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
				if level == "STUDY" {
					a.Match(study("P1", "1.1"))
				} else {
					test.answer(a)
				}
				a.Finish(dicomnet.StatusSuccess)
			}}
			g := qrtest.For(p, qrtest.Options{})
			result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1", Modalities: []string{"CT"}}, "DEST")
			require.NoError(t, err)
			assert.Equal(t, test.studies, qrtest.UIDs(result.Studies))
			assert.Equal(t, test.codes, codes(result.Warnings))
			assert.Equal(t, len(test.studies) == 1, slices.Contains(qrtest.Events(t, p, g), "move 1.1 to DEST"))
		})
	}
}

func TestUndecodableSeriesIsAnErrorIfNoStudyIsLeft(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		if level == "STUDY" {
			a.Match(study("P1", "1.1"))
		} else {
			a.Pending(dicomtest.Undecodable)
		}
		a.Finish(dicomnet.StatusSuccess)
	}}
	g := qrtest.For(p, qrtest.Options{})
	_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1", Modalities: []string{"CT"}})
	assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
	var undecodable *dicomnet.DataSetError
	assert.ErrorAs(t, err, &undecodable)
	qrtest.Events(t, p, g)
}

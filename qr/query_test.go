package qr_test

import (
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/internal/pool"

	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

func date(s string) dicomtest.Attributes       { return dicomtest.Attributes{tag.StudyDate: s} }
func modalities(s string) dicomtest.Attributes { return dicomtest.Attributes{tag.ModalitiesInStudy: s} }

func codes(list []qr.Warning) []qr.WarningCode {
	codes := make([]qr.WarningCode, 0, len(list))
	for _, w := range list {
		codes = append(codes, w.Code)
	}
	return codes
}

func qrtest.StepOf(t *testing.T, err error) dicomnet.Step {
	t.Helper()
	var op *dicomnet.OpError
	require.ErrorAs(t, err, &op)
	return op.Step
}

func TestAQueryIsOneFindOnOneAssociation(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{
		study("P1", "1.1", date("20200101")), study("P1", "1.3"), study("P2", "1.4"), study("P1", "1.2", date("20240101")),
	}}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.2", "1.1", "1.3"}, qrtest.UIDs(result.Studies))
	assert.Equal(t, []qr.Warning{{qr.WarningOtherPatientDropped, "1 match of another patient was dropped"}}, result.Warnings)
	assert.Equal(t, []string{"associate FIND", "find STUDY", "release"}, qrtest.Events(t, p, g))
}

func TestTheAssociationIsProposedInBothTransferSyntaxes(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	g := qrtest.For(p, qrtest.Options{})
	_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	qrtest.Events(t, p, g)
	require.Len(t, p.Requests(), 1)
	assert.Equal(t, "PACS", p.Requests()[0].CalledAETitle)
	assert.Equal(t, "GATEWAY", p.Requests()[0].CallingAETitle)
	require.Len(t, p.Requests()[0].Contexts, 1)
	assert.Equal(t, []string{string(dataset.ImplicitVRLittleEndian), string(dataset.ExplicitVRLittleEndian)}, p.Requests()[0].Contexts[0].TransferSyntaxes)
}

func TestNoMatchIsAnEmptyAnswer(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Equal(t, &qr.QueryResult{Studies: []qr.Study{}, Warnings: []qr.Warning{}}, result)
	qrtest.Events(t, p, g)
}

func TestAFindThatDoesNotEndInSuccessIsAnError(t *testing.T) {
	for _, status := range []dicomnet.Status{0xA700, 0xA900, 0xC001, 0x0124, 0xB000, 0xB001, 0xFE00, 0x1234, 0xFFFE} {
		t.Run(status.String(), func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) {
				a.Match(study("P1", "1.1"), study("P1", "1.2"))
				a.Finish(status)
			}}
			g := qrtest.For(p, qrtest.Options{})
			result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
			assert.Nil(t, result)
			var failed *dicomnet.StatusError
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, status, failed.Status)
			assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
			assert.Equal(t, []string{"associate FIND", "find STUDY", "release"}, qrtest.Events(t, p, g))
		})
	}
}

func TestAFindWhoseAssociationEndsIsAnError(t *testing.T) {
	var aborted *dicomnet.AbortError
	t.Run("aborted", func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) { a.Match(study("P1", "1.1")); a.Abort() }}
		g := qrtest.For(p, qrtest.Options{})
		_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
		assert.ErrorAs(t, err, &aborted)
		assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
		qrtest.Events(t, p, g)
	})
	t.Run("lost", func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) { a.Match(study("P1", "1.1")); a.Close() }}
		g := qrtest.For(p, qrtest.Options{})
		_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
		assert.ErrorIs(t, err, dicomnet.ErrConnectionLost)
		qrtest.Events(t, p, g)
	})
	t.Run("silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) { a.Match(study("P1", "1.1")) }}
			g := qrtest.For(p, qrtest.Options{})
			start := time.Now()
			_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
			var timeout *dicomnet.TimeoutError
			require.ErrorAs(t, err, &timeout)
			assert.Equal(t, dicomnet.TimerDIMSE, timeout.Timer)
			assert.Equal(t, 10*time.Second, time.Since(start))
			assert.Equal(t, []string{"associate FIND", "find STUDY", "abort"}, qrtest.Events(t, p, g))
		})
	})
}

func TestAnAssociationThatDoesNotComeAboutIsAnError(t *testing.T) {
	t.Run("rejected", func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{rejects: func(int) bool { return true }}
		g := qrtest.For(p, qrtest.Options{})
		_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
		var rejected *dicomnet.RejectError
		assert.ErrorAs(t, err, &rejected)
		assert.Equal(t, dicomnet.StepAssociate, qrtest.StepOf(t, err))
		qrtest.Events(t, p, g)
	})
	t.Run("C-FIND not taken", func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{accepts: func(int, string) bool { return false }}
		g := qrtest.For(p, qrtest.Options{})
		_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
		var refused *dicomnet.NoContextError
		assert.ErrorAs(t, err, &refused)
		assert.Equal(t, dicomnet.StepAssociate, qrtest.StepOf(t, err))
		qrtest.Events(t, p, g)
	})
	t.Run("no connection", func(t *testing.T) {
		fault := errors.New("refused")
		var dialled string
		g := qrtest.New(qrtest.Options{DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = address
			return nil, fault
		}})
		_, err := g.Query(t.Context(), qr.Call{}, qr.Peer{Host: "2001:db8::1", Port: 11112, CalledAETitle: "A", CallingAETitle: "B"}, qr.Filter{PatientID: "P1"})
		assert.ErrorIs(t, err, fault)
		assert.Equal(t, dicomnet.StepConnect, qrtest.StepOf(t, err))
		assert.Equal(t, "[2001:db8::1]:11112", dialled)
	})
	t.Run("no TLS", func(t *testing.T) {
		g := qrtest.New(qrtest.Options{LookupHost: qrtest.Lookup("192.0.2.1"), DialContext: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := dicomtest.Pipe(0)
			_ = theirs.Close()
			return ours, nil
		}})
		peer := qrtest.PACS
		peer.TLS = true
		_, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"})
		assert.Equal(t, dicomnet.StepTLS, qrtest.StepOf(t, err))
	})
}

func qrtest.NoDial(context.Context, string, string) (net.Conn, error) {
	panic("dialled where there is nothing to ask for")
}

func TestNothingIsAskedForAFilterThatIsWrongOrImpossible(t *testing.T) {
	g := qrtest.New(qrtest.Options{DialContext: qrtest.NoDial})
	_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "*"})
	var wrong *qr.FilterError
	assert.ErrorAs(t, err, &wrong)
	_, err = g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "*"}, "DEST")
	assert.ErrorAs(t, err, &wrong)

	impossible := qr.Filter{PatientID: "P1", MaxYearsOld: 1, StudyDateTo: "20000101"}
	found, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, impossible)
	require.NoError(t, err)
	assert.Equal(t, &qr.QueryResult{Studies: []qr.Study{}, Warnings: []qr.Warning{}}, found)
	moved, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, impossible, "DEST")
	require.NoError(t, err)
	assert.Equal(t, &qr.RetrieveResult{Studies: []qr.Study{}, Retrievals: []qr.Retrieval{}, Warnings: []qr.Warning{}}, moved)
}

func TestUnsupportedOptionalKeysAreAWarning(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) {
		a.SendMessage(dicomtest.Response(a.Request, dicomnet.StatusPendingWarning, study("P1", "1.1").Encode(dataset.ImplicitVRLittleEndian)))
		a.Finish(dicomnet.StatusSuccess)
	}}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1"}, qrtest.UIDs(result.Studies))
	assert.Equal(t, []qr.WarningCode{qr.WarningOptionalKeysUnsupported}, codes(result.Warnings))
	qrtest.Events(t, p, g)
}

func TestAMatchThatCannotBeReadIsAWarningAndAloneAnError(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) {
		a.Pending(dicomtest.Undecodable)
		a.Match(study("P1", "1.1"))
		a.Finish(dicomnet.StatusSuccess)
	}}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1"}, qrtest.UIDs(result.Studies))
	assert.Equal(t, []qr.WarningCode{qr.WarningMatchUndecodable}, codes(result.Warnings))
	qrtest.Events(t, p, g)

	p = &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) { a.Pending(dicomtest.Undecodable); a.Finish(dicomnet.StatusSuccess) }}
	g = qrtest.For(p, qrtest.Options{})
	_, err = g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	var undecoded *dicomnet.DataSetError
	assert.ErrorAs(t, err, &undecoded)
	assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
	qrtest.Events(t, p, g)
}

func TestTooManyMatchesAreCancelledAndAnError(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) {
		a.Match(study("P1", "1.1"), study("P1", "1.2"), study("P2", "1.3"))
		a.AwaitCancel()
		a.Finish(dicomnet.StatusCancel)
	}}
	g := qrtest.For(p, qrtest.Options{MaxMatches: 2})
	_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1", MaxResults: 1})
	var many *qr.TooManyMatchesError
	require.ErrorAs(t, err, &many)
	assert.Equal(t, 2, many.Max)
	assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
	assert.EqualError(t, err, "find: more than 2 matches")
	assert.Equal(t, []string{"associate FIND", "find STUDY", "cancel", "release"}, qrtest.Events(t, p, g))
}

func TestAsManyMatchesAsAllowedAreAnAnswer(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("P1", "1.1"), study("P1", "1.2")}}
	g := qrtest.For(p, qrtest.Options{MaxMatches: 2})
	result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Len(t, result.Studies, 2)
	qrtest.Events(t, p, g)
}

func TestModalitiesThatTheMatchesLackAreAskedForOnTheSameAssociation(t *testing.T) {
	modality := func(uid, m string) dicomtest.Attributes { return dicomtest.Attributes{tag.StudyInstanceUID: uid, tag.Modality: m} }
	p := &dicomtest.ScriptedPACS{
		Studies: []dicomtest.Attributes{
			study("P1", "1.1", date("20200101")),                      // CT at SERIES level
			study("P1", "1.2", date("20210101"), modalities("MR")),    // known
			study("P1", "1.3", date("20220101"), modalities("")),      // zero length is no answer
			study("P1", "1.4", date("20100101")),                      // too old to be asked for
			study("P2", "1.5", date("20230101")),                      // another patient
			study("P1", "1.6", date("20230101")),                      // series of other studies
			study("P1", "1.7", date("20240101"), modalities(`CT\SR`)), // known
		},
		Series: map[string][]dicomtest.Attributes{
			"1.1": {modality("1.1", "SR"), {tag.Modality: "CT "}},
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

func TestASeriesThatCannotBeReadLeavesModalitiesUnknown(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, level string) {
		if level == "STUDY" {
			a.Match(study("P1", "1.1"), study("P1", "1.2"))
		} else {
			a.Pending(dicomtest.Undecodable)
			a.Match(dicomtest.Attributes{tag.Modality: map[string]string{"1.1": "CT", "1.2": "MR"}[a.Keys().String(tag.StudyInstanceUID)]})
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

func TestAFaultAtSeriesLevelIsAnErrorAndNotAShorterAnswer(t *testing.T) {
	for name, fault := range map[string]func(*dicomtest.ScriptedAssociation){
		"failure": func(a *dicomtest.ScriptedAssociation) { a.Finish(0xC000) },
		"abort":   func(a *dicomtest.ScriptedAssociation) { a.Abort() },
		"lost":    func(a *dicomtest.ScriptedAssociation) { a.Close() },
		"too many": func(a *dicomtest.ScriptedAssociation) {
			a.Match(study("", ""), study("", ""), study("", ""))
			a.AwaitCancel()
			a.Finish(0xFE00)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, level string) {
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

func TestWhatTheSeriesTellIsCheckedAndToldLikeWhatTheStudiesTell(t *testing.T) {
	series := func(more attributes) dicomtest.Attributes {
		a := dicomtest.Attributes{tag.StudyInstanceUID: "1.1", tag.Modality: "CT"}
		maps.Copy(a, more)
		return a
	}
	for name, test := range map[string]struct {
		answer  func(a *dicomtest.ScriptedAssociation)
		studies []string
		codes   []qr.WarningCode
	}{
		"optional keys that are not supported": {
			answer: func(a *dicomtest.ScriptedAssociation) {
				a.SendMessage(dicomtest.Response(a.Request, dicomnet.StatusPendingWarning, series(nil).Encode(dataset.ImplicitVRLittleEndian)))
			},
			studies: []string{"1.1"}, codes: []qr.WarningCode{qr.WarningOptionalKeysUnsupported},
		},
		"the patient": {
			answer:  func(a *dicomtest.ScriptedAssociation) { a.Match(series(dicomtest.Attributes{tag.PatientID: "P1"})) },
			studies: []string{"1.1"}, codes: []qr.WarningCode{},
		},
		"another patient, in one series of two": {
			answer:  func(a *dicomtest.ScriptedAssociation) { a.Match(series(nil), series(dicomtest.Attributes{tag.PatientID: "P2"})) },
			studies: []string{}, codes: []qr.WarningCode{qr.WarningOtherPatientDropped, qr.WarningOtherPatientDropped},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, level string) {
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

func TestNoStudyIsNoAnswerWhereASeriesCannotBeRead(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, level string) {
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

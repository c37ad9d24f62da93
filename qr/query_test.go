package qr

import (
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

func date(s string) attributes       { return attributes{tag.StudyDate: s} }
func modalities(s string) attributes { return attributes{tag.ModalitiesInStudy: s} }

func codes(list []Warning) []WarningCode {
	codes := make([]WarningCode, 0, len(list))
	for _, w := range list {
		codes = append(codes, w.Code)
	}
	return codes
}

func stepOf(t *testing.T, err error) dicomnet.Step {
	t.Helper()
	var op *dicomnet.OpError
	require.ErrorAs(t, err, &op)
	return op.Step
}

func TestAQueryIsOneFindOnOneAssociation(t *testing.T) {
	p := &pacs{studies: []attributes{
		study("P1", "1.1", date("20200101")), study("P1", "1.3"), study("P2", "1.4"), study("P1", "1.2", date("20240101")),
	}}
	g := p.gateway(t, Options{})
	result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.2", "1.1", "1.3"}, picked(result.Studies))
	assert.Equal(t, []Warning{{WarningOtherPatientDropped, "1 match of another patient was dropped"}}, result.Warnings)
	assert.Equal(t, []string{"associate FIND", "find STUDY ", "release"}, p.seen(t, g))
}

func TestTheAssociationIsProposedInBothTransferSyntaxes(t *testing.T) {
	p := &pacs{}
	g := p.gateway(t, Options{})
	_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
	require.NoError(t, err)
	p.seen(t, g)
	require.Len(t, p.rqs, 1)
	assert.Equal(t, "PACS", p.rqs[0].CalledAETitle)
	assert.Equal(t, "GATEWAY", p.rqs[0].CallingAETitle)
	require.Len(t, p.rqs[0].Contexts, 1)
	assert.Equal(t, []string{string(dataset.ImplicitVRLittleEndian), string(dataset.ExplicitVRLittleEndian)}, p.rqs[0].Contexts[0].TransferSyntaxes)
}

func TestNoMatchIsAnEmptyAnswer(t *testing.T) {
	p := &pacs{}
	g := p.gateway(t, Options{})
	result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Equal(t, &QueryResult{Studies: []Study{}, Warnings: []Warning{}}, result)
	p.seen(t, g)
}

func TestAFindThatDoesNotEndInSuccessIsAnError(t *testing.T) {
	for _, status := range []dicomnet.Status{0xA700, 0xA900, 0xC001, 0x0124, 0xB000, 0xB001, 0xFE00, 0x1234, 0xFFFE} {
		t.Run(status.String(), func(t *testing.T) {
			p := &pacs{find: func(a *association, _ string) {
				a.match(study("P1", "1.1"), study("P1", "1.2"))
				a.done(status)
			}}
			g := p.gateway(t, Options{})
			result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
			assert.Nil(t, result)
			var failed *dicomnet.StatusError
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, status, failed.Status)
			assert.Equal(t, dicomnet.StepFind, stepOf(t, err))
			assert.Equal(t, []string{"associate FIND", "find STUDY ", "release"}, p.seen(t, g))
		})
	}
}

func TestAFindWhoseAssociationEndsIsAnError(t *testing.T) {
	var aborted *dicomnet.AbortError
	t.Run("aborted", func(t *testing.T) {
		p := &pacs{find: func(a *association, _ string) { a.match(study("P1", "1.1")); a.abort() }}
		g := p.gateway(t, Options{})
		_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
		assert.ErrorAs(t, err, &aborted)
		assert.Equal(t, dicomnet.StepFind, stepOf(t, err))
		p.seen(t, g)
	})
	t.Run("lost", func(t *testing.T) {
		p := &pacs{find: func(a *association, _ string) { a.match(study("P1", "1.1")); _ = a.Conn.Close() }}
		g := p.gateway(t, Options{})
		_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
		assert.ErrorIs(t, err, dicomnet.ErrConnectionLost)
		p.seen(t, g)
	})
	t.Run("silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &pacs{find: func(a *association, _ string) { a.match(study("P1", "1.1")) }}
			g := p.gateway(t, Options{})
			start := time.Now()
			_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
			var timeout *dicomnet.TimeoutError
			require.ErrorAs(t, err, &timeout)
			assert.Equal(t, dicomnet.TimerDIMSE, timeout.Timer)
			assert.Equal(t, 10*time.Second, time.Since(start))
			assert.Equal(t, []string{"associate FIND", "find STUDY ", "abort"}, p.seen(t, g))
		})
	})
}

func TestAnAssociationThatDoesNotComeAboutIsAnError(t *testing.T) {
	t.Run("rejected", func(t *testing.T) {
		p := &pacs{rejects: func(int) bool { return true }}
		g := p.gateway(t, Options{})
		_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
		var rejected *dicomnet.RejectError
		assert.ErrorAs(t, err, &rejected)
		assert.Equal(t, dicomnet.StepAssociate, stepOf(t, err))
		p.seen(t, g)
	})
	t.Run("C-FIND not taken", func(t *testing.T) {
		p := &pacs{accepts: func(int, string) bool { return false }}
		g := p.gateway(t, Options{})
		_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
		var refused *dicomnet.NoContextError
		assert.ErrorAs(t, err, &refused)
		assert.Equal(t, dicomnet.StepAssociate, stepOf(t, err))
		p.seen(t, g)
	})
	t.Run("no connection", func(t *testing.T) {
		fault := errors.New("refused")
		var dialled string
		g := New(Options{DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = address
			return nil, fault
		}})
		_, err := g.Query(t.Context(), Peer{Host: "2001:db8::1", Port: 11112, CalledAETitle: "A", CallingAETitle: "B"}, Filter{PatientID: "P1"})
		assert.ErrorIs(t, err, fault)
		assert.Equal(t, dicomnet.StepConnect, stepOf(t, err))
		assert.Equal(t, "[2001:db8::1]:11112", dialled)
	})
	t.Run("no TLS", func(t *testing.T) {
		g := New(Options{LookupHost: someAddress, DialContext: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := dicomtest.Pipe(0)
			_ = theirs.Close()
			return ours, nil
		}})
		peer := thePACS
		peer.TLS = true
		_, err := g.Query(t.Context(), peer, Filter{PatientID: "P1"})
		assert.Equal(t, dicomnet.StepTLS, stepOf(t, err))
	})
}

func noDial(context.Context, string, string) (net.Conn, error) {
	panic("dialled where there is nothing to ask for")
}

func TestNothingIsAskedForAFilterThatIsWrongOrImpossible(t *testing.T) {
	g := New(Options{DialContext: noDial})
	_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "*"})
	var wrong *FilterError
	assert.ErrorAs(t, err, &wrong)
	_, err = g.Retrieve(t.Context(), thePACS, Filter{PatientID: "*"}, "DEST", Progress{})
	assert.ErrorAs(t, err, &wrong)

	impossible := Filter{PatientID: "P1", MaxYearsOld: 1, StudyDateTo: "20000101"}
	found, err := g.Query(t.Context(), thePACS, impossible)
	require.NoError(t, err)
	assert.Equal(t, &QueryResult{Studies: []Study{}, Warnings: []Warning{}}, found)
	moved, err := g.Retrieve(t.Context(), thePACS, impossible, "DEST", Progress{})
	require.NoError(t, err)
	assert.Equal(t, &RetrieveResult{Studies: []Study{}, Retrievals: []Retrieval{}, Warnings: []Warning{}}, moved)
}

func TestUnsupportedOptionalKeysAreAWarning(t *testing.T) {
	p := &pacs{find: func(a *association, _ string) {
		a.SendMessage(dicomtest.Response(a.rq, dicomnet.StatusPendingWarning, study("P1", "1.1").encoded()))
		a.done(dicomnet.StatusSuccess)
	}}
	g := p.gateway(t, Options{})
	result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1"}, picked(result.Studies))
	assert.Equal(t, []WarningCode{WarningOptionalKeysUnsupported}, codes(result.Warnings))
	p.seen(t, g)
}

func TestAMatchThatCannotBeReadIsAWarningAndAloneAnError(t *testing.T) {
	p := &pacs{find: func(a *association, _ string) {
		a.undecodable()
		a.match(study("P1", "1.1"))
		a.done(dicomnet.StatusSuccess)
	}}
	g := p.gateway(t, Options{})
	result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1"}, picked(result.Studies))
	assert.Equal(t, []WarningCode{WarningMatchUndecodable}, codes(result.Warnings))
	p.seen(t, g)

	p = &pacs{find: func(a *association, _ string) { a.undecodable(); a.done(dicomnet.StatusSuccess) }}
	g = p.gateway(t, Options{})
	_, err = g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
	var undecoded *dicomnet.DataSetError
	assert.ErrorAs(t, err, &undecoded)
	assert.Equal(t, dicomnet.StepFind, stepOf(t, err))
	p.seen(t, g)
}

func TestTooManyMatchesAreCancelledAndAnError(t *testing.T) {
	p := &pacs{find: func(a *association, _ string) {
		a.match(study("P1", "1.1"), study("P1", "1.2"), study("P2", "1.3"))
		a.awaitCancel()
		a.done(dicomnet.StatusCancel)
	}}
	g := p.gateway(t, Options{MaxMatches: 2})
	_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1", MaxResults: 1})
	var many *TooManyMatchesError
	require.ErrorAs(t, err, &many)
	assert.Equal(t, 2, many.Max)
	assert.Equal(t, dicomnet.StepFind, stepOf(t, err))
	assert.EqualError(t, err, "find: more than 2 matches")
	assert.Equal(t, []string{"associate FIND", "find STUDY ", "cancel", "release"}, p.seen(t, g))
}

func TestAsManyMatchesAsAllowedAreAnAnswer(t *testing.T) {
	p := &pacs{studies: []attributes{study("P1", "1.1"), study("P1", "1.2")}}
	g := p.gateway(t, Options{MaxMatches: 2})
	result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Len(t, result.Studies, 2)
	p.seen(t, g)
}

func TestModalitiesThatTheMatchesLackAreAskedForOnTheSameAssociation(t *testing.T) {
	modality := func(uid, m string) attributes { return attributes{tag.StudyInstanceUID: uid, tag.Modality: m} }
	p := &pacs{
		studies: []attributes{
			study("P1", "1.1", date("20200101")),                      // CT at SERIES level
			study("P1", "1.2", date("20210101"), modalities("MR")),    // known
			study("P1", "1.3", date("20220101"), modalities("")),      // zero length is no answer
			study("P1", "1.4", date("20100101")),                      // too old to be asked for
			study("P2", "1.5", date("20230101")),                      // another patient
			study("P1", "1.6", date("20230101")),                      // series of other studies
			study("P1", "1.7", date("20240101"), modalities(`CT\SR`)), // known
		},
		series: map[string][]attributes{
			"1.1": {modality("1.1", "SR"), {tag.Modality: "CT "}},
			"1.3": {modality("1.3", "US")},
			"1.6": {modality("1.9", "CT"), modality("", "CT")},
		},
	}
	g := p.gateway(t, Options{})
	result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1", Modalities: []string{"CT"}, StudyDateFrom: "20150101"})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.7", "1.1"}, picked(result.Studies))
	assert.Equal(t, []string{"SR", "CT"}, result.Studies[1].ModalitiesInStudy)
	assert.Equal(t, []WarningCode{WarningOtherPatientDropped, WarningModalitiesUnknown}, codes(result.Warnings))
	assert.Equal(t, []string{
		"associate FIND", "find STUDY ", "find SERIES 1.6", "find SERIES 1.3", "find SERIES 1.1", "release",
	}, p.seen(t, g))
}

func TestASeriesThatCannotBeReadLeavesModalitiesUnknown(t *testing.T) {
	p := &pacs{find: func(a *association, level string) {
		if level == "STUDY" {
			a.match(study("P1", "1.1"), study("P1", "1.2"))
		} else {
			a.undecodable()
			a.match(attributes{tag.Modality: map[string]string{"1.1": "CT", "1.2": "MR"}[a.keys().String(tag.StudyInstanceUID)]})
		}
		a.done(dicomnet.StatusSuccess)
	}}
	g := p.gateway(t, Options{})
	result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1", Modalities: []string{"CT"}})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1"}, picked(result.Studies))
	assert.Equal(t, []WarningCode{WarningMatchUndecodable, WarningModalitiesUnknown}, codes(result.Warnings))
	p.seen(t, g)
}

func TestAFaultAtSeriesLevelIsAnErrorAndNotAShorterAnswer(t *testing.T) {
	for name, fault := range map[string]func(*association){
		"failure": func(a *association) { a.done(0xC000) },
		"abort":   func(a *association) { a.abort() },
		"lost":    func(a *association) { _ = a.Conn.Close() },
		"too many": func(a *association) {
			a.match(study("", ""), study("", ""), study("", ""))
			a.awaitCancel()
			a.done(0xFE00)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pacs{find: func(a *association, level string) {
				if level == "SERIES" {
					fault(a)
					return
				}
				a.match(study("P1", "1.1", modalities("CT")), study("P1", "1.2"))
				a.done(dicomnet.StatusSuccess)
			}}
			g := p.gateway(t, Options{MaxMatches: 2})
			result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1", Modalities: []string{"CT"}})
			assert.Nil(t, result)
			assert.Equal(t, dicomnet.StepFind, stepOf(t, err))
			p.seen(t, g)
		})
	}
}

func TestWhatTheSeriesTellIsCheckedAndToldLikeWhatTheStudiesTell(t *testing.T) {
	series := func(more attributes) attributes {
		a := attributes{tag.StudyInstanceUID: "1.1", tag.Modality: "CT"}
		maps.Copy(a, more)
		return a
	}
	for name, test := range map[string]struct {
		answer  func(a *association)
		studies []string
		codes   []WarningCode
	}{
		"optional keys that are not supported": {
			answer: func(a *association) {
				a.SendMessage(dicomtest.Response(a.rq, dicomnet.StatusPendingWarning, series(nil).encoded()))
			},
			studies: []string{"1.1"}, codes: []WarningCode{WarningOptionalKeysUnsupported},
		},
		"the patient": {
			answer:  func(a *association) { a.match(series(attributes{tag.PatientID: "P1"})) },
			studies: []string{"1.1"}, codes: []WarningCode{},
		},
		"another patient, in one series of two": {
			answer:  func(a *association) { a.match(series(nil), series(attributes{tag.PatientID: "P2"})) },
			studies: []string{}, codes: []WarningCode{WarningOtherPatientDropped, WarningOtherPatientDropped},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pacs{find: func(a *association, level string) {
				if level == "STUDY" {
					a.match(study("P1", "1.1"))
				} else {
					test.answer(a)
				}
				a.done(dicomnet.StatusSuccess)
			}}
			g := p.gateway(t, Options{})
			result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1", Modalities: []string{"CT"}}, "DEST", Progress{})
			require.NoError(t, err)
			assert.Equal(t, test.studies, picked(result.Studies))
			assert.Equal(t, test.codes, codes(result.Warnings))
			assert.Equal(t, len(test.studies) == 1, slices.Contains(p.seen(t, g), "move 1.1 to DEST"))
		})
	}
}

func TestNoStudyIsNoAnswerWhereASeriesCannotBeRead(t *testing.T) {
	p := &pacs{find: func(a *association, level string) {
		if level == "STUDY" {
			a.match(study("P1", "1.1"))
		} else {
			a.undecodable()
		}
		a.done(dicomnet.StatusSuccess)
	}}
	g := p.gateway(t, Options{})
	_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1", Modalities: []string{"CT"}})
	assert.Equal(t, dicomnet.StepFind, stepOf(t, err))
	var undecodable *dicomnet.DataSetError
	assert.ErrorAs(t, err, &undecodable)
	p.seen(t, g)
}

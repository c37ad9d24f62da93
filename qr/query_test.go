package qr_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

func TestQueryIsOneFindOnOneAssociation(t *testing.T) {
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

func TestBothTransferSyntaxesAreProposed(t *testing.T) {
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

func TestQueryWithoutMatchesReturnsNoStudies(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Equal(t, &qr.QueryResult{Studies: []qr.Study{}, Warnings: []qr.Warning{}}, result)
	qrtest.Events(t, p, g)
}

func TestQueryFailsIfTheFinalStatusIsNotSuccess(t *testing.T) {
	for _, status := range []dicomnet.Status{0xA700, 0xA900, 0xC001, 0x0124, 0xB000, 0xB001, 0xFE00, 0x1234, 0xFFFE} {
		t.Run(status.String(), func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
				a.Match(study("P1", "1.1"), study("P1", "1.2"))
				a.Finish(status)
			}}
			events := []string{"associate FIND", "find STUDY", "release"}
			if status == 0xA900 || status == 0xC001 {
				events = slices.Insert(events, 2, "find STUDY") // without optional keys
			}
			g := qrtest.For(p, qrtest.Options{})
			result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
			assert.Nil(t, result)
			var failed *dicomnet.StatusError
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, status, failed.Status)
			assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
			assert.Equal(t, events, qrtest.Events(t, p, g))
		})
	}
}

func TestQueryFailsIfTheAssociationEnds(t *testing.T) {
	var aborted *dicomnet.AbortError
	t.Run("aborted", func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) { a.Match(study("P1", "1.1")); a.Abort() }}
		g := qrtest.For(p, qrtest.Options{})
		_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
		assert.ErrorAs(t, err, &aborted)
		assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
		qrtest.Events(t, p, g)
	})
	t.Run("lost", func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) { a.Match(study("P1", "1.1")); a.Close() }}
		g := qrtest.For(p, qrtest.Options{})
		_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
		assert.ErrorIs(t, err, dicomnet.ErrConnectionLost)
		qrtest.Events(t, p, g)
	})
	t.Run("silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) { a.Match(study("P1", "1.1")) }}
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

func TestQueryFailsIfNoAssociationIsEstablished(t *testing.T) {
	t.Run("rejected", func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool { return a.Reject(dicomtest.CalledAETitleNotRecognized) }}
		g := qrtest.For(p, qrtest.Options{})
		_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
		var rejected *dicomnet.RejectError
		assert.ErrorAs(t, err, &rejected)
		assert.Equal(t, dicomnet.StepAssociate, qrtest.StepOf(t, err))
		qrtest.Events(t, p, g)
	})
	t.Run("C-FIND not accepted", func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
			a.Refuse(dicomnet.PatientRoot.Find)
			return a.Refuse(dicomnet.StudyRoot.Find)
		}}
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

func TestNothingIsDialledForAnInvalidOrImpossibleFilter(t *testing.T) {
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
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
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

func TestUndecodableMatchIsAWarningAndAnErrorIfNothingElseMatches(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
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

	p = &dicomtest.ScriptedPACS{Find: func(a *association, _ string) { a.Pending(dicomtest.Undecodable); a.Finish(dicomnet.StatusSuccess) }}
	g = qrtest.For(p, qrtest.Options{})
	_, err = g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	var undecoded *dicomnet.DataSetError
	assert.ErrorAs(t, err, &undecoded)
	assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
	qrtest.Events(t, p, g)
}

func TestQueryWithTooManyMatchesIsCancelledAndFails(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
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

func TestQueryMayHaveMaxMatchesMatches(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("P1", "1.1"), study("P1", "1.2")}}
	g := qrtest.For(p, qrtest.Options{MaxMatches: 2})
	result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Len(t, result.Studies, 2)
	qrtest.Events(t, p, g)
}

func TestZeroMaxMatchesIsNoLimit(t *testing.T) {
	const matches = 10050 // above the default of the setting
	p := &dicomtest.ScriptedPACS{}
	for i := range matches {
		p.Studies = append(p.Studies, study("P1", fmt.Sprintf("1.%d", i)))
	}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Len(t, result.Studies, matches)
	qrtest.Events(t, p, g)
}

func TestANamedPACSIsAskedInItsModelFirstAndReadInItsCharacterSet(t *testing.T) {
	cyrillic, ok := dataset.LookupCharacterSet("ISO_IR 144")
	require.True(t, ok)
	peer := qrtest.PACS
	peer.Name, peer.Settings = "main", &pool.Settings{PatientRoot: true, DefaultCharacterSet: cyrillic, AssociationIdle: time.Minute}
	find := func(a *association, _ string) {
		a.Match(study("P1", "1.1", dicomtest.Attributes{dataset.PatientName: "\xbb\xee\xdc"}))
		a.Finish(dicomnet.StatusSuccess)
	}
	p := &dicomtest.ScriptedPACS{Find: find}
	g := qrtest.For(p, qrtest.Options{})
	for range 2 {
		result, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"})
		require.NoError(t, err)
		assert.Equal(t, "Люм", result.Studies[0].PatientName)
		assert.Empty(t, result.Warnings)
	}
	lines := strings.Join(qrtest.Drain(t, p, g), "\n")
	assert.NotContains(t, lines, dicomnet.StudyRoot.Find)
	assert.Equal(t, 1, strings.Count(lines, "associate"), lines)

	p = &dicomtest.ScriptedPACS{Find: find, Negotiate: func(a *association) bool { return a.Refuse(dicomnet.PatientRoot.Find) }}
	g = qrtest.For(p, qrtest.Options{})
	result, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"})
	require.NoError(t, err, "Study Root is asked if the PACS does not accept Patient Root")
	assert.Len(t, result.Studies, 1)
	qrtest.Events(t, p, g)
}

package qr_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// granting answers the proposed roles.
func granting(scp bool) func(*association) bool {
	return func(a *association) bool {
		for _, role := range a.RQ.User.Roles {
			a.Answer.User.Roles = append(a.Answer.User.Roles, pdu.RoleSelection{SOPClassUID: role.SOPClassUID, SCP: scp})
		}
		return true
	}
}

func named(retrieve pool.RetrieveMethod) qr.Peer {
	p := qrtest.PACS
	p.Name, p.Settings = "main", &pool.Settings{Retrieve: retrieve}
	return p
}

func TestExamineSaysHowInstancesCanBeRetrieved(t *testing.T) {
	for name, test := range map[string]struct {
		negotiate func(*association) bool
		retrieve  pool.RetrieveMethod
		method    pool.RetrieveMethod
		ready     bool
		get       dicomnet.ContextResult
	}{
		"C-GET":              {granting(true), pool.RetrieveAuto, pool.RetrieveGet, true, dicomnet.ContextAccepted},
		"C-MOVE by setting":  {granting(true), pool.RetrieveMove, pool.RetrieveMove, true, dicomnet.ContextAccepted},
		"no role":            {granting(false), pool.RetrieveAuto, pool.RetrieveMove, false, dicomnet.ContextAccepted},
		"roles not answered": {nil, pool.RetrieveGet, pool.RetrieveGet, false, dicomnet.ContextAccepted},
		"C-GET refused": {func(a *association) bool {
			granting(true)(a)
			return a.Refuse(dicomnet.StudyRoot.Get)
		}, pool.RetrieveAuto, pool.RetrieveMove, false, dicomnet.ContextAbstractSyntaxNotSupported},
		"everything refused": {func(a *association) bool {
			if len(a.RQ.User.Roles) > 0 {
				for i := range a.Answer.Contexts {
					a.Answer.Contexts[i].Result = byte(dicomnet.ContextUserRejection)
				}
			}
			return true
		}, pool.RetrieveAuto, pool.RetrieveMove, false, dicomnet.ContextUserRejection},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Negotiate: test.negotiate}
			g := qrtest.For(p, qrtest.Options{})
			report := g.Examine(t.Context(), qr.Call{}, named(test.retrieve), false)
			require.NoError(t, report.Err)
			require.NotNil(t, report.Retrieval)
			assert.NoError(t, report.Retrieval.Err)
			assert.Equal(t, test.method, report.Retrieval.Method)
			assert.Equal(t, test.ready, report.Retrieval.Ready())
			assert.Equal(t, test.get, report.Retrieval.Get)
			assert.Len(t, report.Retrieval.Storage, 6)
			assert.Nil(t, report.Profile)
			qrtest.Events(t, p, g)
		})
	}
}

func TestExamineReportsAPACSThatRejectsTheAssociationForCGET(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
		return len(a.RQ.User.Roles) == 0 || a.Reject(dicomtest.CalledAETitleNotRecognized)
	}}
	g := qrtest.For(p, qrtest.Options{})
	report := g.Examine(t.Context(), qr.Call{}, named(pool.RetrieveAuto), false)
	require.NoError(t, report.Err, "C-ECHO passed")
	var rejected *dicomnet.RejectError
	require.ErrorAs(t, report.Retrieval.Err, &rejected)
	assert.False(t, report.Retrieval.Ready())
	qrtest.Events(t, p, g)
}

func TestExamineStopsIfTheConnectionFails(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool { return a.Reject(dicomtest.CalledAETitleNotRecognized) }}
	g := qrtest.For(p, qrtest.Options{})
	report := g.Examine(t.Context(), qr.Call{}, qrtest.PACS, true)
	require.Error(t, report.Err)
	assert.Nil(t, report.Retrieval)
	assert.Nil(t, report.Profile)
	qrtest.Events(t, p, g)
}

// answering answers each C-FIND with the status that the function returns, 0 for success.
func answering(status func(level string, keys *dataset.Set) dicomnet.Status) func(*association, string) {
	return func(a *association, level string) { a.Finish(status(level, a.Keys())) }
}

func keywords(tags []dataset.Tag) []string {
	list := []string{}
	for _, t := range tags {
		list = append(list, dataset.Keyword(t))
	}
	return list
}

func TestProbingLearnsTheProfile(t *testing.T) {
	modalities, _ := dataset.LookupKeyword("ModalitiesInStudy")
	refuse := func(refused func(level string, keys *dataset.Set) bool) func(string, *dataset.Set) dicomnet.Status {
		return func(level string, keys *dataset.Set) dicomnet.Status {
			if refused(level, keys) {
				return dicomnet.StatusIdentifierMismatch
			}
			return dicomnet.StatusSuccess
		}
	}
	for name, test := range map[string]struct {
		find func(*association, string)
		want qr.Profile
		keys int
	}{
		"everything": {
			answering(refuse(func(string, *dataset.Set) bool { return false })),
			qr.Profile{Known: true, RelationalQueries: true, ImageLevelFind: true, UIDLists: true},
			9,
		},
		"hierarchical, studies only": {
			answering(refuse(func(level string, _ *dataset.Set) bool { return level != "STUDY" })), qr.Profile{Known: true, UIDLists: true}, 9,
		},
		"no lists, no modalities": {
			answering(refuse(func(_ string, keys *dataset.Set) bool {
				return len(keys.Strings(dataset.StudyInstanceUID)) > 1 || keys.Has(modalities)
			})), qr.Profile{Known: true, RelationalQueries: true, ImageLevelFind: true}, 8,
		},
		"ignores keys": {func(a *association, _ string) {
			a.Match(study("P1", "1.1"))
			a.Finish(dicomnet.StatusSuccess)
		}, qr.Profile{Known: true}, 0},
		"ends the association": {func(a *association, level string) {
			if level == "IMAGE" {
				a.SendPDU(&pdu.Abort{Source: pdu.SourceProvider})
				return
			}
			a.Finish(dicomnet.StatusSuccess)
		}, qr.Profile{Known: true, RelationalQueries: true, UIDLists: true}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: test.find}
			g := qrtest.For(p, qrtest.Options{})
			report := g.Examine(t.Context(), qr.Call{}, qrtest.PACS, true)
			require.NoError(t, report.Err)
			require.NotNil(t, report.Profile)
			assert.Len(t, report.Profile.StudyKeys, test.keys, keywords(report.Profile.StudyKeys))
			report.Profile.StudyKeys = nil
			assert.Equal(t, test.want, *report.Profile)
			require.NoError(t, g.Wait(t.Context()))
		})
	}
}

func TestProbesNameNothingThatAPACSCanHave(t *testing.T) {
	var seen []string
	p := &dicomtest.ScriptedPACS{Find: answering(func(level string, keys *dataset.Set) dicomnet.Status {
		uids := append(keys.Strings(dataset.StudyInstanceUID), keys.Strings(dataset.SeriesInstanceUID)...)
		assert.NotEmpty(t, uids)
		for _, uid := range uids {
			assert.Regexp(t, `^2\.25\.[1-9][0-9]{20,38}$`, uid)
		}
		assert.Regexp(t, "^NOBODY-", keys.String(dataset.PatientID))
		seen = append(seen, level)
		return dicomnet.StatusSuccess
	})}
	peer := named(pool.RetrieveAuto)
	peer.Settings.PatientRoot = true
	g := qrtest.For(p, qrtest.Options{})
	report := g.Examine(t.Context(), qr.Call{}, peer, true)
	require.NoError(t, report.Err)
	assert.Len(t, seen, 13)
	assert.True(t, slices.Contains(seen, "IMAGE") && slices.Contains(seen, "SERIES"))
	qrtest.Events(t, p, g)
}

func TestProbingFailsIfThePACSDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			if n++; n == 3 {
				dicomtest.Wait(time.Hour)
			}
			a.Finish(dicomnet.StatusSuccess)
		}}
		g := qrtest.For(p, qrtest.Options{})
		report := g.Examine(t.Context(), qr.Call{}, qrtest.PACS, true)
		var timeout *dicomnet.TimeoutError
		require.ErrorAs(t, report.Err, &timeout)
		assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, report.Err))
		assert.Nil(t, report.Profile)
		dicomtest.Wait(time.Hour)
		require.NoError(t, g.Wait(t.Context()))
	})
	p := &dicomtest.ScriptedPACS{Find: answering(func(string, *dataset.Set) dicomnet.Status { return dicomnet.StatusOutOfResources })}
	g := qrtest.For(p, qrtest.Options{})
	report := g.Examine(t.Context(), qr.Call{}, qrtest.PACS, true)
	var status *dicomnet.StatusError
	require.ErrorAs(t, report.Err, &status)
	qrtest.Events(t, p, g)
}

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

func keywords(tags []dataset.Tag) []string {
	list := []string{}
	for _, t := range tags {
		list = append(list, dataset.Keyword(t))
	}
	return list
}

// archive answers as a PACS that has the instance 1.2.3.4 in the series 1.2.3 of the study 1.2. It ignores keys for which ignores holds, and refuses queries
// for which refuses holds; both may be nil.
func archive(ignores func(t dataset.Tag) bool, refuses func(level string, keys *dataset.Set) bool) func(*association, string) {
	return func(a *association, level string) {
		keys := a.Keys()
		if refuses != nil && refuses(level, keys) {
			a.Finish(dicomnet.StatusIdentifierMismatch)
			return
		}
		matches := true
		for t := range keys.Tags() {
			values := keys.Strings(t)
			own := map[dataset.Tag]string{dataset.StudyInstanceUID: "1.2", dataset.SeriesInstanceUID: "1.2.3", sopInstanceUID: "1.2.3.4"}[t]
			switch {
			case t == dataset.SpecificCharacterSet || t == dataset.QueryRetrieveLevel || len(values) == 0 || t == dataset.StudyDate:
			case ignores != nil && ignores(t):
			case !slices.Contains(values, own):
				matches = false
			}
		}
		if matches {
			a.Match(dicomtest.Attributes{dataset.StudyInstanceUID: "1.2", dataset.SeriesInstanceUID: "1.2.3", sopInstanceUID: "1.2.3.4"})
		}
		a.Finish(dicomnet.StatusSuccess)
	}
}

func TestProbingLearnsTheProfile(t *testing.T) {
	modalities, _ := dataset.LookupKeyword("ModalitiesInStudy")
	everyKey := []string{
		"ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "StudyDescription",
		"InstitutionName", "PatientBirthDate", "PatientSex",
	}
	optional := func(t dataset.Tag) bool { return slices.Contains(everyKey, dataset.Keyword(t)) }
	for name, test := range map[string]struct {
		find func(*association, string)
		want qr.Profile
		keys []string
	}{
		"everything": {archive(nil, nil), qr.Profile{Known: true, RelationalQueries: true, ImageLevelFind: true, UIDLists: true}, everyKey},
		"required keys only": {
			archive(optional, nil), qr.Profile{Known: true, RelationalQueries: true, ImageLevelFind: true, UIDLists: true}, []string{},
		},
		"no modalities": {
			archive(func(t dataset.Tag) bool { return t == modalities }, nil),
			qr.Profile{Known: true, RelationalQueries: true, ImageLevelFind: true, UIDLists: true},
			everyKey[1:],
		},
		"hierarchical, no IMAGE level": {
			archive(nil, func(level string, keys *dataset.Set) bool {
				return level == "IMAGE" || level == "SERIES" && keys.String(dataset.StudyInstanceUID) == ""
			}), qr.Profile{Known: true, UIDLists: true}, everyKey,
		},
		"relational at SERIES level only": {archive(nil, func(level string, keys *dataset.Set) bool {
			return level == "IMAGE" && keys.String(dataset.StudyInstanceUID) == ""
		}), qr.Profile{Known: true, ImageLevelFind: true, UIDLists: true}, everyKey},
		"hierarchical without a word, no lists": {func(a *association, level string) {
			if keys := a.Keys(); level == "SERIES" && keys.String(dataset.StudyInstanceUID) == "" || len(keys.Strings(dataset.StudyInstanceUID)) > 1 {
				a.Finish(dicomnet.StatusSuccess)
				return
			}
			archive(nil, nil)(a, level)
		}, qr.Profile{Known: true, ImageLevelFind: true}, everyKey},
		"no studies": {
			archive(nil, func(_ string, keys *dataset.Set) bool { return keys.Has(dataset.StudyDate) }), qr.Profile{Known: true, ImageLevelFind: true}, []string{},
		},
		"ignores unique keys": {archive(func(dataset.Tag) bool { return true }, nil), qr.Profile{Known: true}, []string{}},
		"ends the association": {func(a *association, level string) {
			if level == "IMAGE" {
				a.SendPDU(&pdu.Abort{Source: pdu.SourceProvider})
				return
			}
			archive(nil, nil)(a, level)
		}, qr.Profile{Known: true, UIDLists: true}, everyKey},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: test.find}
			g := qrtest.For(p, qrtest.Options{})
			report := g.Examine(t.Context(), qr.Call{}, qrtest.PACS, true)
			require.NoError(t, report.Err)
			require.NotNil(t, report.Profile)
			assert.Equal(t, test.keys, keywords(report.Profile.StudyKeys))
			report.Profile.StudyKeys = nil
			assert.Equal(t, test.want, *report.Profile)
			require.NoError(t, g.Wait(t.Context()))
		})
	}
}

func TestProbesAskForUIDsOnly(t *testing.T) {
	find := archive(nil, nil)
	asked := 0
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		asked++
		keys := a.Keys()
		for t2 := range keys.Tags() {
			if len(keys.Strings(t2)) == 0 {
				assert.Contains(t, []string{"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}, dataset.Keyword(t2), "a return key")
			}
		}
		find(a, level)
	}}
	g := qrtest.For(p, qrtest.Options{})
	report := g.Examine(t.Context(), qr.Call{}, qrtest.PACS, true)
	require.NoError(t, report.Err)
	assert.Less(t, asked, 20)
	qrtest.Events(t, p, g)
}

func TestProbesInThePatientRootModelNameNobody(t *testing.T) {
	var seen []string
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		assert.Regexp(t, "^NOBODY-", a.Keys().String(dataset.PatientID))
		assert.Regexp(t, `^2\.25\.[1-9][0-9]{20,38}$`, a.Keys().String(dataset.StudyInstanceUID))
		seen = append(seen, level)
		a.Finish(dicomnet.StatusSuccess)
	}}
	peer := named(pool.RetrieveAuto)
	peer.Settings.PatientRoot = true
	g := qrtest.For(p, qrtest.Options{})
	report := g.Examine(t.Context(), qr.Call{}, peer, true)
	require.NoError(t, report.Err)
	assert.Equal(t, qr.Profile{Known: true, ImageLevelFind: true}, *report.Profile)
	assert.Equal(t, []string{"STUDY", "IMAGE"}, seen)
	qrtest.Events(t, p, g)
}

func TestProbingFailsIfThePACSDoesNotAnswer(t *testing.T) {
	for at := 1; at <= 16; at++ {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			find := archive(nil, nil)
			p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
				if n++; n == at {
					dicomtest.Wait(time.Hour)
				}
				find(a, level)
			}}
			g := qrtest.For(p, qrtest.Options{})
			report := g.Examine(t.Context(), qr.Call{}, qrtest.PACS, true)
			var timeout *dicomnet.TimeoutError
			require.ErrorAs(t, report.Err, &timeout, "query %d", at)
			assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, report.Err))
			assert.Nil(t, report.Profile)
			dicomtest.Wait(time.Hour)
			require.NoError(t, g.Wait(t.Context()))
		})
	}
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) { a.Finish(dicomnet.StatusOutOfResources) }}
	g := qrtest.For(p, qrtest.Options{})
	report := g.Examine(t.Context(), qr.Call{}, qrtest.PACS, true)
	var status *dicomnet.StatusError
	require.ErrorAs(t, report.Err, &status)
	qrtest.Events(t, p, g)
}

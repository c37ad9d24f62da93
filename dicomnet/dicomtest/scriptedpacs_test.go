package dicomtest_test

import (
	"context"
	"errors"
	"strconv"
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

// dialScripted opens an association with a scripted PACS for Verification, C-FIND and C-MOVE.
func dialScripted(t *testing.T, p *dicomtest.ScriptedPACS) (*dicomnet.Association, error) {
	t.Helper()
	cfg := dicomnet.Config{
		CalledAETitle: aeTitle, CallingAETitle: "TEST", DialContext: p.DialContext,
		Timeouts: dicomnet.Timeouts{Connection: time.Minute, ACSE: time.Minute, DIMSE: time.Minute, Move: time.Minute, Network: time.Minute},
	}
	for _, class := range []string{dicomnet.VerificationSOPClass, dicomnet.StudyRoot.Find, dicomnet.StudyRoot.Move} {
		cfg.Contexts = append(cfg.Contexts, dicomnet.Context{
			AbstractSyntax: class, TransferSyntaxes: []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian},
		})
	}
	return dicomnet.Dial(t.Context(), "pacs:104", cfg)
}

func associate(t *testing.T, p *dicomtest.ScriptedPACS) *dicomnet.Association {
	t.Helper()
	assoc, err := dialScripted(t, p)
	require.NoError(t, err)
	return assoc
}

func eventsOf(p *dicomtest.ScriptedPACS) []string {
	var events []string
	for _, e := range p.Events() {
		events = append(events, e.String())
	}
	return events
}

func oneStudy(uid string) *dicom.Dataset { return identifier("STUDY", want(tag.StudyInstanceUID, uid)) }

func TestScriptedPACSByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{
			Studies: []dicomtest.Attributes{{tag.StudyInstanceUID: "1.1"}, {tag.StudyInstanceUID: "1.2"}},
			Series:  map[string][]dicomtest.Attributes{"1.1": {{tag.Modality: "CT"}}},
		}
		assoc := associate(t, p)
		require.NoError(t, assoc.Echo(t.Context()))
		studies, err := find(t.Context(), assoc, dicomnet.StudyRoot, oneStudy(""))
		require.NoError(t, err)
		assert.Len(t, studies, 2)
		series, err := find(t.Context(), assoc, dicomnet.StudyRoot, identifier("SERIES", want(tag.StudyInstanceUID, "1.1")))
		require.NoError(t, err)
		require.Len(t, series, 1)
		assert.Equal(t, "CT", series[0].first(tag.Modality))
		assert.Equal(t, [4]int{-1, 1, 0, 0}, counters(move(t, assoc, dicomnet.StudyRoot, "DEST", oneStudy("1.2"))[0]))
		require.NoError(t, assoc.Close())
		require.NoError(t, p.Err())
		assert.Equal(t, []string{
			"associate ECHO FIND MOVE", "echo", "find STUDY", "find SERIES 1.1", "move 1.2 to DEST", "release",
		}, eventsOf(p))
		assert.Equal(t, aeTitle, p.Requests()[0].CalledAETitle)
		p.Forget()
		assert.Empty(t, p.Events())
		assert.Empty(t, p.Requests())
	})
}

func TestScriptedPACSIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Move: func(a *dicomtest.ScriptedAssociation, _ string) {
			a.Moving(dicomtest.Count(1, 0, 0, 2))
			dicomtest.Wait(time.Second)
			a.AwaitCancel()
			a.Moved(dicomnet.StatusCancel, dicomtest.NoCounters, "1.2.3")
		}}
		assoc := associate(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begin := time.Now()
		var reports []dicomnet.RetrieveReport
		for report := range assoc.Move(ctx, dicomnet.StudyRoot, "DEST", oneStudy("1.1")) {
			reports = append(reports, report)
			cancel()
		}
		require.Len(t, reports, 2)
		assert.Equal(t, [4]int{2, 1, 0, 0}, counters(reports[0]))
		assert.Equal(t, [4]int{-1, -1, -1, -1}, counters(reports[1]))
		assert.Equal(t, []string{"1.2.3"}, reports[1].FailedSOPInstanceUIDs)
		require.NoError(t, assoc.Close())
		require.NoError(t, p.Err())
		assert.Equal(t, time.Second, p.When("cancel").Sub(begin))
		assert.Equal(t, time.Second, p.AwaitEnd().Sub(begin))
		assert.Zero(t, p.When("abort"))
	})
}

func TestScriptedPACSNegotiates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Negotiate: func(a *dicomtest.ScriptedAssociation) bool {
			switch {
			case a.Open > 2:
				return a.Reject(dicomtest.LocalLimitExceeded)
			case a.Number == 2:
				a.Answer = a.AC(dataset.ExplicitVRLittleEndian)
			}
			return a.Refuse(dicomnet.StudyRoot.Move)
		}, Studies: []dicomtest.Attributes{{tag.PatientID: "P1"}}}
		first, second := associate(t, p), associate(t, p)
		_, err := dialScripted(t, p)
		var reject *dicomnet.RejectError
		require.ErrorAs(t, err, &reject)
		for range first.Move(t.Context(), dicomnet.StudyRoot, "DEST", oneStudy("1.1")) {
			continue
		}
		for _, assoc := range []*dicomnet.Association{first, second} {
			studies, err := find(t.Context(), assoc, dicomnet.StudyRoot, oneStudy(""))
			require.NoError(t, err)
			require.Len(t, studies, 1)
			assert.Equal(t, "P1", studies[0].first(tag.PatientID))
			require.NoError(t, assoc.Close())
		}
		associate(t, p).Abort()
		require.NoError(t, p.Err())
		assert.Equal(t, 3, p.MostOpen())
		assert.NotContains(t, eventsOf(p), "move 1.1 to DEST")
		assert.Contains(t, eventsOf(p), "abort")
	})
}

// late sends a C-CANCEL-RQ after the final response to a C-FIND.
func late(p *dicomtest.ScriptedPACS) error {
	conn, err := p.DialContext(context.Background(), "tcp", "pacs:104")
	if err != nil {
		return err
	}
	script := dicomtest.Script{Play: func(peer *dicomtest.ScriptedPeer) {
		peer.SendPDU(&pdu.AssociateRQ{
			CalledAETitle: aeTitle, CallingAETitle: "TEST",
			Contexts: []pdu.ContextRQ{{
				ID: 1, AbstractSyntax: dicomnet.StudyRoot.Find, TransferSyntaxes: []string{string(dataset.ImplicitVRLittleEndian)},
			}},
		})
		peer.Expect(pdu.TypeAssociateAC)
		peer.SendMessage(
			dicomtest.Message{ContextID: 1, Data: dicomtest.Attributes{tag.QueryRetrieveLevel: "STUDY"}.Encode(dataset.ImplicitVRLittleEndian), Command: dicomnet.CommandSet{
				CommandField: dicomnet.CFindRQ, AffectedSOPClassUID: dicomnet.StudyRoot.Find, MessageID: 1, HasDataSet: true,
			}},
			dicomtest.Message{ContextID: 1, Command: dicomnet.CommandSet{CommandField: dicomnet.CCancelRQ, MessageIDBeingRespondedTo: 1}},
		)
		peer.ReadMessage()
		if p.AllowLateCancel {
			peer.SendPDU(&pdu.ReleaseRQ{})
			peer.Expect(pdu.TypeReleaseRP)
		}
	}}
	script.Go(conn)
	return errors.Join(script.Err(), p.Err())
}

func TestScriptedPACSAllowsALateCancelOnRequest(t *testing.T) {
	for allowed, events := range map[bool][]string{
		true:  {"associate FIND", "find STUDY", "late cancel", "release"},
		false: {"associate FIND", "find STUDY"},
	} {
		t.Run(strconv.FormatBool(allowed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &dicomtest.ScriptedPACS{AllowLateCancel: allowed}
				err := late(p)
				assert.Equal(t, events, eventsOf(p))
				if allowed {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, "C-CANCEL-RQ after the final response")
				}
			})
		})
	}
}

func TestScriptedPACSReportsWhatGoesAgainstTheScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) {
			a.Pending(dicomtest.Undecodable)
			a.Match(dicomtest.Attributes{}.With(tag.PatientID, "P1"))
			a.Finish(dicomnet.StatusSuccess)
			a.AwaitCancel()
		}}
		assoc := associate(t, p)
		for range assoc.Find(t.Context(), dicomnet.StudyRoot, oneStudy("")) {
			continue
		}
		require.NoError(t, assoc.Close())
		require.ErrorContains(t, p.Err(), "want P-DATA-TF")
	})
}

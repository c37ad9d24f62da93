package server

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr"
)

// Codes of events (PS3.16 annex D).
const (
	activityEvent    = "110100"
	beginEvent       = "110102"
	transferredEvent = "110104"
	networkEvent     = "110108"
	queryEvent       = "110112"
	alertEvent       = "110113"
)

// startAudited is start with an audit log. The function of returns the records after that of the start.
func startAudited(t *testing.T, gateway backend, variables ...string) (r *running, of func(t *testing.T) []record) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "audit.log")
	r = start(t, gateway, append([]string{"AUDIT_LOG", file}, variables...)...)
	r.do(t, http.MethodGet, "/health", nil)
	return r, func(t *testing.T) []record {
		t.Helper()
		all := records(t, readFile(t, file))
		require.NotEmpty(t, all)
		require.Equal(t, activityEvent, all[0].Event.ID.Code)
		return all[1:]
	}
}

func TestQueryIsRecordedBeforeTheAnswer(t *testing.T) {
	found := study(studyUID)
	found.AccessionNumber = "ACC-9"
	gateway := &fakeGateway{}
	r, of := startAudited(t, gateway, "API_KEYS_FILE", keysFile(t, keyLine("viewer", viewerKey)))
	for name, test := range map[string]struct {
		studies []qr.Study
		err     error
		status  int
		outcome string
		text    string
	}{
		"found":    {[]qr.Study{found, study(studyUID + ".7")}, nil, 200, "0", "ok"},
		"no match": {nil, nil, 404, "0", "no_study_matched"},
		"failed":   {nil, &dicomnet.OpError{Step: dicomnet.StepFind, Err: dicomnet.ErrConnectionLost}, 502, "8", "connection_lost"},
		"rejected": {
			nil, &dicomnet.OpError{Step: dicomnet.StepAssociate, Err: &dicomnet.RejectError{Result: 1, Source: 1, Reason: 7}},
			502, "8", "association_rejected",
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(of(t))
			*gateway = *answering(&qr.QueryResult{Studies: test.studies}, test.err)
			if test.err != nil {
				*gateway = *answering(nil, test.err)
			}
			status, header, _ := r.post(t, "/q", queryBody, "Authorization", "Bearer "+viewerKey)
			require.Equal(t, test.status, status)
			all := of(t)
			require.Len(t, all, before+1)
			q := all[before]

			assert.Equal(t, queryEvent, q.Event.ID.Code)
			assert.Equal(t, "E", q.Event.Action)
			assert.Equal(t, test.outcome, q.Event.Outcome)
			assert.Equal(t, test.text, q.Event.Description)
			at, err := time.Parse(time.RFC3339, q.Event.DateTime)
			require.NoError(t, err)
			assert.WithinDuration(t, time.Now(), at, time.Minute)
			assert.Equal(t, header.Get("X-Correlation-ID"), q.CorrelationID)

			user, credentials, address := q.requestor(t)
			assert.Equal(t, []string{"viewer", "key=viewer", "127.0.0.1"}, []string{user, credentials, address})
			assert.Equal(t, map[string]string{"110153": "GATEWAY", "110152": "PACS"}, q.aeTitles())
			assert.Equal(t, "127.0.0.1:104", q.Participants[1].UserID)
			assert.Equal(t, []string{patientID}, q.objectIDs("2"))
			uids := []string{}
			for _, s := range test.studies {
				uids = append(uids, s.StudyInstanceUID)
			}
			assert.Equal(t, uids, q.objectIDs("110180"))

			search := q.Objects[0]
			assert.Equal(t, "1.2.840.10008.5.1.4.1.2.2.1", search.ID)
			assert.Equal(t, "110181", search.IDTypeCode.Code)
			assert.Empty(t, search.Query, "the fake gateway sent nothing")
			assert.Empty(t, search.Details)
			assert.Equal(t, "C-FIND", search.Name)
		})
	}
	logged := r.logs.String()
	for _, secret := range []string{patientID, patientName, studyUID, "ACC-9", viewerKey} {
		assert.NotContains(t, logged, secret)
	}
}

func TestRecordHoldsTheIdentifierThatWasSent(t *testing.T) {
	var sent []byte
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		sent = a.Request.Data
		a.Finish(dicomnet.StatusSuccess)
	}}
	r, of := startAudited(t, gatewayTo(t, p, gatewayOptions{}))
	for i, call := range []struct{ path, body string }{{"/q", queryBody}, {"/qr", retrieveBody}} {
		status, _, _ := r.post(t, call.path, call.body)
		require.Equal(t, http.StatusNotFound, status)
		all := of(t)
		require.Len(t, all, i+1)
		search := all[i].Objects[0]
		assert.Equal(t, sent, search.Query)
		assert.Equal(t, string(dataset.ImplicitVRLittleEndian), all[i].details(search.ID)["TransferSyntax"])
		identifier, err := dataset.Parse(search.Query, dataset.ImplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		assert.Equal(t, patientID, identifier.String(tag.PatientID))
		assert.Empty(t, search.Name)
	}
}

func TestRetrieveIsRecordedBeforeTheFirstMoveAndBeforeTheAnswer(t *testing.T) {
	failed := qr.Retrieval{Status: qr.RetrievalFailed, DICOMStatus: "A801"}
	cancelled := qr.Retrieval{Status: qr.RetrievalCancelled, Completed: new(3)}
	lost := &dicomnet.OpError{Step: dicomnet.StepMove, Err: dicomnet.ErrConnectionLost}
	for name, test := range map[string]struct {
		result  *qr.RetrieveResult
		outcome string
		text    string
		statuses,
		codes string
	}{
		"all":       {outcome(nil, moved(2), moved(3)), "0", "ok", "ok ok", "0000 0000"},
		"partial":   {outcome(errUnknownDestination, moved(2), failed), "4", "partial", "ok failed", "0000 A801"},
		"failed":    {outcome(errUnknownDestination, failed), "8", "move_destination_unknown", "failed", "A801"},
		"lost":      {outcome(lost, qr.Retrieval{Status: qr.RetrievalFailed}), "8", "connection_lost", "failed", ""},
		"cancelled": {outcome(&dicomnet.OpError{Step: dicomnet.StepMove, Err: context.Canceled}, cancelled), "4", "partial", "cancelled", ""},
	} {
		for _, accept := range []string{"application/json", "text/event-stream"} {
			t.Run(name+" as "+accept, func(t *testing.T) {
				var of func(t *testing.T) []record
				gateway := narrating(test.result, nil)
				inner := gateway.retrieve
				gateway.retrieve = func(ctx context.Context, c qr.Call, p qr.Peer, f qr.Filter, d string) (*qr.RetrieveResult, error) {
					assert.Empty(t, of(t))
					c.Observer = matchedObserver{c.Observer, func() { require.Len(t, of(t), 1, "before the first move") }}
					return inner(ctx, c, p, f, d)
				}
				var r *running
				r, of = startAudited(t, gateway)
				r.post(t, "/qr", retrieveBody, "Accept", accept, "X-Correlation-ID", "order-4711")

				all := of(t)
				require.Len(t, all, 2)
				begin, end := all[0], all[1]
				assert.Equal(t, []string{beginEvent, "E", "0"}, []string{begin.Event.ID.Code, begin.Event.Action, begin.Event.Outcome})
				assert.Equal(t, []string{transferredEvent, "R", test.outcome}, []string{end.Event.ID.Code, end.Event.Action, end.Event.Outcome})
				assert.Equal(t, test.text, end.Event.Description)
				var statuses, codes, uids []string
				for _, s := range test.result.Studies {
					uids = append(uids, s.StudyInstanceUID)
					details := end.details(s.StudyInstanceUID)
					statuses, codes = append(statuses, details["status"]), append(codes, details["dicom_status"])
				}
				assert.Equal(t, test.statuses, strings.Join(statuses, " "))
				assert.Equal(t, test.codes, strings.Join(codes, " "))
				for _, record := range all {
					assert.Equal(t, "order-4711", record.CorrelationID)
					assert.Equal(t, map[string]string{"110153": "PACS", "110152": "DEST", "110150": "GATEWAY"}, record.aeTitles())
					user, _, address := record.requestor(t)
					assert.Equal(t, []string{"anonymous", "127.0.0.1"}, []string{user, address})
					assert.Equal(t, uids, record.objectIDs("110180"))
					assert.Equal(t, []string{patientID}, record.objectIDs("2"))
				}
				assert.NotContains(t, r.logs.String(), patientName)
				assert.NotContains(t, r.logs.String(), patientID)
			})
		}
	}
}

// matchedObserver calls after when Matched has returned.
type matchedObserver struct {
	qr.Observer
	after func()
}

func (o matchedObserver) Matched(studies []qr.Study, warnings []qr.Warning) error {
	err := o.Observer.Matched(studies, warnings)
	o.after()
	return err
}

func TestRetrieveWithoutAMoveIsRecordedAsAQuery(t *testing.T) {
	gateway := &fakeGateway{}
	r, of := startAudited(t, gateway)
	*gateway = *narrating(&qr.RetrieveResult{}, nil)
	r.post(t, "/qr", retrieveBody)
	*gateway = *narrating(nil, &dicomnet.OpError{Step: dicomnet.StepFind, Err: dicomnet.ErrConnectionLost})
	r.post(t, "/qr", retrieveBody)
	all := of(t)
	require.Len(t, all, 2)
	assert.Equal(t, []string{queryEvent, "0", "no_study_matched"}, []string{all[0].Event.ID.Code, all[0].Event.Outcome, all[0].Event.Description})
	assert.Equal(t, []string{queryEvent, "8", "connection_lost"}, []string{all[1].Event.ID.Code, all[1].Event.Outcome, all[1].Event.Description})
}

func TestEchoIsRecorded(t *testing.T) {
	gateway := &fakeGateway{}
	r, of := startAudited(t, gateway)
	body := `{"pacs_ip":"pacs.example","pacs_port":104,"pacs_ae_title":"PACS","c_find_ae_title":"GATEWAY"}`
	for _, err := range []error{nil, &dicomnet.OpError{Step: dicomnet.StepAssociate, Err: dicomnet.ErrConnectionLost}} {
		gateway.echo = func(context.Context, qr.Call, qr.Peer) *qr.EchoReport { return &qr.EchoReport{Err: err} }
		r.post(t, "/echo", body)
	}
	all := of(t)
	require.Len(t, all, 2)
	for i, want := range []string{"0 ok", "8 connection_lost"} {
		assert.Equal(t, networkEvent, all[i].Event.ID.Code)
		assert.Equal(t, want, all[i].Event.Outcome+" "+all[i].Event.Description)
		assert.Equal(t, "110124", all[i].Event.Types[0].Code)
		assert.Equal(t, map[string]string{"110153": "GATEWAY", "110152": "PACS"}, all[i].aeTitles())
		assert.Equal(t, "1", all[i].Participants[1].NetworkAccessPointTypeCode, "a host name")
	}
}

func TestPanicIsRecorded(t *testing.T) {
	panics := func() { panic(patientName) }
	r, of := startAudited(t, &fakeGateway{
		query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) { panics(); return nil, nil },
		echo:  func(context.Context, qr.Call, qr.Peer) *qr.EchoReport { panics(); return nil },
		retrieve: func(_ context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
			_ = c.Observer.Matched([]qr.Study{study(studyUID)}, nil)
			panics()
			return nil, nil
		},
	})
	for path, body := range map[string]string{"/q": queryBody, "/qr": retrieveBody, "/echo": strings.Replace(queryBody, `,"patient_id":"`+patientID+`"`, "", 1)} {
		status, _, _ := r.post(t, path, body)
		assert.Equal(t, http.StatusInternalServerError, status)
	}
	events := map[string]string{}
	for _, record := range of(t) {
		events[record.Event.ID.Code] = record.Event.Outcome + " " + record.Event.Description
	}
	assert.Equal(t, map[string]string{
		queryEvent: "8 internal_error", networkEvent: "8 internal_error", transferredEvent: "8 internal_error", beginEvent: "0 ",
	}, events)
	assert.NotContains(t, r.logs.String(), patientName)
}

func TestStartAndStopAreRecorded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	r := start(t, &fakeGateway{}, "AUDIT_LOG", file)
	r.do(t, http.MethodGet, "/health", nil)
	r.stop()
	require.NoError(t, <-r.done)
	r.done <- nil
	all := records(t, readFile(t, file))
	require.Len(t, all, 2)
	assert.Equal(t, []string{activityEvent, "110120"}, []string{all[0].Event.ID.Code, all[0].Event.Types[0].Code})
	assert.Equal(t, []string{activityEvent, "110121"}, []string{all[1].Event.ID.Code, all[1].Event.Types[0].Code})
}

func TestConcurrentOperationsLeaveWholeRecords(t *testing.T) {
	var arrived sync.WaitGroup
	arrived.Add(64)
	r, of := startAudited(t, &fakeGateway{query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
		arrived.Done()
		arrived.Wait()
		return &qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil
	}})
	var callers sync.WaitGroup
	ids := sync.Map{}
	for range 64 {
		callers.Go(func() {
			reply, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
			if assert.NoError(t, err) {
				ids.Store(reply.HTTPResponse.Header.Get("X-Correlation-ID"), true)
			}
		})
	}
	callers.Wait()
	all := of(t)
	require.Len(t, all, 64)
	for _, record := range all {
		_, ours := ids.LoadAndDelete(record.CorrelationID)
		assert.True(t, ours)
	}
}

func TestRecordsAndLogShareStandardOutput(t *testing.T) {
	r := start(t, foundOne(), "AUDIT_LOG", "stdout")
	r.post(t, "/q", queryBody)
	all := records(t, r.logs.String())
	require.Len(t, all, 2)
	assert.Equal(t, queryEvent, all[1].Event.ID.Code)
	r.server.Reopen()
	waitForLine(t, r, "audit log reopened")
}

func TestRetrieveOfADisconnectedCallerIsRecorded(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	r, of := startAudited(t, &fakeGateway{retrieve: func(ctx context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
		_ = c.Observer.Matched([]qr.Study{study(studyUID)}, nil)
		close(begun)
		<-ctx.Done()
		defer close(ended)
		return outcome(&dicomnet.OpError{Step: dicomnet.StepMove, Err: ctx.Err()}, qr.Retrieval{Status: qr.RetrievalCancelled}), nil
	}})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-begun
		leave()
	}()
	_, err := r.api.RetrieveWithResponse(ctx, nil, retrieveRequest())
	require.ErrorIs(t, err, context.Canceled)
	<-ended
	waitForLine(t, r, "request")
	waitForLineWithRoute(t, r, "/qr")
	all := of(t)
	require.Len(t, all, 2)
	assert.Equal(t, []string{transferredEvent, "8", "cancelled"}, []string{all[1].Event.ID.Code, all[1].Event.Outcome, all[1].Event.Description})
	assert.Equal(t, "cancelled", all[1].details(studyUID)["status"])
}

// waitForLineWithRoute waits for the log line of a request, which may be written after its caller has disconnected.
func waitForLineWithRoute(t *testing.T, r *running, route string) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, line := range r.logs.lines(t, "request") {
			if line["route"] == route {
				return true
			}
		}
		return false
	}, 10*time.Second, time.Millisecond)
}

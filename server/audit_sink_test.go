package server

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/qr"
)

// disk is a writer that fails while it is full.
type disk struct {
	safeBuffer
	mu   sync.Mutex
	full bool
}

func (d *disk) fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return 0, syscall.ENOSPC
	}
	return d.safeBuffer.Write(p)
}

// startOnDisk is start with an audit log on a disk.
func startOnDisk(t *testing.T, gateway backend, variables ...string) (*running, *disk) {
	t.Helper()
	d := &disk{}
	r := startWith(t, gateway, preparation{options: func(o *Options) { o.Audit = audit.NewTrail(audit.To(d, audit.Options{})) }}, variables...)
	r.do(t, http.MethodGet, "/health", nil)
	return r, d
}

func assertUnaudited(t *testing.T, status int, header http.Header, body string) {
	t.Helper()
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "5", header.Get("Retry-After"))
	assert.Equal(t, goclient.ProblemCodeAuditUnavailable, problemIn(t, body).Code)
	assert.NotContains(t, body, patientName)
	assert.NotContains(t, body, studyUID)
}

// assertWithheld checks the answer to an operation that ran but was not recorded.
func assertWithheld(t *testing.T, status int, body string) {
	t.Helper()
	assert.Equal(t, http.StatusInternalServerError, status)
	assert.Equal(t, goclient.ProblemCodeAuditFailed, problemIn(t, body).Code)
	assert.NotContains(t, body, patientName)
	assert.NotContains(t, body, studyUID)
}

func eventsOf(all []record) string {
	var ids []string
	for _, r := range all {
		ids = append(ids, r.Event.ID.Code)
	}
	return strings.Join(ids, " ")
}

func TestServeFailsIfItsStartCannotBeRecorded(t *testing.T) {
	c := settings(t, "AUDIT_LOG", "stdout")
	s, err := New(optionsOf(t, &c, &fakeGateway{}, &disk{full: true}))
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, s.Serve(t.Context(), listener), syscall.ENOSPC)
	_, err = net.Dial("tcp", listener.Addr().String())
	require.Error(t, err)
}

func TestUnrecordedQueryIsWithheld(t *testing.T) {
	asked := 0
	gateway := &fakeGateway{}
	r, d := startOnDisk(t, gateway)
	gateway.query = func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
		asked++
		d.fill(asked == 1)
		return &qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil
	}
	status, _, body := r.post(t, "/q", queryBody)
	assertWithheld(t, status, body)
	status, header, body := r.post(t, "/q", queryBody)
	assertUnaudited(t, status, header, body)
	assert.Equal(t, 1, asked, "the second operation is not run")
	assert.Equal(t, "error", waitForLine(t, r, "audit record not written")["level"])
	assert.NotContains(t, r.logs.String(), patientID)

	d.fill(false)
	status, _, _ = r.post(t, "/q", queryBody)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, activityEvent+" "+queryEvent+" "+queryEvent, eventsOf(records(t, d.String())), "one for each operation that ran")
}

func TestOperationsAreRefusedWhileRecordsWait(t *testing.T) {
	gateway := &fakeGateway{}
	r, d := startOnDisk(t, gateway, "API_KEYS_FILE", keysFile(t, keyLine("viewer", viewerKey)))
	ask := func(path, body string, id string) (int, http.Header, string) {
		return r.post(t, path, body, "Authorization", "Bearer "+viewerKey, "X-Correlation-ID", id)
	}
	d.fill(true)
	status, _, _ := r.post(t, "/q", queryBody)
	assert.Equal(t, http.StatusUnauthorized, status, "the refusal does not depend on the record")
	echoBody := strings.Replace(queryBody, `,"patient_id":"`+patientID+`"`, "", 1)
	for path, body := range map[string]string{"/q": queryBody, "/qr": retrieveBody, "/echo": echoBody} {
		status, header, answer := ask(path, body, "refused") // a call of the fake gateway would panic
		assertUnaudited(t, status, header, answer)
	}
	status, _, _ = r.do(t, http.MethodGet, "/health", nil)
	assert.Equal(t, http.StatusOK, status)

	d.fill(false)
	*gateway = *foundOne()
	status, _, _ = ask("/q", queryBody, "again")
	assert.Equal(t, http.StatusOK, status)
	all := records(t, d.String())
	assert.Equal(t, activityEvent+" "+alertEvent+" "+queryEvent, eventsOf(all), "no record is missing")
	assert.Equal(t, "again", all[2].CorrelationID)
}

func TestUnrecordedEchoIsWithheld(t *testing.T) {
	gateway := &fakeGateway{}
	r, d := startOnDisk(t, gateway)
	gateway.echo = func(context.Context, qr.Call, qr.Peer) *qr.EchoReport {
		d.fill(true)
		return &qr.EchoReport{}
	}
	status, _, body := r.post(t, "/echo", strings.Replace(queryBody, `,"patient_id":"`+patientID+`"`, "", 1))
	assertWithheld(t, status, body)
	d.fill(false)
}

func TestUnrecordedRetrieveMovesNothing(t *testing.T) {
	for _, accept := range []string{"application/json", "text/event-stream"} {
		t.Run(accept, func(t *testing.T) {
			gateway := &fakeGateway{}
			r, d := startOnDisk(t, gateway)
			gateway.retrieve = func(_ context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
				d.fill(true)
				err := c.Observer.Matched([]qr.Study{study(studyUID)}, nil)
				d.fill(false)
				require.Error(t, err, "before the first move")
				return nil, &dicomnet.OpError{Step: dicomnet.StepMove, Err: err}
			}
			status, header, body := r.post(t, "/qr", retrieveBody, "Accept", accept)
			assertUnaudited(t, status, header, body)
			all := records(t, d.String())
			assert.Equal(t, activityEvent+" "+beginEvent+" "+transferredEvent, eventsOf(all), "the waiting record comes first")
			assert.Equal(t, "not_attempted", all[2].details(studyUID)["status"])
		})
	}
}

func TestUnrecordedOutcomeOfARetrieveIsWithheld(t *testing.T) {
	for _, accept := range []string{"application/json", "text/event-stream"} {
		t.Run(accept, func(t *testing.T) {
			gateway := &fakeGateway{}
			r, d := startOnDisk(t, gateway)
			gateway.retrieve = func(_ context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
				_ = c.Observer.Matched([]qr.Study{study(studyUID)}, nil)
				d.fill(true)
				return outcome(nil, moved(1)), nil
			}
			status, _, body := r.post(t, "/qr", retrieveBody, "Accept", accept)
			if accept == eventType {
				all := events(t, strings.NewReader(body))
				last := all[len(all)-1]
				assert.Equal(t, "error", last.name)
				last.valid(t, "Problem")
				status, body = http.StatusInternalServerError, last.data
			}
			assertWithheld(t, status, body)
			assert.Contains(t, problemIn(t, body).Detail, "may have been moved")
			assert.Equal(t, activityEvent+" "+beginEvent, eventsOf(records(t, d.String())))
			d.fill(false)
		})
	}
}

func TestUnrecordedQueryOfARetrieveIsWithheld(t *testing.T) {
	gateway := &fakeGateway{}
	r, d := startOnDisk(t, gateway)
	gateway.retrieve = func(context.Context, qr.Call, qr.Peer, qr.Filter, string) (*qr.RetrieveResult, error) {
		d.fill(true)
		return &qr.RetrieveResult{}, nil
	}
	status, header, body := r.post(t, "/qr", retrieveBody)
	assertUnaudited(t, status, header, body)
	d.fill(false)
}

func TestShutdownCountsLostRecords(t *testing.T) {
	r, d := startOnDisk(t, &fakeGateway{})
	d.fill(true)
	r.stop()
	err := <-r.done
	r.done <- nil
	require.ErrorContains(t, err, "1 records lost")
	assert.Equal(t, false, r.logs.lines(t, "stopped")[0]["clean"])
}

func TestOperationsAreRefusedWhileTheAuditDirectoryIsMissing(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "audit")
	require.NoError(t, os.Mkdir(directory, 0o700))
	file := filepath.Join(directory, "audit.log")
	r := start(t, foundOne(), "AUDIT_LOG", file)
	status, _, _ := r.post(t, "/q", queryBody)
	require.Equal(t, http.StatusOK, status)

	require.NoError(t, os.RemoveAll(directory))
	status, header, body := r.post(t, "/q", queryBody)
	assertUnaudited(t, status, header, body)
	r.server.Reopen()
	waitForLine(t, r, "audit log not reopened")

	require.NoError(t, os.Mkdir(directory, 0o700))
	status, _, _ = r.post(t, "/q", queryBody)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, queryEvent, eventsOf(records(t, readFile(t, file))))
	mode, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), mode.Mode(), "readable by the owner only")
}

func TestReopenWithoutAuditDoesNothing(t *testing.T) {
	r := start(t, foundOne())
	r.server.Reopen()
	status, _, _ := r.post(t, "/q", queryBody)
	assert.Equal(t, http.StatusOK, status)
}

func TestRecordOfManyStudiesIsWhole(t *testing.T) {
	const n = 2000
	gateway := &fakeGateway{query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
		return &qr.QueryResult{Studies: slices.Repeat([]qr.Study{study(studyUID)}, n)}, nil
	}}
	r, of := startAudited(t, gateway)
	status, _, _ := r.post(t, "/q", queryBody)
	assert.Equal(t, http.StatusOK, status)
	all := of(t)
	require.Len(t, all, 1)
	assert.Len(t, all[0].objectIDs("110180"), n)
}

func TestOutcomeOfAStudyThatTheResultLacksIsNotRecorded(t *testing.T) {
	r, of := startAudited(t, &fakeGateway{retrieve: func(_ context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
		require.NoError(t, c.Observer.Matched([]qr.Study{study(studyUID), study(studyUID + ".7")}, nil))
		return outcome(nil, moved(1)), nil
	}})
	_, _, _ = r.post(t, "/qr", retrieveBody)
	all := of(t)
	require.Len(t, all, 2)
	assert.Equal(t, "ok", all[1].details(studyUID)["status"])
	assert.Empty(t, all[1].details(studyUID+".7"))
}

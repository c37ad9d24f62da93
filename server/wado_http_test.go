package server

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
)

func TestHeadAsksForTheInventoryOnly(t *testing.T) {
	receiver := &fakeReceiver{retrieval: complete()}
	r := startReceiving(t, receiver)
	for _, path := range []string{studyPath, seriesPath, instancePath, studyPath + "/metadata"} {
		response, body, err := fetch(t, r, http.MethodHead, path)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, response.StatusCode, path)
		assert.Empty(t, body)
		assert.NotEmpty(t, response.Header.Get("ETag"))
		assert.NotEmpty(t, response.Header.Get("Content-Type"))
		assert.Equal(t, "Accept", response.Header.Get("Vary"))
	}
	assert.Equal(t, 4, receiver.listed)
	assert.Empty(t, receiver.asked)

	receiver.err = &receive.NotFoundError{}
	response, _, err := fetch(t, r, http.MethodHead, studyPath)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, response.StatusCode)
}

func TestCopyThatIsCurrentIsNotSentAgain(t *testing.T) {
	receiver := &fakeReceiver{retrieval: complete()}
	r := startReceiving(t, receiver)
	first, _, err := fetch(t, r, http.MethodGet, studyPath)
	require.NoError(t, err)
	etag := first.Header.Get("ETag")
	require.True(t, strings.HasPrefix(etag, "W/"))

	again, body, err := fetch(t, r, http.MethodGet, studyPath, "If-None-Match", etag)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotModified, again.StatusCode)
	assert.Equal(t, etag, again.Header.Get("ETag"))
	assert.Empty(t, body)
	assert.Len(t, receiver.asked, 1)

	other, _, err := fetch(t, r, http.MethodGet, studyPath, "If-None-Match", etag, "Accept", "application/zip")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, other.StatusCode)
	receiver.retrieval.inventory.PatientName = "CORRECTED^NAME"
	changed, _, err := fetch(t, r, http.MethodGet, studyPath, "If-None-Match", etag)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, changed.StatusCode)
	assert.NotEqual(t, etag, changed.Header.Get("ETag"))
}

// startReceivingAudited is startReceiving with an audit log and API keys.
func startReceivingAudited(t *testing.T, receiver Receiver, variables ...string) (r *running, of func() []record) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "audit.log")
	r = startReceiving(t, receiver, append([]string{
		"AUDIT_LOG", file, "API_KEYS_FILE", keysFile(t, keyLine("viewer", viewerKey)+strings.TrimSpace(keyLine("limited", worklistKey))+":pacs=other\n"),
	}, variables...)...)
	return r, func() []record {
		all := records(t, readFile(t, file))
		return all[1:]
	}
}

func TestRetrievalIsRecordedBeforeItsFirstAndItsLastByte(t *testing.T) {
	for name, test := range map[string]struct {
		retrieval            *fakeRetrieval
		outcome, description string
		details              map[string]string
	}{
		"complete": {complete(), "0", "ok", map[string]string{"status": "ok", "completed": "2", "missing": "0", "way": "get"}},
		"partial":  {partial(), "4", "partial", map[string]string{"status": "partial", "completed": "1", "missing": "1", "way": "get"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, of := startReceivingAudited(t, &fakeReceiver{retrieval: test.retrieval})
			_, _, _ = fetch(t, r, http.MethodGet, studyPath, "Authorization", "Bearer "+viewerKey)
			all := of()
			require.Len(t, all, 2)
			begun, ended := all[0], all[1]
			assert.Equal(t, []string{beginEvent, transferredEvent}, []string{begun.Event.ID.Code, ended.Event.ID.Code})
			assert.Equal(t, []string{test.outcome, test.description}, []string{ended.Event.Outcome, ended.Event.Description})
			assert.Equal(t, test.details, ended.details(studyUID))
			assert.Equal(t, []string{studyUID}, begun.objectIDs("110180"))
			assert.Equal(t, []string{patientID}, begun.objectIDs("2"))
			name, _, _ := begun.requestor(t)
			assert.Equal(t, "viewer", name)
			roles := map[string]string{}
			for _, p := range begun.Participants {
				roles[p.Roles[0].Code] = p.UserID
			}
			assert.Equal(t, "viewer", roles["110152"], "the caller is the destination")
			assert.Equal(t, "pacs.example:104", roles["110153"])
		})
	}
}

func TestRetrievalThatItsCallerLeavesIsRecordedWithWhatTheCallerHas(t *testing.T) {
	retrieval := complete()
	retrieval.instances[1].data = strings.Repeat("x", 16<<20)
	r, of := startReceivingAudited(t, &fakeReceiver{retrieval: retrieval})
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET "+studyPath+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer "+viewerKey+"\r\n\r\n")
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1000))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	assert.Equal(t, "cancelled", waitForLine(t, r, "request")["code"])
	all := of()
	require.Len(t, all, 2)
	assert.Equal(t, []string{"4", "cancelled"}, []string{all[1].Event.Outcome, all[1].Event.Description})
	details := all[1].details(studyUID)
	assert.Equal(t, []string{"cancelled", "1"}, []string{details["status"], details["completed"]})
}

func TestRetrievalThatCannotBeRecordedSendsNothing(t *testing.T) {
	receiver := &fakeReceiver{retrieval: complete()}
	r, disk := startOnDisk(t, &fakeGateway{})
	r.server.handlers.receiver = receiver
	r.server.handlers.pacs = namedMain{qr.Peer{Name: "main", Settings: &pool.Settings{}}}
	receiver.begun = func() { disk.fill(true) }
	status, _, body := r.get(t, studyPath)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "audit_unavailable", string(problemIn(t, body).Code))
	assert.True(t, receiver.retrieval.closed)
	_, _, metrics := r.get(t, "/metrics")
	assert.Contains(t, metrics, `dicomqr_retrievals_running{peer="main"} 0`)
}

func TestRetrievalOfAnInstanceIsRecordedWithIt(t *testing.T) {
	r, of := startReceivingAudited(t, &fakeReceiver{retrieval: complete()})
	_, _, err := fetch(t, r, http.MethodGet, instancePath, "Authorization", "Bearer "+viewerKey)
	require.NoError(t, err)
	details := of()[0].details(studyUID)
	assert.Equal(t, map[string]string{"series_instance_uid": studyUID + ".1", "sop_instance_uid": studyUID + ".1.1"}, details)
}

func TestRequestsThatTransferNothingAreRecordedAsQueries(t *testing.T) {
	receiver := &fakeReceiver{retrieval: complete()}
	r, of := startReceivingAudited(t, receiver)
	_, _, err := fetch(t, r, http.MethodHead, studyPath, "Authorization", "Bearer "+viewerKey)
	require.NoError(t, err)
	receiver.err = &receive.NotFoundError{}
	_, _, err = fetch(t, r, http.MethodGet, studyPath, "Authorization", "Bearer "+viewerKey)
	require.NoError(t, err)
	all := of()
	require.Len(t, all, 2)
	for i, outcome := range []string{"ok", "not_found"} {
		assert.Equal(t, []string{queryEvent, outcome}, []string{all[i].Event.ID.Code, all[i].Event.Description})
	}
}

func TestKeysWithoutARightToThePACSRetrieveNothing(t *testing.T) {
	receiver := &fakeReceiver{retrieval: complete()}
	r, of := startReceivingAudited(t, receiver)
	for _, path := range []string{studyPath, studyPath + "/metadata", instancePath + "/bulkdata/7FE00010", instancePath + "/frames/1"} {
		response, _, err := fetch(t, r, http.MethodGet, path, "Authorization", "Bearer "+worklistKey)
		require.NoError(t, err)
		assert.Equal(t, http.StatusForbidden, response.StatusCode)
	}
	assert.Empty(t, receiver.asked)
	assert.Equal(t, alertEvent, of()[0].Event.ID.Code)
	response, _, err := fetch(t, r, http.MethodGet, strings.Replace(studyPath, "main", "nowhere", 1), "Authorization", "Bearer "+viewerKey)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, response.StatusCode)
}

func TestRetrievalsAreReadOnly(t *testing.T) {
	r := startReceiving(t, &fakeReceiver{retrieval: complete()})
	for _, path := range []string{studyPath, seriesPath, instancePath + "/frames/1", instancePath + "/bulkdata/7FE00010", studyPath + "/metadata"} {
		response, _, err := fetch(t, r, http.MethodPost, path)
		require.NoError(t, err)
		assert.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
		assert.Equal(t, "GET, HEAD", response.Header.Get("Allow"))
	}
}

func TestOutcomeIsLoggedOnceWithItsCode(t *testing.T) {
	r := startReceiving(t, &fakeReceiver{retrieval: partial()})
	_, _, err := fetch(t, r, http.MethodGet, studyPath)
	require.Error(t, err)
	line := waitForLine(t, r, "request")
	assert.Equal(t, "RETRIEVE", line["operation"])
	assert.Equal(t, "retrieve_incomplete", line["code"])
	assert.EqualValues(t, http.StatusOK, line["status"])
	assert.EqualValues(t, http.StatusBadGateway, line["outcome_status"])
	assert.Equal(t, "warn", line["level"])
	_, _, metrics := r.get(t, "/metrics")
	assert.Contains(t, metrics, `dicomqr_retrievals_total{outcome="incomplete",peer="main",way="get"} 1`)
	assert.Contains(t, metrics, `dicomqr_retrieved_instances_total{peer="main",way="get"} 1`)
	assert.Contains(t, metrics, `operation="retrieve"`)
	for name, text := range map[string]string{"log": r.logs.String(), "metrics": metrics} {
		for _, secret := range []string{patientID, patientName, studyUID} {
			assert.NotContains(t, text, secret, name)
		}
	}
}

// overHTTP2 returns a client that speaks HTTP/2, and the URL of the gateway.
func startHTTP2(t *testing.T, receiver Receiver) (client *http.Client, url string) {
	t.Helper()
	files := writeCertificate(t)
	r := startReceiving(t, receiver, "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: files.pool, ServerName: "gateway.test"}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, strings.Replace(r.url, "http:", "https:", 1)
}

func TestIncompleteAnswerIsBrokenOffOverHTTP2(t *testing.T) {
	receiver := &fakeReceiver{retrieval: partial()}
	client, url := startHTTP2(t, receiver)
	response, err := client.Get(url + studyPath)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, []int{http.StatusOK, 2}, []int{response.StatusCode, response.ProtoMajor})
	_, err = io.ReadAll(response.Body)
	require.ErrorContains(t, err, "stream error")

	receiver.retrieval = complete()
	whole, err := client.Get(url + studyPath)
	require.NoError(t, err)
	defer whole.Body.Close()
	_, err = io.ReadAll(whole.Body)
	require.NoError(t, err)
	assert.Equal(t, "complete", whole.Trailer.Get("Retrieve-Outcome"))
}

func TestMetadataIsSentWithItsStatus(t *testing.T) {
	retrieval := partial()
	retrieval.instances[0].data = "\x08\x00\x60\x00CS\x02\x00CT"
	r := startWith(t, &fakeGateway{}, preparation{options: func(o *Options) {
		store, err := spool.New(spool.Settings{})
		require.NoError(t, err)
		o.Receiver, o.Spool = &fakeReceiver{retrieval: retrieval}, store
		o.PACS = namedMain{qr.Peer{Name: "main", Settings: &pool.Settings{}}}
	}})
	status, _, body := r.get(t, studyPath+"/metadata")
	assert.Equal(t, http.StatusBadGateway, status)
	assert.Equal(t, []string{studyUID + ".1.2"}, problemIn(t, body).MissingSOPInstanceUIDs)
	status, header, body := r.get(t, studyPath+"/metadata", "Prefer", "handling=lenient")
	assert.Equal(t, http.StatusPartialContent, status)
	assert.JSONEq(t, `[{"00080060":{"vr":"CS","Value":["CT"]}}]`, body)
	assert.Equal(t, "incomplete; missing=1", header.Get("Retrieve-Outcome"))
	retrieval.outcome = complete().outcome
	status, header, _ = r.get(t, studyPath+"/metadata")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, []string{"complete", "application/dicom+json"}, []string{header.Get("Retrieve-Outcome"), header.Get("Content-Type")})
}

// A caller that takes nothing is cut off, and the PACS hears of it by the end of the retrieval.
func TestCallerThatTakesNothingIsCutOff(t *testing.T) {
	retrieval := complete()
	retrieval.instances[1].data = strings.Repeat("x", 16<<20)
	r := startWith(t, &fakeGateway{}, preparation{options: func(o *Options) {
		o.Receiver, o.StallTimeout = &fakeReceiver{retrieval: retrieval}, 200*time.Millisecond
		o.PACS = namedMain{qr.Peer{Name: "main", Settings: &pool.Settings{}}}
	}})
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET "+studyPath+" HTTP/1.1\r\nHost: gateway\r\n\r\n")
	require.NoError(t, err)
	line := waitForLine(t, r, "request")
	assert.Equal(t, "cancelled", line["code"])
	assert.NotEmpty(t, r.logs.lines(t, "the caller took nothing of the answer and was cut off"))
	assert.True(t, retrieval.closed)
}

// A caller that waits for the PACS takes nothing either, and gets everything.
func TestCallerOfASlowPACSIsNotCutOff(t *testing.T) {
	files := writeCertificate(t)
	for name, test := range map[string]struct {
		variables []string
		major     int
	}{
		"HTTP/1.1":         {nil, 1},
		"HTTP/1.1 and TLS": {[]string{"TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key}, 1},
		"HTTP/2":           {[]string{"TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			retrieval := complete()
			retrieval.pause = 150 * time.Millisecond
			r := startWith(t, &fakeGateway{}, preparation{options: func(o *Options) {
				o.Receiver, o.StallTimeout = &fakeReceiver{retrieval: retrieval}, 50*time.Millisecond
				o.PACS = namedMain{qr.Peer{Name: "main", Settings: &pool.Settings{}}}
			}}, test.variables...)
			transport := &http.Transport{ForceAttemptHTTP2: test.major == 2, TLSClientConfig: &tls.Config{RootCAs: files.pool, ServerName: "gateway.test"}}
			defer transport.CloseIdleConnections()
			url := r.url
			if test.variables != nil {
				url = strings.Replace(url, "http:", "https:", 1)
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+studyPath, http.NoBody)
			require.NoError(t, err)
			response, err := (&http.Client{Transport: transport}).Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			assert.Equal(t, test.major, response.ProtoMajor)
			_, err = io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Equal(t, "complete", response.Trailer.Get("Retrieve-Outcome"))
		})
	}
}

func TestCallerThatTheSpoolCannotWaitForIsCutOff(t *testing.T) {
	retrieval := complete()
	retrieval.instances[1].data = strings.Repeat("x", 16<<20)
	r := startReceiving(t, &fakeReceiver{retrieval: retrieval})
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET "+studyPath+" HTTP/1.1\r\nHost: gateway\r\n\r\n")
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1000))
	require.NoError(t, err)
	(*retrieval.cutOff.Load())(&spool.FullError{})
	assert.Equal(t, "spool_full", waitForLine(t, r, "request")["code"])
}

// A shutdown does not wait for a caller that takes nothing, and records the end of its retrieval.
func TestCallerThatTakesNothingIsCutOffByAShutdown(t *testing.T) {
	retrieval := complete()
	retrieval.instances[1].data = strings.Repeat("x", 64<<20)
	r := startReceiving(t, &fakeReceiver{retrieval: retrieval}, "DRAIN_TIMEOUT", "0.1")
	caller := r.dial(t, "GET "+studyPath+" HTTP/1.1\r\nHost: gateway\r\n\r\n")
	_, err := io.ReadFull(caller, make([]byte, 1000))
	require.NoError(t, err)
	_, err = r.stopped()
	require.NoError(t, err)
	assert.Equal(t, "draining", waitForLine(t, r, "request")["code"])
	assert.True(t, retrieval.closed)
}

func TestConnectionServesFurtherRequestsAfterARetrieval(t *testing.T) {
	r := startWith(t, &fakeGateway{}, preparation{options: func(o *Options) {
		o.Receiver, o.StallTimeout = &fakeReceiver{retrieval: complete()}, 50*time.Millisecond
		o.PACS = namedMain{qr.Peer{Name: "main", Settings: &pool.Settings{}}}
	}})
	for i := range 3 {
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { reused = got.Reused }})
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+studyPath, http.NoBody)
		require.NoError(t, err)
		response, err := r.http.Do(request)
		require.NoError(t, err)
		_, err = io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusOK, response.StatusCode)
		assert.Equal(t, i > 0, reused)
		time.Sleep(100 * time.Millisecond) // longer than the caller may take nothing
	}
}

func TestRoutesRetrieveWhatTheirPathSays(t *testing.T) {
	retrieval := complete()
	retrieval.instances = retrieval.instances[:1]
	retrieval.instances[0].data = "\x08\x00\x60\x00CS\x02\x00CT\xe0\x7f\x10\x00OW\x00\x00\x02\x00\x00\x00px"
	receiver := &fakeReceiver{retrieval: retrieval}
	r := startWith(t, &fakeGateway{}, preparation{options: func(o *Options) {
		store, err := spool.New(spool.Settings{})
		require.NoError(t, err)
		o.Receiver, o.Spool = receiver, store
		o.PACS = namedMain{qr.Peer{Name: "main", Settings: &pool.Settings{}}}
	}})
	study := receive.Target{StudyInstanceUID: studyUID}
	series := receive.Target{StudyInstanceUID: studyUID, SeriesInstanceUID: studyUID + ".1"}
	instance := receive.Target{StudyInstanceUID: studyUID, SeriesInstanceUID: studyUID + ".1", SOPInstanceUID: studyUID + ".1.1"}
	for path, want := range map[string]receive.Target{
		studyPath: study, seriesPath: series, instancePath: instance, instancePath + "?accept=application/dicom": instance,
		studyPath + "/metadata": study, seriesPath + "/metadata": series, instancePath + "/metadata": instance,
		instancePath + "/bulkdata/7FE00010": instance, studyPath + "?accept=application/zip": study,
	} {
		receiver.asked = nil
		status, _, _ := r.get(t, path)
		assert.Equal(t, http.StatusOK, status, path)
		require.Len(t, receiver.asked, 1, path)
		assert.Equal(t, want, receiver.asked[0].Target, path)
		assert.Equal(t, "main", receiver.asked[0].Peer.Name)
	}
}

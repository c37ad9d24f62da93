package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/client/go"
)

var study = client.Target{StudyInstanceUID: "1.2.3"}

// part is one part of a multipart answer.
func part(contentType, body string) string {
	return "--b\r\nContent-Type: " + contentType + "\r\n\r\n" + body + "\r\n"
}

const (
	dicom   = `application/dicom; transfer-syntax=1.2.840.10008.1.2.1`
	closing = "--b--\r\n"
	missing = `{"code": "retrieve_incomplete", "missing_sop_instance_uids": ["1.2.3.4", "1.2.3.5"]}`
)

// answering returns a Gateway for a server that answers with this status, body and trailer, and then breaks off the connection if
// cut is true.
func answering(t *testing.T, status int, body, trailer string, cut bool) *client.Gateway {
	t.Helper()
	return serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", `multipart/related; type="application/dicom"; boundary=b`)
		w.Header().Set("Trailer", "Retrieve-Outcome")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		if cut {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		if trailer != "" {
			w.Header().Set("Retrieve-Outcome", trailer)
		}
	})
}

// files reads all instances and returns their contents, and the final error.
func files(ctx context.Context, gateway *client.Gateway, options ...client.CallOption) (contents []string, err error) {
	for instance, err := range gateway.RetrieveInstances(ctx, "main", study, options...) {
		if err != nil {
			return contents, err
		}
		content, err := io.ReadAll(instance)
		contents = append(contents, string(content))
		if err != nil {
			return contents, err
		}
	}
	return contents, nil
}

func TestInstancesAreYieldedOneByOne(t *testing.T) {
	for _, trailer := range []string{"", "complete"} {
		got, err := files(t.Context(), answering(t, http.StatusOK, part(dicom, "one")+part("application/dicom", "\r\n--two")+closing, trailer, false))
		require.NoError(t, err)
		assert.Equal(t, []string{"one", "\r\n--two"}, got)
	}
}

func TestInstancesHaveTheirTransferSyntax(t *testing.T) {
	gateway := answering(t, http.StatusOK, part(dicom, "one")+part("application/dicom", "two")+closing, "", false)
	var syntaxes []string
	for instance, err := range gateway.RetrieveInstances(t.Context(), "main", study) { // without reading them
		require.NoError(t, err)
		syntaxes = append(syntaxes, instance.TransferSyntax)
	}
	assert.Equal(t, []string{"1.2.840.10008.1.2.1", ""}, syntaxes)
}

func TestEveryIncompleteAnswerIsAnError(t *testing.T) {
	one := part(dicom, "one")
	for name, answer := range map[string]struct {
		status   int
		body     string
		trailer  string
		cut      bool
		received int
		missing  int
		uids     []string
		cause    error // nil: the answer ended properly
	}{
		"broken off before the first part":    {200, "", "", true, 0, 0, nil, io.ErrUnexpectedEOF},
		"broken off inside an instance":       {200, one + "--b\r\nContent-Type: application/dicom\r\n\r\ntwo", "", true, 1, 0, nil, io.ErrUnexpectedEOF},
		"broken off before a header":          {200, one + "--b\r\n", "", true, 1, 0, nil, io.ErrUnexpectedEOF},
		"broken off between instances":        {200, one, "", true, 0, 0, nil, io.ErrUnexpectedEOF},
		"broken off after the boundary":       {200, one + closing, "", true, 1, 0, nil, io.ErrUnexpectedEOF},
		"ended without the closing boundary":  {200, one, "", false, 0, 0, nil, io.ErrUnexpectedEOF},
		"ended inside an instance":            {200, one + "--b\r\nContent-Type: application/dicom\r\n\r\ntwo", "", false, 1, 0, nil, io.ErrUnexpectedEOF},
		"ended in the middle of the boundary": {200, one + "--b-", "", false, 0, 0, nil, io.ErrUnexpectedEOF},
		"ended without a byte":                {200, "", "", false, 0, 0, nil, io.ErrUnexpectedEOF},
		"trailer":                             {200, one + closing, "incomplete; missing=2", false, 1, 2, nil, nil},
		"trailer without a number":            {200, one + closing, "incomplete", false, 1, 0, nil, nil},
		"problem part":                        {200, one + part("application/problem+json", missing) + closing, "incomplete; missing=2", false, 1, 2, []string{"1.2.3.4", "1.2.3.5"}, nil},
		"problem part, 206":                   {206, one + part("application/problem+json", missing) + closing, "", false, 1, 2, []string{"1.2.3.4", "1.2.3.5"}, nil},
		"206 without a problem part":          {206, one + closing, "", false, 1, 0, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := files(t.Context(), answering(t, answer.status, answer.body, answer.trailer, answer.cut))
			var incomplete *client.IncompleteError
			require.ErrorAs(t, err, &incomplete)
			assert.Equal(t, answer.received, incomplete.Received)
			assert.Equal(t, answer.missing, incomplete.Missing)
			assert.Equal(t, answer.uids, incomplete.MissingSOPInstanceUIDs)
			if answer.cause == nil {
				require.NoError(t, incomplete.Err)
			} else {
				require.ErrorIs(t, err, answer.cause)
			}
			assert.Contains(t, err.Error(), "the retrieval is incomplete (instances received: "+strconv.Itoa(answer.received))
		})
	}
	_, err := files(t.Context(), answering(t, 200, closing, "", false))
	require.EqualError(t, err, "the retrieval is incomplete (instances received: 0): the answer has no instance")
	_, err = files(t.Context(), answering(t, 200, one+part("application/problem+json", "{")+closing, "", false))
	require.EqualError(t, err, "the retrieval is incomplete (instances received: 1): unexpected EOF")
	_, err = files(t.Context(), answering(t, 200, one+"--b\r\nContent-Ty", "", true))
	require.ErrorContains(t, err, "the retrieval is incomplete (instances received: 1): ")
}

func TestAnswersOfOtherServersAreReplyErrors(t *testing.T) {
	for name, gateway := range map[string]*client.Gateway{
		"a part of another type": answering(t, 200, part("text/plain", "hello")+closing, "", false),
		"no end":                 answering(t, 200, part(dicom, "one")+closing+strings.Repeat("x", 10<<10), "", false),
		"another media type": serving(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>")
		}),
		"no boundary": serving(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "multipart/related")
		}),
		"another status": serving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
	} {
		_, err := files(t.Context(), gateway)
		var reply *client.ReplyError
		require.ErrorAs(t, err, &reply, name)
	}
}

func TestFailureBeforeTheFirstInstanceIsAProblemError(t *testing.T) {
	gateway := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, `{"code": "connection_refused", "detail": "Nothing accepts connections.", "status": 502}`)
	})
	_, err := files(t.Context(), gateway)
	var problem *client.ProblemError
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, client.ProblemCodeConnectionRefused, problem.Code)
	_, err = gateway.Search(t.Context(), "main", "studies", nil)
	require.ErrorAs(t, err, &problem)
}

func TestRequestsNameTheTargetAndWhatTheCallerAccepts(t *testing.T) {
	var requests []string
	s := func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Header.Get("Accept"), " ", r.Header.Get("Prefer"), r.Header.Get("Authorization")))
		w.Header().Set("Content-Type", "multipart/related; boundary=b")
		_, _ = io.WriteString(w, part(dicom, "one")+closing)
	}
	gateway := serving(t, s)
	for _, target := range []client.Target{
		study, {StudyInstanceUID: "1.2", SeriesInstanceUID: "3"}, {StudyInstanceUID: "1.2", SeriesInstanceUID: "3", SOPInstanceUID: "4/.."},
	} {
		for _, err := range gateway.RetrieveInstances(t.Context(), "main", target) {
			require.NoError(t, err)
		}
	}
	_, err := files(t.Context(), gateway, client.WithTransferSyntax("1.2.840.10008.1.2.1"), client.WithLenientHandling())
	require.NoError(t, err)
	refused := errors.New("refused")
	_, err = files(t.Context(), gateway, func(context.Context, *http.Request) error { return refused })
	require.ErrorIs(t, err, refused)
	multipart := ` multipart/related; type="application/dicom"; transfer-syntax=`
	assert.Equal(t, []string{
		"GET /dicomweb/main/studies/1.2.3" + multipart + "* ",
		"GET /dicomweb/main/studies/1.2/series/3" + multipart + "* ",
		"GET /dicomweb/main/studies/1.2/series/3/instances/4%2F.." + multipart + "* ",
		"GET /dicomweb/main/studies/1.2.3" + multipart + "1.2.840.10008.1.2.1 handling=lenient",
	}, requests)
}

// endless answers with one instance that never ends, and reports when the client has gone.
func endless(t *testing.T) (gateway *client.Gateway, gone <-chan struct{}) {
	t.Helper()
	left := make(chan struct{})
	gateway = serving(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		w.Header().Set("Content-Type", "multipart/related; boundary=b")
		_, _ = io.WriteString(w, "--b\r\nContent-Type: application/dicom\r\n\r\n")
		block := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	return gateway, left
}

func wait(t *testing.T, gone <-chan struct{}) {
	t.Helper()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection is open")
	}
}

func TestLeavingTheLoopEndsTheRetrieval(t *testing.T) {
	gateway, gone := endless(t)
	for instance, err := range gateway.RetrieveInstances(t.Context(), "main", study) {
		require.NoError(t, err)
		_, err = io.CopyN(io.Discard, instance, 1<<20)
		require.NoError(t, err)
		break
	}
	wait(t, gone)
}

func TestEndOfTheContextEndsTheRetrieval(t *testing.T) {
	gateway, gone := endless(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for instance, err := range gateway.RetrieveInstances(ctx, "main", study) {
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			continue
		}
		cancel()
		_, err = io.Copy(io.Discard, instance)
		require.ErrorIs(t, err, context.Canceled)
		var incomplete *client.IncompleteError
		require.ErrorAs(t, err, &incomplete)
	}
	wait(t, gone)
}

func TestInstancesAreNotKeptInMemory(t *testing.T) {
	gateway, _ := endless(t)
	var before, after runtime.MemStats
	for instance, err := range gateway.RetrieveInstances(t.Context(), "main", study) {
		require.NoError(t, err)
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, err = io.CopyN(io.Discard, instance, 64<<20)
		require.NoError(t, err)
		runtime.GC()
		runtime.ReadMemStats(&after)
		break
	}
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(8<<20))
}

func TestSearchReturnsMatches(t *testing.T) {
	gateway, err := client.NewGateway(gatewayURL)
	require.NoError(t, err)
	found, err := gateway.Search(t.Context(), "orthanca", "studies", url.Values{"AccessionNumber": {"ACC-1007"}})
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.InDelta(t, 7, found[0]["00201208"].Value[0], 0)
	found, err = gateway.Search(t.Context(), "orthanca", "studies", url.Values{"AccessionNumber": {"NONE"}})
	require.NoError(t, err)
	assert.Empty(t, found)
	_, err = gateway.Search(t.Context(), "nowhere", "studies", nil)
	var problem *client.ProblemError
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, client.ProblemCodePACSUnknown, problem.Code)

	for _, body := range []string{"{", "null", "{}"} {
		other := serving(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/dicom+json")
			_, _ = io.WriteString(w, body)
		})
		_, err = other.Search(t.Context(), "main", "studies", nil)
		var reply *client.ReplyError
		require.ErrorAs(t, err, &reply, body)
	}
}

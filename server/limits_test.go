package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr"
)

// impatient has time limits that are short enough for a test.
var impatient = preparation{server: func(s *Server) {
	s.limits.header, s.limits.body = 50*time.Millisecond, 50*time.Millisecond
}}

func (r *running) dial(t *testing.T, text string) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	require.NoError(t, connection.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(connection, text)
	require.NoError(t, err)
	return connection
}

// rawQuery is a complete request as bytes.
var rawQuery = fmt.Sprintf("POST /q HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
	len(queryBody), queryBody)

// endlessAnswer returns a gateway whose answer is far larger than the buffers of the kernel.
func endlessAnswer() *fakeGateway {
	studies := make([]qr.Study, 20000)
	for i := range studies {
		studies[i] = study(studyUID)
		studies[i].StudyDescription = strings.Repeat("x", 1000)
	}
	return answering(&qr.QueryResult{Studies: studies}, nil)
}

func TestSlowHeaderClosesTheConnection(t *testing.T) {
	r := startWith(t, &fakeGateway{}, impatient)
	connection := r.dial(t, "POST /q HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	drip := make(chan struct{})
	go func() {
		defer close(drip)
		for range time.Tick(10 * time.Millisecond) { // single bytes do not extend the deadline
			if _, err := io.WriteString(connection, "x"); err != nil {
				return
			}
		}
	}()
	answer, _ := io.ReadAll(connection)
	assert.NotContains(t, string(answer), "200")
	_ = connection.Close()
	<-drip
}

func TestSlowBodyClosesTheConnection(t *testing.T) {
	r := startWith(t, &fakeGateway{}, impatient)
	connection := r.dial(t, "POST /q HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadRequest, response.StatusCode)
	assert.Equal(t, goclient.ProblemCodeInvalidRequest, problemIn(t, string(body)).Code)
	_, err = connection.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF, "the connection is closed")
}

func TestSlowBodyOfARefusedCallerClosesTheConnection(t *testing.T) {
	r := startWith(t, &fakeGateway{}, impatient, "API_KEYS_FILE", keysFile(t, keyLine("worklist", worklistKey)))
	connection := r.dial(t, "POST /q HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
	answer, err := io.ReadAll(connection)
	require.NoError(t, err, "the connection is closed")
	assert.Contains(t, string(answer), "HTTP/1.1 401")
}

// The time limits of body and answer are both 30 seconds.
func TestIncompleteBodyGetsItsAnswer(t *testing.T) {
	for status, request := range map[string]string{
		"200": "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		"400": "POST /q HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
		"404": "POST /nope HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
		"405": "PUT /q HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		"415": "POST /q HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 100\r\n\r\n",
	} {
		t.Run(status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				startOn(t, m, &http.Transport{}, &fakeGateway{})
				connection, err := m.DialContext(t.Context(), "", "")
				require.NoError(t, err)
				_, err = io.WriteString(connection, request)
				require.NoError(t, err)
				answer, err := io.ReadAll(connection)
				require.NoError(t, err, "the connection is closed")
				assert.Contains(t, string(answer), "HTTP/1.1 "+status)
				assert.Contains(t, string(answer), "X-Correlation-Id: ")
				require.NoError(t, connection.Close())
			})
		})
	}
}

func TestSlowReaderClosesTheConnection(t *testing.T) {
	r := startWith(t, endlessAnswer(), preparation{server: func(s *Server) { s.limits.write = 50 * time.Millisecond }})
	connection := r.dial(t, rawQuery)
	waitForLine(t, r, "request") // the handler has ended although nothing was read
	answer, _ := io.ReadAll(connection)
	assert.Less(t, len(answer), 20000*1000)
	assert.NotContains(t, r.logs.String(), "internal error", "the caller failed, not the gateway")
}

func TestHeaderSizeIsLimited(t *testing.T) {
	r := start(t, &fakeGateway{})
	connection := r.dial(t, "GET /health HTTP/1.1\r\nHost: x\r\nX-Big: "+strings.Repeat("x", 16<<10)+"\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusOK, response.StatusCode, "net/http adds 4 KiB to the limit")

	connection = r.dial(t, "GET /health HTTP/1.1\r\nHost: x\r\nX-Big: "+strings.Repeat("x", 32<<10)+"\r\n\r\n")
	response, err = http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
}

func TestTimeLimitsEqualTheDocumentedOnes(t *testing.T) {
	assert.Equal(t, limits{header: 10 * time.Second, body: 30 * time.Second, write: 30 * time.Second}, defaultLimits)
}

func TestEmptyPartOfAPathIsNoRoute(t *testing.T) {
	r := startReceiving(t, &fakeReceiver{})
	for _, path := range []string{"/dicomweb//studies", studyPath + "/series/1.2/instances/1.3/frames//rendered"} {
		status, _, body := r.get(t, path)
		assert.Equal(t, http.StatusNotFound, status, path)
		assert.Equal(t, "route_not_found", string(problemIn(t, body).Code), path)
	}
}

func TestOptionsAsteriskIsAnOrdinaryRequest(t *testing.T) {
	r := start(t, &fakeGateway{})
	connection := r.dial(t, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(connection)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "HTTP/1.1 404")
	assert.Contains(t, string(answer), "X-Correlation-Id: ")
	assert.Contains(t, string(answer), "route_not_found")
}

func TestOneCallerCannotTakeAllMemoryOfBodiesOfJobs(t *testing.T) {
	s := newShares(maxOrders)
	caller := principal.Principal{Key: "a"}.Identity()
	assert.Equal(t, granted, s.take(caller, maxOrder+1-smallBody), "one body of the greatest length")
	assert.Equal(t, callerShare, s.take(caller, maxOrder/2))
	assert.Equal(t, granted, s.take(principal.Principal{Key: "b"}.Identity(), maxOrder/2))
}

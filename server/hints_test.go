package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/problem"
)

func TestQueryAndRetrieveHaveTheHintOfEcho(t *testing.T) {
	ca, issue := hospitalCA(t)
	for name, found := range echoFaults() {
		step := ""
		if p, ok := example(t, name).(map[string]any)["dicom"].(map[string]any); ok {
			step = p["step"].(string)
		}
		if step == "" || step == "echo" || strings.HasSuffix(name, "NoPresentationContext") {
			continue // not a fault of /q, or not the same one
		}
		for path, fields := range map[string]string{"/q": `,"patient_id":"1"`, "/qr": `,"patient_id":"1","c_move_ae_title":"DEST"`} {
			t.Run(name+path, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := problemIn(t, found.ask(t, ca, issue, path, fields))
					want := example(t, name).(map[string]any)
					assert.EqualValues(t, want["code"], p.Code)
					require.NotNil(t, p.Hint)
					assert.Equal(t, want["hint"], *p.Hint)
				})
			})
		}
	}
}

func TestClosedConnectionWithTLSHasTheHintAboutCertificates(t *testing.T) {
	gateway := failing(&dicomnet.OpError{Step: dicomnet.StepAssociate, Err: dicomnet.ErrConnectionLost})
	r := start(t, gateway)
	_, _, body := r.post(t, "/q", with(t, "pacs_tls", "true"))
	assert.Contains(t, *problemIn(t, body).Hint, "may also have refused the gateway's certificate")
	_, _, body = r.post(t, "/q", queryBody)
	assert.Contains(t, *problemIn(t, body).Hint, "may expect TLS (pacs_tls)")
}

func TestFaultsOfAConnectionHaveDifferentCodesWithoutAnAddress(t *testing.T) {
	fault := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{
				Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 77), Port: 104}, Err: os.NewSyscallError("connect", err),
			}
		}
	}
	for name, test := range map[string]struct {
		dial    func(context.Context, string, string) (net.Conn, error)
		lookup  error
		code    goclient.ProblemCode
		logged  string
		advises string
	}{
		"refused":             {fault(syscall.ECONNREFUSED), nil, goclient.ProblemCodeConnectionRefused, "connection refused", "nothing accepts connections"},
		"host unreachable":    {fault(syscall.EHOSTUNREACH), nil, goclient.ProblemCodePACSUnreachable, "no route to host", "There is no route"},
		"network unreachable": {fault(syscall.ENETUNREACH), nil, goclient.ProblemCodePACSUnreachable, "network is unreachable", "There is no route"},
		"timeout":             {fault(syscall.ETIMEDOUT), nil, goclient.ProblemCodeConnectionTimeout, "connection timeout", "Nothing answered within CONNECTION_TIMEOUT"},
		"unknown name": {
			nil, &net.DNSError{Err: "no such host", Name: "pacs.example", IsNotFound: true}, goclient.ProblemCodeNameResolutionFailed, "resolve:",
			"The host name has no address",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, &dicomtest.ScriptedPACS{}, gatewayOptions{pool: pool.Options{
				DialContext: test.dial, LookupHost: func(context.Context, string) ([]string, error) { return []string{"192.0.2.77"}, test.lookup },
			}})
			r := start(t, w)
			for _, path := range []string{"/q", "/echo"} {
				status, _, body := r.post(t, path, with(t, "pacs_ip", `"pacs.example"`), "X-Correlation-ID", path)
				require.Equal(t, http.StatusBadGateway, status, body)
				p := problemIn(t, body)
				assert.Equal(t, test.code, p.Code)
				assert.Contains(t, *p.Hint, test.advises)
				if path == "/q" {
					assert.NotContains(t, body, "192.0.2.77")
					assert.NotContains(t, body, "pacs.example")
				}
				for _, message := range []string{"failed", "request"} {
					line := waitForLineOf(t, r, message, path)
					assert.EqualValues(t, test.code, line["code"], message)
					assert.Equal(t, "warn", line["level"], message)
				}
				failed := waitForLineOf(t, r, "failed", path)
				assert.Contains(t, failed["error"], test.logged)
				assert.NotContains(t, failed["error"], "192.0.2.77")
				assert.NotContains(t, failed["error"], "pacs.example")
			}
			got := figures(t, r, w)
			for _, operation := range []string{"find", "echo"} {
				assert.Equal(t, 1.0, got[`dicomqr_operations_total{operation="`+operation+`",outcome="`+string(test.code)+`",peer="other"}`], operation)
			}
		})
	}
}

func TestClosedPortIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	r := start(t, newGateway(gatewayOptions{}))
	for _, path := range []string{"/q", "/qr", "/echo"} {
		body := with(t, "pacs_port", strconv.Itoa(port))
		if path == "/qr" {
			body = with(t, "pacs_port", strconv.Itoa(port), "c_move_ae_title", `"DEST"`)
		}
		status, _, answer := r.post(t, path, body)
		assert.Equal(t, http.StatusBadGateway, status)
		assert.Equal(t, goclient.ProblemCodeConnectionRefused, problemIn(t, answer).Code)
	}
}

// A retrieve that moved nothing has the hint about the first study that failed.
func TestRetrieveWithoutAnythingMovedHasTheHintOfTheFirstFailure(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code goclient.ProblemCode
		hint string
	}{
		"unknown destination": {
			&dicomnet.OpError{Step: dicomnet.StepMove, Err: &dicomnet.StatusError{Op: dicomnet.StepMove, Status: dicomnet.StatusMoveDestination}},
			goclient.ProblemCodeMoveDestinationUnknown, "Check c_move_ae_title",
		},
		"success without anything moved": {
			&dicomnet.OpError{Step: dicomnet.StepMove, Err: &qr.MoveOutcomeError{}}, goclient.ProblemCodeMoveFailed, "Check that the destination",
		},
		"reconnect refused": {
			&dicomnet.OpError{Step: dicomnet.StepAssociate, Err: &dicomnet.RejectError{Result: 1, Source: 1, Reason: 3}},
			goclient.ProblemCodeAssociationRejected, "Register c_find_ae_title",
		},
		"unexpected fault": {errUnexpected, goclient.ProblemCodeMoveFailed, "No instance arrived"},
		"no cause":         {nil, goclient.ProblemCodeMoveFailed, "No instance arrived"},
	} {
		t.Run(name, func(t *testing.T) {
			result := &qr.RetrieveResult{
				Studies:    []qr.Study{study(studyUID), study(studyUID + ".2")},
				Retrievals: []qr.Retrieval{{Status: qr.RetrievalFailed}, {Status: qr.RetrievalFailed}}, Err: test.err,
			}
			r := start(t, narrating(result, nil))
			status, _, body := r.post(t, "/qr", retrieveBody)
			require.Equal(t, http.StatusBadGateway, status)
			p := problemIn(t, body)
			assert.Equal(t, test.code, p.Code)
			assert.Contains(t, *p.Hint, test.hint)

			response := r.stream(t, t.Context())
			defer response.Body.Close()
			all := events(t, response.Body)
			last := all[len(all)-1]
			require.Equal(t, "error", last.name)
			last.valid(t, "Problem")
			assert.Equal(t, *p.Hint, *problemIn(t, last.data).Hint)
			line := waitForLineOf(t, r, "request", response.Header.Get("X-Correlation-ID"))
			assert.Equal(t, "warn", line["level"], "a stream that ended in an error")
		})
	}
}

func TestOnlyFailedOperationsAreLoggedAtWarn(t *testing.T) {
	gateway := foundOne()
	r := start(t, gateway)
	level := func(method, path, body string, header ...string) any {
		_, answered, _ := r.do(t, method, path, strings.NewReader(body), header...)
		return waitForLineOf(t, r, "request", answered.Get("X-Correlation-ID"))["level"]
	}
	assert.Equal(t, "info", level(http.MethodPost, "/q", queryBody), "200")
	assert.Equal(t, "info", level(http.MethodPost, "/q", "{}"), "400")
	assert.Equal(t, "info", level(http.MethodGet, "/q", ""), "405")
	assert.Equal(t, "info", level(http.MethodPost, "/nope", ""), "404")
	*gateway = *answering(&qr.QueryResult{}, nil)
	assert.Equal(t, "info", level(http.MethodPost, "/q", queryBody), "no study matched")
	for name, err := range map[string]error{
		"502": &dicomnet.OpError{Step: dicomnet.StepFind, Err: dicomnet.ErrReleased}, "500": errors.New("unexpected"),
		"503": &pool.BusyError{}, "503 of all": problem.ErrTooManyOperations,
	} {
		*gateway = *failing(err)
		assert.Equal(t, "warn", level(http.MethodPost, "/q", queryBody), name)
	}
}

func TestInvalidRequestsAreLoggedWithTheirPointers(t *testing.T) {
	r := start(t, &fakeGateway{})
	for body, pointers := range map[string][]any{
		with(t, "pacs_port", `0`, "modalities", `["CT","mr"]`): {"/modalities/1", "/pacs_port"},
		with(t, "modality", `["CT"]`):                          {"/modality"},
		with(t, "patientId", `"`+patientID+`"`):                {"/patientId"},
		`[]`:                                                   {""},
		// Names that may be those of a patient.
		with(t, patientID, `1`):      {"/?"},
		with(t, "1112223333", `1`):   {"/?"},
		with(t, "DOE^JOHN", `1`):     {"/?"},
		with(t, "Doe, John", `1`):    {"/?"},
		with(t, patientName, `null`): {"/?"},
	} {
		status, header, _ := r.post(t, "/q", body)
		require.Equal(t, http.StatusBadRequest, status)
		line := waitForLineOf(t, r, "request", header.Get("X-Correlation-ID"))
		assert.Equal(t, pointers, line["pointers"], body)
		assert.Equal(t, "invalid_request", line["code"])
	}
	assert.NotContains(t, r.logs.String(), "SECRET")

	var fields []string
	for i := range 300 {
		fields = append(fields, strings.Repeat("x", i%30+1)+strings.Repeat("y", i/30), "1")
	}
	_, header, _ := r.post(t, "/q", with(t, fields...))
	assert.Len(t, waitForLineOf(t, r, "request", header.Get("X-Correlation-ID"))["pointers"], maxLoggedPointers)
}

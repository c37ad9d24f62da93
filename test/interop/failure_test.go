//go:build interop

package interop

import (
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
)

// slack is the time that scheduling on a busy machine may add to a timeout.
const slack = 2 * time.Second

// assertFailed requires the documented 502, as a problem document that names the step and holds no Patient ID and no address.
// It returns the DICOM part.
func assertFailed(t *testing.T, response *http.Response, body []byte, code goclient.ProblemCode, step goclient.DICOMFaultStep) goclient.DICOMFault {
	t.Helper()
	require.Equal(t, http.StatusBadGateway, response.StatusCode, string(body))
	assert.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
	var p goclient.Problem
	require.NoError(t, json.Unmarshal(body, &p))
	assert.Equal(t, code, p.Code)
	require.NotNil(t, p.CorrelationID)
	assert.Equal(t, response.Header.Get("X-Correlation-ID"), *p.CorrelationID)
	assert.NotContains(t, string(body), demo.PatientID)
	assert.NotContains(t, string(body), "127.0.0.1")
	require.NotNil(t, p.DICOM, string(body))
	assert.Equal(t, step, p.DICOM.Step)
	return *p.DICOM
}

func TestUnknownDestinationIsBadGateway(t *testing.T) {
	// A801 is the status of the standard; Orthanc has one status for all failures.
	want := map[string]struct {
		status string
		code   goclient.ProblemCode
	}{
		"dcmqrscp": {"A801", goclient.ProblemCodeMoveDestinationUnknown},
		"Orthanc":  {"C000", goclient.ProblemCodeMoveFailed},
		pixelMed:   {"A801", goclient.ProblemCodeMoveDestinationUnknown},
	}
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			reply := move(t, src.retrieve(demo.PatientID, filter{}, "NOWHERE"))
			fault := assertFailed(t, reply.HTTPResponse, reply.Body, want[src.name].code, "move")
			require.NotNil(t, fault.Status)
			assert.Equal(t, want[src.name].status, *fault.Status)
		})
	}
}

func TestDestinationThatIsDownIsBadGateway(t *testing.T) {
	// B000 says that some sub-operations failed, although all did.
	want := map[string]string{"dcmqrscp": "A702", "Orthanc": "C000", pixelMed: "B000"}
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			reply := move(t, src.retrieve(demo.PatientID, filter{maxResults: 1}, downAETitle))
			fault := assertFailed(t, reply.HTTPResponse, reply.Body, goclient.ProblemCodeMoveFailed, "move")
			require.NotNil(t, fault.Status)
			assert.Equal(t, want[src.name], *fault.Status)
		})
	}
}

func TestWrongCalledAETitleIsBadGateway(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			src.aeTitle = "SOMEBODY"
			reply, err := theSite.gateway.client.QueryWithResponse(t.Context(), nil, src.query(demo.PatientID, filter{}))
			require.NoError(t, err)
			fault := assertFailed(t, reply.HTTPResponse, reply.Body, goclient.ProblemCodeAssociationRejected, "associate")
			require.NotNil(t, fault.Reason)
			assert.Equal(t, "called-AE-title-not-recognized", *fault.Reason)
		})
	}
}

func TestClosedPortIsBadGateway(t *testing.T) {
	closed := source{"closed port", "UNKNOWN", theSite.closedPort}
	within(t, connectionTimeout, func() {
		reply, err := theSite.gateway.client.QueryWithResponse(t.Context(), nil, closed.query(demo.PatientID, filter{}))
		require.NoError(t, err)
		assertFailed(t, reply.HTTPResponse, reply.Body, goclient.ProblemCodeConnectionRefused, "connect")
	})
	within(t, connectionTimeout, func() {
		reply := move(t, closed.retrieve(demo.PatientID, filter{}, "STORESCP"))
		assertFailed(t, reply.HTTPResponse, reply.Body, goclient.ProblemCodeConnectionRefused, "connect")
	})
}

func TestSilentPortIsBadGateway(t *testing.T) {
	// The kernel completes connections that the listener does not accept.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, l.Close()) }()
	silent := source{"silent port", "UNKNOWN", l.Addr().(*net.TCPAddr).Port}
	within(t, acseTimeout, func() {
		reply, err := theSite.gateway.client.QueryWithResponse(t.Context(), nil, silent.query(demo.PatientID, filter{}))
		require.NoError(t, err)
		assertFailed(t, reply.HTTPResponse, reply.Body, goclient.ProblemCodeAssociationTimeout, "associate")
	})
	within(t, acseTimeout, func() {
		reply := move(t, silent.retrieve(demo.PatientID, filter{}, "STORESCP"))
		assertFailed(t, reply.HTTPResponse, reply.Body, goclient.ProblemCodeAssociationTimeout, "associate")
	})
}

// within requires that f takes no longer than the timeout that ends it.
func within(t *testing.T, timeout time.Duration, f func()) {
	t.Helper()
	begin := time.Now()
	f()
	assert.Less(t, time.Since(begin), timeout+slack)
}

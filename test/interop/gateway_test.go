//go:build interop

package interop

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/test/rig"
)

// The gateway's timeouts, short enough for tests that wait for them.
const (
	acseTimeout       = time.Second
	dimseTimeout      = 5 * time.Second
	networkTimeout    = 2 * time.Second
	connectionTimeout = time.Second
)

// gateway is the built gateway as a process.
type gateway struct {
	*rig.Gateway
	// client checks every response against the contract.
	client *goclient.ClientWithResponses
}

// gatewayCommand starts the gateway on a port; settings are further environment variables.
func gatewayCommand(dir string, port int, settings ...string) rig.Command {
	seconds := func(name string, d time.Duration) string { return fmt.Sprintf("%s=%g", name, d.Seconds()) }
	return rig.Command{Dir: dir, Env: append([]string{
		"LISTEN_ADDR=" + address(port),
		seconds("ACSE_TIMEOUT", acseTimeout), seconds("DIMSE_TIMEOUT", dimseTimeout),
		seconds("NETWORK_TIMEOUT", networkTimeout), seconds("CONNECTION_TIMEOUT", connectionTimeout),
	}, settings...)}
}

// newGateway adds the client.
func newGateway(g *rig.Gateway) (*gateway, error) {
	checked, err := loadContract()
	if err != nil {
		return nil, err
	}
	c, err := goclient.NewClientWithResponses(g.URL, goclient.WithHTTPClient(&http.Client{Transport: checked}))
	return &gateway{Gateway: g, client: c}, err
}

// runGateway runs another gateway until the end of the test.
func runGateway(t *testing.T, dir string, port int, settings ...string) *gateway {
	t.Helper()
	g, err := newGateway(rig.RunGateway(t, gatewayCommand(dir, port, settings...)))
	require.NoError(t, err)
	return g
}

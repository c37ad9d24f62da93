//go:build interop

package interop

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"dicom-qr-gateway/gen/goclient"
)

// The gateway's timeouts, short enough to be waited for.
const (
	acseTimeout       = time.Second
	dimseTimeout      = 5 * time.Second
	networkTimeout    = 2 * time.Second
	connectionTimeout = time.Second
)

// gateway is the built gateway, running.
type gateway struct {
	*process
	url string
	// client holds every answer against the contract.
	client *goclient.ClientWithResponses
}

// buildGateway is the path of the gateway to test.
func buildGateway(dir string) (string, error) {
	if path := os.Getenv("GATEWAY_BIN"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, "dicom-qr-gateway")
	if out, err := exec.Command("go", "build", "-o", path, "../..").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return path, nil
}

// startGateway runs the gateway; settings are more environment variables.
func startGateway(dir, path string, port int, settings ...string) (*gateway, error) {
	seconds := func(name string, d time.Duration) string { return fmt.Sprintf("%s=%g", name, d.Seconds()) }
	p, err := start(dir, append([]string{
		"LISTEN_ADDR=" + address(port),
		seconds("ACSE_TIMEOUT", acseTimeout), seconds("DIMSE_TIMEOUT", dimseTimeout),
		seconds("NETWORK_TIMEOUT", networkTimeout), seconds("CONNECTION_TIMEOUT", connectionTimeout),
	}, settings...), path)
	if err != nil {
		return nil, err
	}
	g := &gateway{process: p, url: "http://" + address(port)}
	checked, err := loadContract()
	if err != nil {
		return g, err
	}
	if g.client, err = goclient.NewClientWithResponses(g.url, goclient.WithHTTPClient(&http.Client{Transport: checked})); err != nil {
		return g, err
	}
	return g, p.ready(func() error {
		response, err := http.Get(g.url + "/ready")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("/ready: %s", response.Status)
		}
		return nil
	})
}

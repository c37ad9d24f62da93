//go:build interop

package interop

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/test/documents"
	"dicom-qr-gateway/test/rig"
)

// harness is samples/pacs/start as a process, on free ports.
type harness struct {
	*rig.Process
	// ports of the gateway, and of DICOM and HTTP of ORTHANCA and ORTHANCB.
	gateway, aDICOM, aHTTP, bDICOM, bHTTP int
	// here replaces the ports that README.md shows.
	here *strings.Replacer
}

// startHarness runs a command of README.md on free ports; more is further pairs of old and new texts for the command.
func startHarness(t *testing.T, command string, more ...string) *harness {
	t.Helper()
	ports, err := freePorts(6)
	require.NoError(t, err)
	binary, err := rig.Binary()
	require.NoError(t, err)
	h := &harness{gateway: ports[0], aDICOM: ports[1], aHTTP: ports[2], bDICOM: ports[3], bHTTP: ports[4]}
	here := []string{
		"localhost:8888", fmt.Sprint("localhost:", h.gateway), "localhost:8043", fmt.Sprint("localhost:", h.bHTTP),
		`"pacs_port": 4242`, fmt.Sprint(`"pacs_port": `, h.aDICOM), "127.0.0.1:4242", address(h.aDICOM),
	}
	h.here = strings.NewReplacer(append(here, more...)...)
	h.Process, err = rig.Start(rig.Command{Path: "bash", Args: []string{"-c", "exec env " + h.here.Replace(command)}, Dir: root, Env: []string{
		"GATEWAY_BIN=" + binary, fmt.Sprint("GATEWAY_PORT=", h.gateway),
		fmt.Sprint("A_DICOM_PORT=", h.aDICOM), fmt.Sprint("A_HTTP_PORT=", h.aHTTP),
		fmt.Sprint("B_DICOM_PORT=", h.bDICOM), fmt.Sprint("B_HTTP_PORT=", h.bHTTP), fmt.Sprint("STORE_PORT=", ports[5]),
	}})
	require.NoError(t, err)
	t.Cleanup(h.Stop)
	started := func() error {
		if !strings.Contains(h.String(), "samples/pacs/README.md has more") {
			return errors.New("samples/pacs/start is not ready")
		}
		return nil
	}
	require.NoError(t, h.ReadyWithin(2*time.Minute, started)) // it builds the generator
	return h
}

func TestHarnessReportsWhyItDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	for command, want := range map[string]string{
		"GATEWAY_PORT=" + port + " ../../samples/pacs/start":          "port " + port + " is in use",
		"PACS_AE_TITLE=MYPACS PACS_PORT=104 ../../samples/pacs/start": "PACS_AE_TITLE also needs PACS_HOST and PACS_PORT",
	} {
		_, err := run("bash", "-c", command)
		require.ErrorContains(t, err, "exit status 1")
		assert.ErrorContains(t, err, "samples/pacs/start: "+want)
	}
}

// interrupt sends SIGINT to everything that the command started, as Ctrl-C does, and requires that nothing remains.
func (h *harness) interrupt(t *testing.T) {
	t.Helper()
	folder := regexp.MustCompile(`Logs and data are in (\S+),`).FindStringSubmatch(h.String())
	require.NotNil(t, folder)
	require.DirExists(t, folder[1])
	require.NoError(t, h.SignalGroup(syscall.SIGINT))
	select {
	case <-h.Ended():
	case <-time.After(20 * time.Second):
		require.Fail(t, "the harness does not end", h.String())
	}
	assert.Zero(t, h.ExitStatus(), h.String())
	assert.NoDirExists(t, folder[1])
	for _, port := range []int{h.gateway, h.aDICOM, h.aHTTP, h.bDICOM, h.bHTTP} {
		conn, err := net.Dial("tcp", address(port))
		if !assert.Error(t, err, "port %d still has a listener", port) {
			_ = conn.Close()
		}
	}
}

// shell runs a command of README.md at the root of the repository and returns its output.
func (h *harness) shell(t *testing.T, command string) (stdout string) {
	t.Helper()
	out, err := run("bash", "-euo", "pipefail", "-c", "cd "+root+" && "+h.here.Replace(command))
	require.NoError(t, err)
	return out
}

// api returns a client of the harness's gateway that checks responses against the contract.
func (h *harness) api(t *testing.T) *goclient.ClientWithResponses {
	t.Helper()
	checked, err := loadContract()
	require.NoError(t, err)
	c, err := goclient.NewClientWithResponses("http://"+address(h.gateway), goclient.WithHTTPClient(&http.Client{Transport: checked}))
	require.NoError(t, err)
	return c
}

// harnessExamples returns the commands of samples/pacs/README.md with their answers.
func harnessExamples(t *testing.T) []documents.Example {
	t.Helper()
	readme, err := documents.Read(root, "samples/pacs/README.md")
	require.NoError(t, err)
	return readme.Examples()
}

//go:build crash

package crash

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// natsServer is nats-server of the module, as a process with JetStream in a folder.
type natsServer struct {
	*rig.Process
	path, dir string
	port      int
}

var natsBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder, "nats-server")
	out, err := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building nats-server: %w\n%s", err, out)
	}
	return path, nil
})

func startNATS(t *testing.T) *natsServer {
	t.Helper()
	path, err := natsBinary()
	require.NoError(t, err)
	s := &natsServer{path: path, dir: t.TempDir(), port: freePort(t)}
	s.start(t)
	t.Cleanup(func() { s.Kill() })
	return s
}

func (s *natsServer) start(t *testing.T) {
	t.Helper()
	config := filepath.Join(s.dir, "nats.conf")
	write(t, config, fmt.Sprintf("listen: 127.0.0.1:%d\njetstream { store_dir: %q, sync_interval: always }\n", s.port, s.dir))
	var err error
	s.Process, err = rig.Start(rig.Command{Path: s.path, Args: []string{"-c", config}})
	require.NoError(t, err)
	require.NoError(t, s.Ready(func() error {
		if !strings.Contains(s.String(), "Server is ready") {
			return errors.New("not ready")
		}
		return nil
	}))
}

func (s *natsServer) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.port) }

func (s *natsServer) connect(t *testing.T) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(s.url())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

// freePort returns a port on which nothing listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

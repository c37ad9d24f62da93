//go:build unix

package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The test binary stands in for the gateway: in its environment, standInStatus is the exit status after SIGTERM, or before
// the stand-in listens if standInFails is set.
const (
	standInStatus = "RIG_STAND_IN_STATUS"
	standInFails  = "RIG_STAND_IN_FAILS"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(standInStatus); text != "" {
		status, _ := strconv.Atoi(text)
		os.Exit(standIn(status))
	}
	status := Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func standIn(status int) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if os.Getenv(standInFails) == "" {
		write(os.Stdout)
		<-ctx.Done()
		fmt.Println(`{"message":"stopped"}`)
	}
	return status
}

// write writes what a gateway writes at its start.
func write(w io.Writer) {
	fmt.Fprintln(w, "PACS ORTHANCA")
	fmt.Fprint(w, `{"message":"listening","address":`)
	fmt.Fprintln(w, `"127.0.0.1:1"}`)
	fmt.Fprintln(w, `{"message":"request","correlation_id":"A"}`)
}

func standInCommand(status int, env ...string) Command {
	return Command{Path: os.Args[0], Env: append(env, fmt.Sprintf("%s=%d", standInStatus, status))}
}

func TestRunGatewayGivesURLAndLogAndStopsInOrder(t *testing.T) {
	var g *Gateway
	t.Run("", func(t *testing.T) {
		g = RunGateway(t, standInCommand(0))
		assert.Equal(t, "http://127.0.0.1:1", g.URL)
		assert.Equal(t, "A", g.Await(t, MessageOf("request", "A")).CorrelationID)
		assert.Len(t, g.Lines(nil), 2)
		assert.Len(t, g.Lines(Message("listening")), 1)
	})
	assert.Zero(t, g.ExitStatus())
	assert.Contains(t, g.Tail(), "PACS ORTHANCA\n")
	assert.Len(t, g.Lines(Message("stopped")), 1)
	_, err := g.Wait(Message("draining"))
	require.ErrorContains(t, err, "ended without the line")
}

// recorder records the failure of the helper under test.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Errorf(f string, a ...any) { r.failed = fmt.Sprintf(f, a...) }

func TestStopInOrderRequiresExitStatusZero(t *testing.T) {
	g, err := StartGateway(standInCommand(3))
	require.NoError(t, err)
	r := &recorder{TB: t}
	g.StopInOrder(r)
	assert.Equal(t, "the gateway ended with exit status 3", r.failed)
}

func TestStartGatewayReportsAGatewayThatDoesNotListen(t *testing.T) {
	g, err := StartGateway(standInCommand(1, standInFails+"=1"))
	require.ErrorContains(t, err, "ended without the line")
	assert.Equal(t, 1, g.ExitStatus())
	_, err = StartGateway(Command{Path: filepath.Join(t.TempDir(), "missing")})
	require.Error(t, err)
}

func TestKillAndStopEndAProcess(t *testing.T) {
	for name, end := range map[string]func(*Process){"kill": (*Process).Kill, "stop": (*Process).Stop} {
		t.Run(name, func(t *testing.T) {
			p, err := Start(standInCommand(0))
			require.NoError(t, err)
			p.Await(t, Message("request"))
			require.NoError(t, p.Ready(func() error { return nil }))
			end(p)
			require.ErrorIs(t, p.Signal(syscall.SIGTERM), os.ErrProcessDone)
			require.ErrorIs(t, p.SignalGroup(syscall.SIGTERM), os.ErrProcessDone)
			require.ErrorContains(t, p.Ready(func() error { return errors.New("not yet") }), "ended: not yet")
		})
	}
}

func TestRunInProcessStopsAtTheEndOfTheTest(t *testing.T) {
	var g *InProcess
	t.Run("", func(t *testing.T) {
		g = RunInProcess(t, func(ctx context.Context, stdout io.Writer) int {
			write(stdout)
			<-ctx.Done()
			return 0
		})
		assert.Equal(t, "http://127.0.0.1:1", g.URL)
	})
	g.status = 2
	r := &recorder{TB: t}
	g.Stop(r)
	assert.Equal(t, "the gateway ended with exit status 2", r.failed)
}

func TestBinaryBuildsTheGateway(t *testing.T) {
	path, err := Binary()
	require.NoError(t, err)
	p, err := Start(Command{Path: path, Args: []string{"version"}, OnlyEnv: true})
	require.NoError(t, err)
	assert.Zero(t, p.ExitStatus())
	assert.Contains(t, p.String(), "dicom-qr-gateway ")
	again, err := Binary()
	require.NoError(t, err)
	assert.Equal(t, path, again)
}

func TestRootIsAboveTheWorkingDirectory(t *testing.T) {
	root, err := Root()
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(root, "openapi.yaml"))
	t.Chdir(t.TempDir())
	_, err = Root()
	require.ErrorContains(t, err, "not in the repository")
}

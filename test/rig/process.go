//go:build unix

package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Command describes a program to run.
type Command struct {
	Path string
	Args []string
	Dir  string   // the working directory; empty: the test's
	Env  []string // NAME=VALUE, added to the environment of the test
	// OnlyEnv hides the environment of the test from the program.
	OnlyEnv bool
	// Stdout, if not nil, is the standard output of the program, which is then not in the log.
	Stdout *os.File
}

// Process is a program that runs, with its output as its log.
type Process struct {
	*Log
	name   string
	cmd    *exec.Cmd
	ended  chan struct{}
	killed atomic.Bool // by Kill
}

// Start starts a program in a process group of its own. It must be stopped.
func Start(c Command) (*Process, error) {
	p := &Process{Log: newLog(), name: filepath.Base(c.Path), ended: make(chan struct{})}
	p.cmd = exec.Command(c.Path, c.Args...) //nolint:gosec,noctx // tests name the program, and stop it
	p.cmd.Dir = c.Dir
	p.cmd.Env = c.Env
	if !c.OnlyEnv {
		p.cmd.Env = append(os.Environ(), c.Env...)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.Log, p.Log
	if c.Stdout != nil {
		p.cmd.Stdout = c.Stdout
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // dcmqrscp forks for each association
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ExitStatus returns the result
		p.end()
	}()
	return p, nil
}

// PID returns the process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended returns a channel that is closed when the process has ended and all its output is in the log.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// ExitStatus waits for the end of the process and returns its exit status, -1 if a signal ended it.
func (p *Process) ExitStatus() int {
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal to the process, but not to its children.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// SignalGroup sends a signal to the process and its children, as Ctrl-C on a terminal does.
func (p *Process) SignalGroup(s syscall.Signal) error {
	select {
	case <-p.ended:
		return os.ErrProcessDone // another process may have the ID by now
	default:
		return syscall.Kill(-p.PID(), s)
	}
}

// Stop ends the process and its children: by SIGTERM, and by SIGKILL after five seconds. It waits for the end.
func (p *Process) Stop() {
	_ = p.SignalGroup(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		p.Kill()
	}
}

// Kill ends the process and its children by SIGKILL and waits for the end.
func (p *Process) Kill() {
	p.killed.Store(true)
	_ = p.SignalGroup(syscall.SIGKILL)
	<-p.ended
}

// Ready polls until check returns nil. It fails if the process ends before, and when [Patience] is over; the error holds the
// end of the output.
func (p *Process) Ready(check func() error) error { return p.ReadyWithin(Patience, check) }

// ReadyWithin is [Process.Ready] with another limit.
func (p *Process) ReadyWithin(limit time.Duration, check func() error) error {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %w\n%s", p.name, err, p.Tail())
		case <-timeout.C:
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, p.Tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Gateway is the built gateway as a process.
type Gateway struct {
	*Process
	URL string // the base URL
}

// StartGateway starts the gateway and waits until it listens. An empty path in the command means [Binary]. If the error
// comes after the start, the gateway is returned too; it must be stopped.
func StartGateway(c Command) (*Gateway, error) {
	if c.Path == "" {
		path, err := Binary()
		if err != nil {
			return nil, err
		}
		c.Path = path
	}
	p, err := Start(c)
	if err != nil {
		return nil, err
	}
	url, err := p.url()
	return &Gateway{Process: p, URL: url}, err
}

// RunGateway runs the gateway until the end of the test. It then stops it in order, or kills it if the test has failed and
// shows the end of its log. The test may kill it before.
func RunGateway(t testing.TB, c Command) *Gateway {
	t.Helper()
	g, err := StartGateway(c)
	if g != nil {
		t.Cleanup(func() {
			if !t.Failed() && !g.killed.Load() {
				g.StopInOrder(t)
			}
			g.Kill()
			g.showOnFailure(t)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// StopInOrder stops the gateway by SIGTERM, as a container runtime does, and requires exit status 0. A gateway that has
// ended must have ended with exit status 0.
func (g *Gateway) StopInOrder(t testing.TB) {
	t.Helper()
	_ = g.Signal(syscall.SIGTERM)
	select {
	case <-g.Ended():
		if status := g.ExitStatus(); status != 0 {
			t.Errorf("the gateway ended with exit status %d", status)
		}
	case <-time.After(Patience):
		t.Error("the gateway does not stop")
	}
}

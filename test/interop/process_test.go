//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// packages are the Debian packages that the programs come from.
var packages = map[string]string{
	"dcmqrscp": "dcmtk", "storescu": "dcmtk", "storescp": "dcmtk", "findscu": "dcmtk", "Orthanc": "orthanc",
	"dcmftest": "dcmtk", "dcmdump": "dcmtk", "dciodvfy": "dicom3tools",
	"nginx": "nginx", "caddy": "caddy", "curl": "curl",
}

// lookup is the path of a program; the error says which package is missing.
func lookup(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	// Debian puts Orthanc where only root's PATH looks.
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: the interoperability tests need the Debian package %q (apt-get install %[2]s)",
		program, packages[program])
}

// process is a running peer, with all that it wrote.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{}

	mu     sync.Mutex
	output bytes.Buffer
}

// Write takes the output of the program.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

// written is all output so far.
func (p *process) written() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// start runs a program until stop; env is added to the environment.
func start(dir string, env []string, path string, args ...string) (*process, error) {
	p := &process{name: filepath.Base(path), cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	// A group of its own: dcmqrscp forks for each association.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in the output
	}()
	return p, nil
}

// stop ends the process and its children, by their group's id.
func (p *process) stop() {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-p.ended: // and its id may be another's by now
			return
		default:
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, signal) // gone already is as good
		select {
		case <-p.ended:
		case <-time.After(5 * time.Second):
		}
	}
}

// ready polls until check succeeds, the process ends or too much time has passed.
func (p *process) ready(check func() error) error {
	deadline := time.After(20 * time.Second)
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", p.name, p.written())
		case <-deadline:
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, p.written())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// listening is a readiness check: something accepts connections on the port.
func listening(port int) func() error {
	return func() error {
		conn, err := net.DialTimeout("tcp", address(port), time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// freePorts are ports that nothing listens on, held together so that they differ.
func freePorts(n int) (ports []int, err error) {
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
	}()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// run runs a program to its end and returns its output.
func run(path string, args ...string) (string, error) {
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(path), err, out)
	}
	return string(out), nil
}

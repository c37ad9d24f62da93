//go:build interop

package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"time"
)

// packages are the Debian packages of the programs.
var packages = map[string]string{
	"dcmqrscp": "dcmtk", "storescu": "dcmtk", "storescp": "dcmtk", "findscu": "dcmtk", "Orthanc": "orthanc",
	"dcmftest": "dcmtk", "dcmdump": "dcmtk", "dciodvfy": "dicom3tools",
	"java": "default-jre-headless", "nginx": "nginx", "caddy": "caddy", "curl": "curl",
}

// lookup returns the path of a program, or an error that names its package.
func lookup(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	// Debian installs Orthanc in a folder that only the PATH of root has.
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: the interoperability tests need the Debian package %q (apt-get install %[2]s)",
		program, packages[program])
}

// listening returns a readiness check: the port accepts connections.
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

// freePorts returns n different ports without a listener, below those that the kernel gives to connections: one of these would
// take the port before the program that is to listen on it.
func freePorts(n int) (ports []int, err error) {
	const first, count, attempts = 15_000, 17_000, 1000
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
	}()
	for range attempts {
		if len(ports) == n {
			return ports, nil
		}
		port := first + rand.IntN(count)
		if l, err := net.Listen("tcp", address(port)); err == nil {
			listeners = append(listeners, l)
			ports = append(ports, port)
		}
	}
	return nil, errors.New("no free ports")
}

// run runs a program and returns its output.
func run(path string, args ...string) (string, error) {
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(path), err, out)
	}
	return string(out), nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// pacsAETitle is the called AE title of the queries; the PACS accepts any.
const pacsAETitle = "PACS"

// bench is the setup that the parts measure with.
type bench struct {
	options
	dir      string
	wrk      string
	pacs     string // programs
	pacsPort int
	running  []*process
	pacsOwn  *process
	pduByPDU bool // see patientID
	report   report
}

// newBench builds the programs and starts the PACS.
func newBench(ctx context.Context, o options) (b *bench, err error) {
	b = &bench{options: o}
	if b.wrk, err = exec.LookPath("wrk"); err != nil {
		return nil, fmt.Errorf("%w (Debian: apt-get install wrk)", err)
	}
	if b.dir, err = os.MkdirTemp("", "bench-load"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := os.WriteFile(b.script(), []byte(script), 0o600); err != nil {
		return nil, err
	}
	if b.pacs, err = b.build(ctx, "pacs", "./pacs"); err != nil {
		return nil, err
	}
	if b.floor == "" {
		if b.floor, err = b.build(ctx, "floor", "./floor"); err != nil {
			return nil, err
		}
	}
	if b.gateway == "" {
		if b.gateway, err = b.buildGateway(ctx); err != nil {
			return nil, err
		}
	}
	address, port, err := freeAddress()
	if err != nil {
		return nil, err
	}
	b.pacsPort = port
	if b.pacsOwn, err = b.startProcess(ctx, "pacs", address, nil, b.pacs, "-address", address); err != nil {
		return nil, err
	}
	return b, b.pacsOwn.listening(ctx)
}

// quick reports whether the run only shows that everything can be measured.
func (b *bench) quick() bool { return b.rounds == 1 }

func (b *bench) close() {
	b.stopAll()
	if b.pacsOwn != nil {
		b.pacsOwn.stop()
	}
	_ = os.RemoveAll(b.dir)
}

// build builds a program of this module, which is the working directory.
func (b *bench) build(ctx context.Context, name, pkg string) (string, error) {
	path := filepath.Join(b.dir, name)
	return path, command(ctx, "go", "build", "-o", path, pkg)
}

// buildGateway builds the gateway by the Makefile, as for a release.
func (b *bench) buildGateway(ctx context.Context) (string, error) {
	if err := command(ctx, "make", "-s", "-C", "../..", "build"); err != nil {
		return "", err
	}
	return filepath.Abs("../../bin/dicom-qr-gateway")
}

func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func freeAddress() (address string, port int, err error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port, nil
}

// startFloor starts the floor.
func (b *bench) startFloor(ctx context.Context, keep bool) (*process, error) {
	address, _, err := freeAddress()
	if err != nil {
		return nil, err
	}
	pacs := net.JoinHostPort("127.0.0.1", strconv.Itoa(b.pacsPort))
	p, err := b.startProcess(ctx, "floor", address, nil, b.floor, "-pacs", pacs, "-http", address, "-reuse="+strconv.FormatBool(keep))
	if err != nil {
		return nil, err
	}
	return p, p.listening(ctx)
}

// startGateway starts a gateway as operators do: with defaults except for the settings, and with its log in a file.
func (b *bench) startGateway(ctx context.Context, name, path string, settings ...string) (*process, error) {
	address, _, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := b.startProcess(ctx, name, address, append([]string{"LISTEN_ADDR=" + address}, settings...), path)
	if err != nil {
		return nil, err
	}
	p.answers = true
	return p, p.listening(ctx)
}

// stopAll stops the processes of a part.
func (b *bench) stopAll() {
	for _, p := range b.running {
		p.stop()
	}
	b.running = nil
}

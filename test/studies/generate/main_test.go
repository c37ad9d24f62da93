package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/test/studies"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func generate(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = run(t.Context(), args, &out, io.Discard)
	return out.String(), err
}

// pacs starts an empty PACS that listens until the test ends.
func pacs(t *testing.T, cfg dicomtest.PACSConfig) *dicomtest.PACS {
	t.Helper()
	cfg.AETitle = "ORTHANCA"
	p := dicomtest.NewPACS(cfg)
	require.NoError(t, p.Listen("127.0.0.1:0"))
	t.Cleanup(func() { assert.NoError(t, p.Close()) })
	return p
}

func total() (instances int) {
	for _, study := range studies.All(time.Now()) {
		instances += len(study.Instances())
	}
	return instances
}

func TestOutWritesOneDICOMFileForEachInstance(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "directory")
	out, err := generate(t, "-out", dir)
	require.NoError(t, err)
	assert.Contains(t, out, "instances written to "+dir)

	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, total())
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(dir, file.Name()))
		require.NoError(t, err)
		require.Greater(t, len(content), 132)
		assert.Equal(t, "DICM", string(content[128:132]))
		assert.Contains(t, string(content), strings.TrimSuffix(file.Name(), ".dcm"))
	}

	_, err = generate(t, "-out", dir)
	require.ErrorIs(t, err, os.ErrExist, "existing files are not overwritten")
}

func TestStoreSendsAllInstances(t *testing.T) {
	to := pacs(t, dicomtest.PACSConfig{})
	for range 2 { // storing the same studies again is harmless
		out, err := generate(t, "-store", "ORTHANCA@"+to.Addr())
		require.NoError(t, err)
		assert.Contains(t, out, "stored in ORTHANCA")
	}
	assert.Equal(t, total(), to.Instances())
	assert.Equal(t, "LOADER", to.Received()[0].CallingAETitle)
}

func TestListShowsEachPatientOnce(t *testing.T) {
	out, err := generate(t, "-list")
	require.NoError(t, err)
	assert.Contains(t, out, "1112223333   -                                CR, 2 CT, CT+SR, 2 MR, US DOE^JOHN\n")
	assert.Contains(t, out, `KANJI13      ISO 2022 IR 13\ISO 2022 IR 87    CR `)
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		id := strings.Fields(line)[0]
		assert.False(t, seen[id], id)
		seen[id] = true
	}
	for _, study := range studies.All(time.Now()) {
		assert.True(t, seen[study.PatientID], study.PatientID)
	}
}

func TestMoreAddsStudiesOfOnePatient(t *testing.T) {
	out, err := generate(t, "-list", "-more", "120")
	require.NoError(t, err)
	assert.Contains(t, out, "120 CR")
	assert.Len(t, studies.More(120), 120)
}

func TestSlicesReplaceTheStudies(t *testing.T) {
	out, err := generate(t, "-list", "-slices", "3")
	require.NoError(t, err)
	assert.Regexp(t, `^VOLUME +- +CT +VOLUME\^VERA\n$`, out)
}

func TestStoreReportsRefusals(t *testing.T) {
	refuses := pacs(t, dicomtest.PACSConfig{MaxInstances: 3})
	_, err := generate(t, "-store", "ORTHANCA@"+refuses.Addr())
	require.ErrorContains(t, err, "ORTHANCA: instance 4 of ")
	_, isStatus := errors.AsType[*dicomnet.StatusError](err)
	assert.True(t, isStatus)

	_, err = generate(t, "-store", "ANOTHER@"+refuses.Addr(), "-wait", "1h")
	_, isReject := errors.AsType[*dicomnet.RejectError](err)
	assert.True(t, isReject, "a rejected association is not retried: %v", err)
}

func TestInvalidArgumentsAreRejected(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"-wait", "1s"},
		{"-list", "more"},
		{"-store", "ORTHANCA"},
		{"-store", "@127.0.0.1:4242"},
		{"-store", "ORTHANCA@127.0.0.1"},
		{"-unknown"},
	} {
		out, err := generate(t, args...)
		require.Error(t, err, "%q", args)
		assert.Empty(t, out)
	}
	_, err := generate(t, "-h")
	require.ErrorIs(t, err, flag.ErrHelp)
}

func TestStoreWaitsForThePACSToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "ORTHANCA"})
		l := &listener{connections: make(chan net.Conn), closed: make(chan struct{})}
		require.NoError(t, p.Serve(l))
		begin := time.Now()
		to := target{aeTitle: "ORTHANCA", address: "orthanca:4242", dial: func(context.Context, string, string) (net.Conn, error) {
			if time.Since(begin) < 5*time.Second {
				return nil, os.ErrDeadlineExceeded // like a host that does not answer
			}
			ours, theirs := dicomtest.Pipe(0)
			l.connections <- theirs
			return ours, nil
		}}
		instances := studies.All(time.Now())[0].Instances()

		require.Error(t, to.store(t.Context(), "LOADER", 3*time.Second, instances), "it waits no longer than -wait")
		require.NoError(t, to.store(t.Context(), "LOADER", 3*time.Second, instances))
		assert.Equal(t, len(instances), p.Instances())
		require.NoError(t, p.Close())
	})
}

func TestCancelEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		to := target{aeTitle: "ORTHANCA", address: "orthanca:4242", dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, os.ErrNotExist
		}}
		require.ErrorIs(t, to.store(ctx, "LOADER", time.Hour, studies.All(time.Now())[0].Instances()), context.DeadlineExceeded)
	})
}

// listener accepts in-memory connections.
type listener struct {
	connections chan net.Conn
	closed      chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.connections:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	close(l.closed)
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

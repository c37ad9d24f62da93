package rig

import (
	"context"
	"io"
	"testing"
)

// InProcess is a gateway in the test's own process, where it counts for coverage.
type InProcess struct {
	*Log
	URL string // the base URL

	cancel context.CancelFunc
	ended  chan struct{}
	status int
}

// RunInProcess calls run, which runs the gateway until its context ends and returns the exit status, and waits until the
// gateway listens. At the end of the test the gateway is stopped, if it still runs; exit status 0 is required.
func RunInProcess(t testing.TB, run func(ctx context.Context, stdout io.Writer) (status int)) *InProcess {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // that of the test ends before the cleanup
	g := &InProcess{Log: newLog(), cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(g.ended)
		g.status = run(ctx, g.Log)
		g.end()
	}()
	t.Cleanup(func() {
		g.Stop(t)
		g.showOnFailure(t)
	})
	url, err := g.url()
	if err != nil {
		t.Fatal(err)
	}
	g.URL = url
	return g
}

// Stop stops the gateway, waits for its end and requires exit status 0.
func (g *InProcess) Stop(t testing.TB) {
	t.Helper()
	g.cancel()
	<-g.ended
	if g.status != 0 {
		t.Errorf("the gateway ended with exit status %d", g.status)
	}
}

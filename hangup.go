package main

import (
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// onHangup calls f at each SIGHUP until stop is called. stop waits for a call that is running.
func onHangup(f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	var handling sync.WaitGroup
	handling.Go(func() {
		for range signals {
			f()
		}
	})
	return func() {
		signal.Stop(signals)
		close(signals)
		handling.Wait()
	}
}

// lockedWriter serialises writes: the log and the audit records can share one output.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

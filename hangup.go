package main

import (
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// onHangup calls f at each SIGHUP until it is stopped.
func onHangup(f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	var heeding sync.WaitGroup
	heeding.Go(func() {
		for range signals {
			f()
		}
	})
	return func() {
		signal.Stop(signals)
		close(signals)
		heeding.Wait()
	}
}

// wholeWrites keeps apart what several write: the log and the audit records.
type wholeWrites struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *wholeWrites) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

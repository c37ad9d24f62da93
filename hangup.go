package main

import (
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

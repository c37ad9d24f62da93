// Package hangup handles SIGHUP. It imports nothing that takes long to initialise, and Go initialises packages in the order of
// their paths as soon as their imports are, so a SIGHUP does not end the process while the rest of the program is initialised.
package hangup

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

func init() { signal.Ignore(syscall.SIGHUP) }

// Handle calls f at each SIGHUP until stop is called. stop waits for a call that is running. Before and after, SIGHUP is ignored.
func Handle(f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	var handling sync.WaitGroup
	handling.Go(func() {
		for range signals {
			f()
		}
	})
	return func() {
		signal.Ignore(syscall.SIGHUP) // nothing is sent to signals from now on
		close(signals)
		handling.Wait()
	}
}

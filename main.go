// Command dicom-qr-gateway offers DICOM Query/Retrieve over HTTP: it finds the studies of a patient in a PACS (C-FIND) and has
// the PACS move them to a destination (C-MOVE).
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	_ "time/tzdata" // for TZ on systems without time zone files
)

//go:embed openapi.yaml
var contract []byte

func main() {
	// Nothing reads the memory profile that Go keeps because the NATS server links its handler. It takes 1 % of the time of a request.
	runtime.MemProfileRate = 0
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(1)
	}()
	// Standard output may be a pipe whose reader has ended: the log is lost then, but the gateway goes on.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args, os.Environ(), os.Stdout, os.Stderr))
}

// Command dicom-qr-gateway offers DICOM Query/Retrieve over HTTP: it finds the studies of a patient in a PACS (C-FIND) and has
// the PACS move them to a destination (C-MOVE).
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // for TZ on systems without time zone files
)

//go:embed openapi.yaml
var contract []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args, os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

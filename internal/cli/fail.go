package cli

import (
	"fmt"
	"io"
	"time"
)

// reportTimeout limits the wait for a standard error that blocks, as part of the longest shutdown.
const reportTimeout = 100 * time.Millisecond

// Fail writes the error of a command, and does not wait for an output that blocks.
func Fail(stderr io.Writer, err error) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = fmt.Fprintf(stderr, "dicom-qr-gateway: %v\n", err)
	}()
	select {
	case <-written:
	case <-time.After(reportTimeout):
	}
}

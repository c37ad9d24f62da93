package main

import (
	"fmt"
	"io"
	"os"

	"dicom-qr-gateway/internal/demo"
)

// startDemo starts the two PACS of the demonstration and writes requests to try. DEMO_PACS_A_ADDR and DEMO_PACS_B_ADDR replace
// their addresses on loopback; DEMO_DELAY is the time in seconds that they take for each instance that they move.
func startDemo(stdout io.Writer, baseURL string) (stop func() error, err error) {
	delay, err := demo.ParseDelay(os.Getenv("DEMO_DELAY"))
	if err != nil {
		return nil, fmt.Errorf("DEMO_DELAY: %w", err)
	}
	pacs, err := demo.Start(os.Getenv("DEMO_PACS_A_ADDR"), os.Getenv("DEMO_PACS_B_ADDR"))
	if err != nil {
		return nil, err
	}
	pacs.SetDelay(delay)
	if err := pacs.Describe(stdout, baseURL); err != nil {
		_ = pacs.Close()
		return nil, err
	}
	return pacs.Close, nil
}

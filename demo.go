package main

import (
	"fmt"
	"io"

	"dicom-qr-gateway/internal/demo"
)

// startDemo starts the two PACS of the demonstration and writes example requests. DEMO_PACS_A_ADDR and DEMO_PACS_B_ADDR replace
// their addresses on loopback. DEMO_DELAY is the time in seconds that they take to move one instance.
func startDemo(getenv func(string) string, stdout io.Writer, baseURL string) (stop func() error, err error) {
	delay, err := demo.ParseDelay(getenv("DEMO_DELAY"))
	if err != nil {
		return nil, fmt.Errorf("DEMO_DELAY: %w", err)
	}
	pacs, err := demo.Start(getenv("DEMO_PACS_A_ADDR"), getenv("DEMO_PACS_B_ADDR"))
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

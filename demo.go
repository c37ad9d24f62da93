package main

import (
	"io"
	"os"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// startDemo starts two PACS in memory, with synthetic studies, and tells what to
// try. They listen on loopback, elsewhere than usual where DEMO_PACS_A_ADDR or
// DEMO_PACS_B_ADDR says so.
func startDemo(stdout io.Writer, baseURL string) (stop func() error, err error) {
	demo, err := dicomtest.StartDemo(os.Getenv("DEMO_PACS_A_ADDR"), os.Getenv("DEMO_PACS_B_ADDR"))
	if err != nil {
		return nil, err
	}
	if err := demo.Describe(stdout, baseURL); err != nil {
		_ = demo.Close()
		return nil, err
	}
	return demo.Close, nil
}

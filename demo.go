package main

import (
	"io"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// startDemo starts two PACS in memory, with synthetic studies, on loopback, and
// tells what to try.
func startDemo(stdout io.Writer, baseURL string) (stop func() error, err error) {
	demo, err := dicomtest.StartDemo("", "")
	if err != nil {
		return nil, err
	}
	if err := demo.Describe(stdout, baseURL); err != nil {
		_ = demo.Close()
		return nil, err
	}
	return demo.Close, nil
}

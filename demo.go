package main

import (
	"errors"
	"io"
	"os"
	"time"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// startDemo starts two PACS in memory, with synthetic studies, and tells what to
// try. They listen on loopback, elsewhere than usual where DEMO_PACS_A_ADDR or
// DEMO_PACS_B_ADDR says so, and take DEMO_DELAY seconds for each instance that
// they move.
func startDemo(stdout io.Writer, baseURL string) (stop func() error, err error) {
	delay, err := demoDelay(os.Getenv("DEMO_DELAY"))
	if err != nil {
		return nil, err
	}
	demo, err := dicomtest.StartDemo(os.Getenv("DEMO_PACS_A_ADDR"), os.Getenv("DEMO_PACS_B_ADDR"))
	if err != nil {
		return nil, err
	}
	demo.SetDelay(delay)
	if err := demo.Describe(stdout, baseURL); err != nil {
		_ = demo.Close()
		return nil, err
	}
	return demo.Close, nil
}

func demoDelay(seconds string) (time.Duration, error) {
	if seconds == "" {
		return 0, nil
	}
	delay, err := time.ParseDuration(seconds + "s")
	if err != nil || delay < 0 {
		return 0, errors.New("DEMO_DELAY is not a number of seconds")
	}
	return delay, nil
}

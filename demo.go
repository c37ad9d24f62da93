package main

import (
	"io"

	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/demo"
)

// startDemo starts the two PACS of the demonstration and writes requests to try.
func startDemo(settings config.Demo, stdout io.Writer, baseURL string) (stop func() error, err error) {
	pacs, err := demo.Start(settings.AddressA, settings.AddressB)
	if err != nil {
		return nil, err
	}
	pacs.SetDelay(settings.Delay.Duration())
	if err := pacs.Describe(stdout, baseURL); err != nil {
		_ = pacs.Close()
		return nil, err
	}
	return pacs.Close, nil
}

package main

import (
	"io"

	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/internal/environment"
)

// startDemo starts the two PACS of the demonstration, gives them names, and writes requests to try.
func startDemo(settings *environment.Settings, stdout io.Writer, baseURL string) (stop func() error, err error) {
	pacs, err := demo.Start(settings.Demo.AddressA, settings.Demo.AddressB)
	if err != nil {
		return nil, err
	}
	pacs.SetDelay(settings.Demo.Delay.Duration())
	if err := settings.NameDemo(pacs.A.Addr(), pacs.B.Addr()); err != nil {
		_ = pacs.Close()
		return nil, err
	}
	if err := pacs.Describe(stdout, baseURL); err != nil {
		_ = pacs.Close()
		return nil, err
	}
	return pacs.Close, nil
}

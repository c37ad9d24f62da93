package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"dicom-qr-gateway/internal/environment"
)

const healthcheckTimeout = 5 * time.Second

// checkHealth requests /health from the gateway that runs on this machine.
func checkHealth(ctx context.Context, env *environment.Environment) error {
	address, secure, err := env.Endpoint()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	url := baseURL(address, secure) + "/health"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		//nolint:gosec // The gateway calls itself, at an address that its certificate does not name.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("not healthy: %w", err)
	}
	_, err = io.Copy(io.Discard, response.Body)
	if err := response.Body.Close(); err != nil {
		return fmt.Errorf("not healthy: %w", err)
	}
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: status %d", response.StatusCode)
	}
	return nil
}

// baseURL returns the URL at which a listener on address is reached from this machine.
func baseURL(address string, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(address)
	// With an empty or unspecified address, Go listens on all addresses of this machine.
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

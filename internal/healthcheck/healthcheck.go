// Package healthcheck asks a gateway on this machine whether it is healthy.
package healthcheck

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const timeout = 5 * time.Second

// Check requests /health from the gateway that listens on address, with HTTPS if secure. It returns nil after a 200.
func Check(ctx context.Context, address string, secure bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, BaseURL(address, secure)+"/health", http.NoBody)
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

// BaseURL returns the URL at which a listener on address is reached from this machine.
func BaseURL(address string, secure bool) string {
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

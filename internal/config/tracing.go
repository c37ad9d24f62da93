package config

import (
	"crypto/tls"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"dicom-qr-gateway/internal/telemetry"
)

const defaultEndpoint = "http://localhost:4318"

// readTracing reads the variables of the OTLP exporter (OpenTelemetry specification, "OpenTelemetry Protocol Exporter"). It
// reports faults by the name of the variable, with the paths of files but no other value. Tracing is on if OTEL_TRACES_EXPORTER is otlp, or if it
// is not set and an endpoint is. The SDK itself reads the variables of the service, the resource, the sampler and the batches.
func readTracing(getenv func(string) string, fault func(name, reason string)) telemetry.Tracing {
	r := tracingReader{getenv: getenv, fault: fault}
	exporter := getenv("OTEL_TRACES_EXPORTER")
	_, endpoint := r.value("ENDPOINT")
	switch {
	case strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true"), exporter == "none", exporter == "" && endpoint == "":
		return telemetry.Tracing{}
	case exporter != "" && exporter != "otlp":
		fault("OTEL_TRACES_EXPORTER", "want otlp or none")
		return telemetry.Tracing{}
	}
	if name, protocol := r.value("PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		fault(name, "want http/protobuf")
	}
	return telemetry.Tracing{
		On: true, Endpoint: r.endpoint(), Header: r.header(), Timeout: r.timeout(), Gzip: r.gzip(), TLS: r.tls(),
	}
}

type tracingReader struct {
	getenv func(string) string
	fault  func(name, reason string)
}

// value returns the variable for traces only, or else the one for all signals.
func (r *tracingReader) value(suffix string) (name, value string) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + suffix, "OTEL_EXPORTER_OTLP_" + suffix} {
		if value := strings.TrimSpace(r.getenv(name)); value != "" {
			return name, value
		}
	}
	return "", ""
}

// endpoint returns the URL of the collector. The variable for traces holds it as it is; to the one for all signals the path of
// traces is added.
func (r *tracingReader) endpoint() string {
	name, value := r.value("ENDPOINT")
	if value == "" {
		value = defaultEndpoint
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		r.fault(name, "want http://host:port or https://host:port")
		return ""
	}
	if name != "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" {
		u = u.JoinPath("v1", "traces")
	}
	return u.String()
}

// header reads a list of key=value, with percent-encoded values (W3C Baggage).
func (r *tracingReader) header() http.Header {
	header := http.Header{}
	name, value := r.value("HEADERS")
	if value == "" {
		return header
	}
	for pair := range strings.SplitSeq(value, ",") {
		key, text, ok := strings.Cut(pair, "=")
		key = textproto.TrimString(key)
		decoded, err := url.PathUnescape(strings.TrimSpace(text))
		if !ok || key == "" || err != nil {
			r.fault(name, "want key=value, separated by commas")
			return header
		}
		header.Add(key, decoded)
	}
	return header
}

func (r *tracingReader) timeout() time.Duration {
	const standard = 10 * time.Second
	name, value := r.value("TIMEOUT")
	if value == "" {
		return standard
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || n == 0 {
		r.fault(name, "want milliseconds, more than 0")
		return standard
	}
	return time.Duration(n) * time.Millisecond
}

func (r *tracingReader) gzip() bool {
	name, value := r.value("COMPRESSION")
	if value != "" && value != "gzip" && value != "none" {
		r.fault(name, "want gzip or none")
	}
	return value == "gzip"
}

// tls returns nil if no certificate is configured; the system's authorities are then trusted.
func (r *tracingReader) tls() *tls.Config {
	caName, ca := r.value("CERTIFICATE")
	certName, cert := r.value("CLIENT_CERTIFICATE")
	keyName, key := r.value("CLIENT_KEY")
	if ca == "" && cert == "" && key == "" {
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites}
	if ca != "" {
		c.RootCAs = certificatePool(r.fault, namedFile{caName, ca})
	}
	if cert == "" || key == "" {
		if cert != key {
			r.fault(certName+keyName, "want a certificate and its key")
		}
		return c
	}
	c.Certificates = keyPair(r.fault, namedFile{certName, cert}, namedFile{keyName, key})
	return c
}

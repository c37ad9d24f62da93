package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Tracing is where spans go, as OpenTelemetry's variables say it. The zero value is off.
type Tracing struct {
	on       bool
	endpoint string
	header   http.Header // may hold secrets
	timeout  time.Duration
	gzip     bool
	tls      *tls.Config
}

// On reports whether requests are traced.
func (c Tracing) On() bool { return c.on }

const defaultEndpoint = "http://localhost:4318"

// ReadTracing reads the variables of the OTLP exporter (OpenTelemetry specification, "OpenTelemetry Protocol Exporter") and
// tells faults by the variable's name, never repeating a value. Tracing is on where OTEL_TRACES_EXPORTER is otlp, or is not
// set while an endpoint is. Names of the service, resource, sampler and batches are for the SDK, which reads them by itself.
func ReadTracing(getenv func(string) string, fault func(name, reason string)) Tracing {
	r := reader{getenv: getenv, fault: fault}
	exporter := getenv("OTEL_TRACES_EXPORTER")
	_, endpoint := r.value("ENDPOINT")
	switch {
	case strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true"), exporter == "none", exporter == "" && endpoint == "":
		return Tracing{}
	case exporter != "" && exporter != "otlp":
		fault("OTEL_TRACES_EXPORTER", "want otlp or none")
		return Tracing{}
	}
	if name, protocol := r.value("PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		fault(name, "want http/protobuf")
	}
	return Tracing{
		on: true, endpoint: r.endpoint(), header: r.header(), timeout: r.timeout(), gzip: r.gzip(), tls: r.tls(),
	}
}

type reader struct {
	getenv func(string) string
	fault  func(name, reason string)
}

// value is that of the variable for traces alone where there is one, else of the one for all signals.
func (r *reader) value(suffix string) (name, value string) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + suffix, "OTEL_EXPORTER_OTLP_" + suffix} {
		if value := strings.TrimSpace(r.getenv(name)); value != "" {
			return name, value
		}
	}
	return "", ""
}

// endpoint is taken as it is from the variable for traces; to that for all signals the path of traces is added.
func (r *reader) endpoint() string {
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

// header is a list of key=value, the values percent-encoded (W3C Baggage).
func (r *reader) header() http.Header {
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

func (r *reader) timeout() time.Duration {
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

func (r *reader) gzip() bool {
	name, value := r.value("COMPRESSION")
	if value != "" && value != "gzip" && value != "none" {
		r.fault(name, "want gzip or none")
	}
	return value == "gzip"
}

// tls is nil where the system's own trust is enough.
func (r *reader) tls() *tls.Config {
	caName, ca := r.value("CERTIFICATE")
	certName, cert := r.value("CLIENT_CERTIFICATE")
	keyName, key := r.value("CLIENT_KEY")
	if ca == "" && cert == "" && key == "" {
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca) //nolint:gosec // the file that the operator names
		c.RootCAs = x509.NewCertPool()
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			r.fault(caName, "want a file with certificates in PEM")
		}
	}
	switch {
	case cert == "" && key == "":
	case cert == "" || key == "":
		r.fault(certName+keyName, "want a certificate and its key")
	default:
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			r.fault(certName, "want a certificate and its key in PEM")
			break
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

package telemetry

import (
	"io"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// MetricsType is the media type of the output of WriteMetrics.
const MetricsType = "text/plain; version=0.0.4; charset=utf-8"

const namespace = "dicomqr"

// seconds are the buckets of durations that involve a PACS: from a C-ECHO on the local network to the 3600 s that an operation may
// take. They are dense up to about 10 s, the default of the timeouts, beyond which answers become rare.
var seconds = []float64{0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60, 300, 900, 3600}

// queueSeconds end far above the default of QUEUE_TIMEOUT, 5 s, after which a caller is refused.
var queueSeconds = []float64{0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// metrics holds all metrics of the gateway, on a registry of its own.
type metrics struct {
	registry *prometheus.Registry

	requests         *prometheus.CounterVec
	requestSeconds   *prometheus.HistogramVec
	requestsInFlight prometheus.Gauge

	operations       *prometheus.CounterVec
	operationSeconds *prometheus.HistogramVec
	firstResponse    *prometheus.HistogramVec
	stepSeconds      *prometheus.HistogramVec
	matches          *prometheus.CounterVec
	subOperations    *prometheus.CounterVec

	associations       *prometheus.CounterVec
	associationSeconds *prometheus.HistogramVec
	associationsOpen   *prometheus.GaugeVec
	idle               atomic.Pointer[func() int]   // counts idle associations
	reserved           atomic.Pointer[func() int64] // counts the memory that operations have reserved
	rejections         *prometheus.CounterVec
	aborts             *prometheus.CounterVec

	dropped     atomic.Pointer[func() uint64] // counts log lines
	connections atomic.Pointer[func() Connections]
	refused     *prometheus.CounterVec

	queueLength  *prometheus.GaugeVec
	queueSeconds *prometheus.HistogramVec

	retrievalMetrics
	jobs  *jobMetrics
	spool atomic.Pointer[func() Spool]
	cache atomic.Pointer[func() Cache]
}

func newMetrics(version, commit, goVersion string) *metrics {
	f := factory{prometheus.NewRegistry()}
	m := &metrics{
		registry: f.Registry,

		requests:         f.counter("http_requests_total", "HTTP requests answered.", "method", "route", "status"),
		requestSeconds:   f.histogram("http_request_duration_seconds", "Time from the arrival of a request to the end of its answer.", seconds, "method", "route"),
		requestsInFlight: f.gauge("http_requests_in_flight", "HTTP requests that run.").WithLabelValues(),

		operations:       f.counter("operations_total", "Operations at a PACS (find, move, echo) by outcome: ok, partial or the code of the problem.", "operation", "outcome", "peer"),
		operationSeconds: f.histogram("operation_duration_seconds", "Time of operations at a PACS, with any outcome.", seconds, "operation", "peer"),
		firstResponse:    f.histogram("first_response_seconds", "Time from a DIMSE request to the first response.", seconds, "operation", "peer"),
		stepSeconds:      f.histogram("step_duration_seconds", "Time of the steps of operations: resolve, reuse, connect, tls, associate, echo, find, get, move, release.", seconds, "step", "outcome"),
		matches:          f.counter("matches_total", "C-FIND matches that PACS sent, before the gateway checks them.", "peer"),
		subOperations:    f.counter("suboperations_total", "C-MOVE sub-operations as PACS counted them: completed, failed, warning.", "outcome", "peer"),

		associations:       f.counter("associations_total", "Associations that ended, attempts included, by outcome: released, aborted, rejected, lost, dropped, timeout, failed.", "outcome", "peer"),
		associationSeconds: f.histogram("association_duration_seconds", "Time from connect to the end of an association, attempts included.", seconds, "outcome"),
		associationsOpen:   f.gauge("associations_open", "Associations that are established.", "peer"),
		rejections:         f.counter("rejections_total", "Associations that PACS rejected, in the terms of PS3.8 section 9.3.4.", "result", "source", "reason", "peer"),
		aborts:             f.counter("aborts_total", "Associations that ended by A-ABORT, in the terms of PS3.8 section 9.3.8.", "by", "source", "reason", "peer"),

		queueLength:  f.gauge("queue_length", "Operations that wait for a free association with their PACS, or until they may run.", "peer"),
		refused:      f.counter("requests_refused_total", "Requests that were answered with 429 or 503, by the code of the problem.", "reason"),
		queueSeconds: f.histogram("queue_wait_seconds", "Time that operations waited for a free association with their PACS, by outcome: ok or the code of the problem.", queueSeconds, "outcome"),

		retrievalMetrics: newRetrievalMetrics(f),
		jobs:             newJobMetrics(f),
	}
	m.registerStorage(f)
	f.gaugeFunc("associations_idle", "Associations that are established and kept for the next operation.", nil,
		func() float64 { return float64(measured(&m.idle)) })
	f.gaugeFunc("memory_reserved_bytes", "Memory that operations have reserved for what they keep of answers.", nil,
		func() float64 { return float64(measured(&m.reserved)) })
	f.counterFunc("log_lines_dropped_total", "Log lines dropped because standard output took none.", nil,
		func() float64 { return float64(measured(&m.dropped)) })
	for _, counter := range []struct {
		name, help string
		count      func(Connections) uint64
	}{
		{"connections_yielded_total", "Connections of callers closed for a new one, because no request ran on them.", func(c Connections) uint64 { return c.Yielded }},
		{"connections_refused_total", "Connections of callers closed at once, because none gave way.", func(c Connections) uint64 { return c.Refused }},
	} {
		f.counterFunc(counter.name, counter.help, nil, func() float64 { return float64(counter.count(measured(&m.connections))) })
	}
	f.gaugeFunc("connections_open", "Connections of callers that are open.", nil,
		func() float64 { return float64(measured(&m.connections).Open) })
	for _, route := range []string{"/q", "/qr", "/echo"} {
		m.requests.WithLabelValues("POST", route, "500") // Prometheus sees no increase in a series that begins at one
	}
	f.gauge("build_info", "1, with the build in the labels.", "version", "commit", "go_version").
		WithLabelValues(version, commit, goVersion).Set(1)
	f.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// factory makes metrics and registers them.
type factory struct{ *prometheus.Registry }

func (f factory) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.MustRegister(c)
	return c
}

func (f factory) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.MustRegister(g)
	return g
}

func (f factory) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	f.MustRegister(h)
	return h
}

func (f factory) gaugeFunc(name, help string, labels prometheus.Labels, value func() float64) {
	f.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels}, value))
}

func (f factory) counterFunc(name, help string, labels prometheus.Labels, value func() float64) {
	f.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels}, value))
}

// measured calls the function that was set; without one it returns the zero value.
func measured[T any](count *atomic.Pointer[func() T]) (value T) {
	if f := count.Load(); f != nil {
		return (*f)()
	}
	return value
}

func (m *metrics) write(w io.Writer) error {
	families, err := m.registry.Gather()
	if err != nil {
		return err
	}
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	return nil
}

func statusLabel(status int) string {
	if status == 0 {
		return "none"
	}
	return strconv.Itoa(status)
}

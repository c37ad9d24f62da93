package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// The ways in which instances reach a caller. WayGetAndMove is that of a retrieval which needed both.
const (
	WayGet        = "get"
	WayMove       = "move"
	WayGetAndMove = "get,move"
	WayCache      = "cache"
	WayShared     = "shared" // the retrieval of another caller
)

// The outcomes of a retrieval.
const (
	RetrievalComplete   = "complete"
	RetrievalIncomplete = "incomplete" // some instances arrived
	RetrievalFailed     = "failed"     // none did
	RetrievalCancelled  = "cancelled"  // the caller left
)

// retrievalMetrics are the metrics of retrievals: what reaches callers as instances, and what the storage SCP refuses.
type retrievalMetrics struct {
	retrievals *prometheus.CounterVec
	running    *prometheus.GaugeVec
	seconds    *prometheus.HistogramVec
	first      *prometheus.HistogramVec
	instances  *prometheus.CounterVec
	bytes      *prometheus.CounterVec
	missing    *prometheus.CounterVec

	storeAssociations *prometheus.CounterVec
	stores            *prometheus.CounterVec
	refusals          words
}

func newRetrievalMetrics(f factory) retrievalMetrics {
	return retrievalMetrics{
		retrievals: f.counter("retrievals_total", "Retrievals of instances for callers, by outcome: complete, incomplete, failed, cancelled; and by way: get, move, both, cache, shared.", "way", "outcome", "peer"),
		running:    f.gauge("retrievals_running", "Retrievals of instances that run.", "peer"),
		seconds:    f.histogram("retrieval_duration_seconds", "Time from the request of instances to the end of their retrieval.", seconds, "way"),
		first:      f.histogram("retrieval_first_instance_seconds", "Time from the request of instances to the first of them.", seconds, "way"),
		instances:  f.counter("retrieved_instances_total", "Instances that were retrieved for callers.", "way", "peer"),
		bytes:      f.counter("retrieved_bytes_total", "Bytes of the data sets of these instances.", "way", "peer"),
		missing:    f.counter("retrieval_missing_instances_total", "Instances that a PACS lists and that did not arrive, of retrievals that were not cancelled.", "peer"),

		storeAssociations: f.counter("store_associations_total", "Associations that PACS opened to the storage SCP, by outcome: accepted, or why they were rejected.", "outcome"),
		stores:            f.counter("stores_refused_total", "Instances that the storage SCP refused, by reason.", "reason"),
		refusals:          words{limit: maxWords},
	}
}

// Retrieval measures one retrieval of instances for one caller. It is safe for concurrent use.
type Retrieval struct {
	telemetry *Telemetry
	peer      string
	running   string // the label of peer at the beginning; a PACS gets its own with its first association
	began     time.Time

	mu    sync.Mutex
	first time.Duration // to the first instance; zero: none yet
	bytes int64
	count int
	ended bool
}

// Retrieval begins to measure a retrieval at a peer, its name or host:port. The caller must call End once.
func (t *Telemetry) Retrieval(peer string) *Retrieval {
	r := &Retrieval{telemetry: t, peer: peer, running: t.peers.label(peer), began: time.Now()}
	t.metrics.running.WithLabelValues(r.running).Inc()
	return r
}

// Instance records one instance that was handed over, and the bytes of its data set. End counts it, because the way is known then.
func (r *Retrieval) Instance(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 {
		r.first = max(time.Since(r.began), 1)
	}
	r.count++
	r.bytes += max(bytes, 0)
}

// RetrievalEnd says how a retrieval ended.
type RetrievalEnd struct {
	Way     string // of the retrieval; "" if it failed before one was chosen
	Outcome string // RetrievalComplete, …
	Missing int    // instances that the PACS lists and that did not arrive
}

// End counts the retrieval, and describes it in the span of the request with ctx. Only the first call counts.
func (r *Retrieval) End(ctx context.Context, end RetrievalEnd) {
	r.mu.Lock()
	first, count, bytes, ended := r.first, r.count, r.bytes, r.ended
	r.ended = true
	r.mu.Unlock()
	if ended {
		return
	}
	if end.Way == "" {
		end.Way = "none"
	}
	m, peer := r.telemetry.metrics, r.telemetry.peers.label(r.peer)
	m.running.WithLabelValues(r.running).Dec()
	m.retrievals.WithLabelValues(end.Way, end.Outcome, peer).Inc()
	if count > 0 {
		m.instances.WithLabelValues(end.Way, peer).Add(float64(count))
		m.retrievalMetrics.bytes.WithLabelValues(end.Way, peer).Add(float64(bytes))
	}
	m.retrievalMetrics.seconds.WithLabelValues(end.Way).Observe(time.Since(r.began).Seconds())
	if first > 0 {
		m.first.WithLabelValues(end.Way).Observe(first.Seconds())
	}
	if end.Missing > 0 && end.Outcome != RetrievalCancelled { // what was cancelled is no fault of the PACS
		m.missing.WithLabelValues(peer).Add(float64(end.Missing))
	}
	trace.SpanFromContext(ctx).SetAttributes(
		attribute.String("dicom.retrieval.way", end.Way),
		attribute.String("dicom.retrieval.outcome", end.Outcome),
		attribute.Int("dicom.retrieval.instances", count),
		attribute.Int("dicom.retrieval.missing", end.Missing),
		attribute.Int64("dicom.retrieval.bytes", bytes),
	)
}

// StoreAssociation counts an association that a PACS opened to the storage SCP: "accepted", or a word that says why it was rejected.
func (t *Telemetry) StoreAssociation(outcome string) {
	t.metrics.storeAssociations.WithLabelValues(t.metrics.refusals.word(outcome)).Inc()
}

// StoreRefused counts an instance that the storage SCP, or an association of a C-GET, refused. The reason is a word of this program,
// such as late or other_study.
func (t *Telemetry) StoreRefused(reason string) {
	t.metrics.stores.WithLabelValues(t.metrics.refusals.word(reason)).Inc()
}

// Spool is what the spool holds now, and how often it was full since the start.
type Spool struct {
	Memory, Files int64 // bytes
	Full          uint64
}

// CountSpool sets the function that measures the spool when metrics are written.
func (t *Telemetry) CountSpool(count func() Spool) { t.metrics.spool.Store(&count) }

// Cache is what the cache holds now, and what was asked of it since the start.
type Cache struct {
	Bytes     int64
	Instances int
	Hits      uint64 // instances that were served from it
	Misses    uint64 // instances that it did not have
	Dropped   uint64 // instances that it dropped because the PACS has others, or because they were too old; not for want of room
	Evicted   uint64 // instances that gave way to newer ones
}

// CountCache sets the function that measures the cache when metrics are written.
func (t *Telemetry) CountCache(count func() Cache) { t.metrics.cache.Store(&count) }

// registerStorage registers the metrics of spool and cache.
func (m *metrics) registerStorage(f factory) {
	spool := func() Spool { return measured(&m.spool) }
	cache := func() Cache { return measured(&m.cache) }
	f.gaugeFunc("spool_bytes", "Bytes of instances that callers have not taken yet, in memory and in files.", prometheus.Labels{"where": "memory"}, func() float64 { return float64(spool().Memory) })
	f.gaugeFunc("spool_bytes", "Bytes of instances that callers have not taken yet, in memory and in files.", prometheus.Labels{"where": "files"}, func() float64 { return float64(spool().Files) })
	f.counterFunc("spool_full_total", "Times that the spool was full, so that a PACS had to wait for a caller.", nil, func() float64 { return float64(spool().Full) })
	f.gaugeFunc("cache_bytes", "Bytes of instances in the cache.", nil, func() float64 { return float64(cache().Bytes) })
	f.gaugeFunc("cache_instances", "Instances in the cache.", nil, func() float64 { return float64(cache().Instances) })
	for result, count := range map[string]func(Cache) uint64{
		"hit": func(c Cache) uint64 { return c.Hits }, "miss": func(c Cache) uint64 { return c.Misses },
	} {
		f.counterFunc("cache_requests_total", "Instances that were asked of the cache, by result: hit, miss.", prometheus.Labels{"result": result},
			func() float64 { return float64(count(cache())) })
	}
	for reason, count := range map[string]func(Cache) uint64{
		"outdated": func(c Cache) uint64 { return c.Dropped }, "room": func(c Cache) uint64 { return c.Evicted },
	} {
		f.counterFunc("cache_removed_total", "Instances that the cache removed, by reason: outdated, room.", prometheus.Labels{"reason": reason},
			func() float64 { return float64(count(cache())) })
	}
}

// maxWords is far more than the reasons that this program has.
const maxWords = 32

// words limits the values of a label, so that a fault in the caller cannot create unlimited series.
type words struct {
	mu    sync.Mutex
	limit int
	known map[string]struct{}
}

func (w *words) word(s string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.known[s]; ok {
		return s
	}
	if len(w.known) >= w.limit {
		return "other"
	}
	if w.known == nil {
		w.known = map[string]struct{}{}
	}
	w.known[s] = struct{}{}
	return s
}

package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// jobMetrics are the metrics of batches, and of the associations that gateways share.
type jobMetrics struct {
	filed       *prometheus.CounterVec
	running     *prometheus.GaugeVec
	attempts    *prometheus.CounterVec
	recorded    *prometheus.CounterVec
	redelivered *prometheus.CounterVec
	leasesLost  *prometheus.CounterVec

	jobs   atomic.Pointer[func() Jobs]
	leases atomic.Pointer[func() []Lease]
}

func newJobMetrics(f factory) *jobMetrics {
	m := &jobMetrics{
		filed:       f.counter("jobs_filed_total", "Jobs that this gateway filed.", "priority", "peer"),
		running:     f.gauge("job_items_running", "Items of jobs that this gateway works on.", "peer"),
		attempts:    f.counter("job_attempts_total", "Attempts at items of jobs that ended on this gateway, by what followed: the state of the item.", "outcome", "peer"),
		recorded:    f.counter("job_items_total", "Items of jobs whose outcome this gateway recorded, by state. Each outcome counts at one gateway.", "outcome", "peer"),
		redelivered: f.counter("job_redeliveries_total", "Items of jobs that this gateway received again, because an attempt was not confirmed.", "peer"),
		leasesLost:  f.counter("leases_lost_total", "Leases of associations that were not renewed in time.", "peer"),
	}
	f.MustRegister(&jobCollector{
		metrics: m,
		up: prometheus.NewDesc(namespace+"_jobs_up",
			"1 if JetStream answers, 0 if it does not. Absent without NATS_URL and JOBS_DIR.", nil, nil),
		items: prometheus.NewDesc(namespace+"_job_items",
			"Items of jobs of all gateways that are not finished, by state: queued (running ones included), waiting.",
			[]string{"state", "priority", "peer"}, nil),
		oldest: prometheus.NewDesc(namespace+"_job_oldest_seconds",
			"Age of the oldest queued item of all gateways; 0: none is queued.", []string{"priority", "peer"}, nil),
		leases: prometheus.NewDesc(namespace+"_leases",
			"Associations to named PACS that this gateway holds of the limit of all gateways, by kind: reserved, leased, used; and the limit.",
			[]string{"kind", "peer"}, nil),
	})
	return m
}

// Jobs is what all gateways of one JetStream have to do.
type Jobs struct {
	Up     bool // JetStream answers
	Queues []JobQueue
}

// JobQueue is what is queued for one PACS with one priority.
type JobQueue struct {
	PACS, Priority string
	Queued         int // running ones included
	Waiting        int // until a time, for the next attempt or a window
	Oldest         time.Duration
}

// CountJobs sets the function that describes the queues when metrics are written. It must not block.
func (t *Telemetry) CountJobs(count func() Jobs) { t.metrics.jobs.jobs.Store(&count) }

// JobFiled counts a job that was filed, for a named PACS.
func (t *Telemetry) JobFiled(pacs, priority string) {
	t.metrics.jobs.filed.WithLabelValues(priority, ofName(pacs)).Inc()
}

// JobItem counts an attempt at an item from now until end is called, with the state of the item that follows. Only the first call of
// end counts.
func (t *Telemetry) JobItem(pacs string) (end func(state string)) {
	m, peer := t.metrics.jobs, ofName(pacs)
	running := m.running.WithLabelValues(peer)
	running.Inc()
	var once sync.Once
	return func(state string) {
		once.Do(func() {
			running.Dec()
			m.attempts.WithLabelValues(state, peer).Inc()
		})
	}
}

// JobItemRecorded counts an outcome that this gateway recorded.
func (t *Telemetry) JobItemRecorded(pacs, state string) {
	t.metrics.jobs.recorded.WithLabelValues(state, ofName(pacs)).Inc()
}

// JobRedelivered counts an item that was delivered before.
func (t *Telemetry) JobRedelivered(pacs string) {
	t.metrics.jobs.redelivered.WithLabelValues(ofName(pacs)).Inc()
}

// Lease is what this gateway holds of the associations to one named PACS.
type Lease struct {
	PACS             string
	Reserved, Leased int
	Used             int // of both
	Limit            int // of all gateways together
}

// CountLeases sets the function that lists the leases when metrics are written. It must not block.
func (t *Telemetry) CountLeases(count func() []Lease) { t.metrics.jobs.leases.Store(&count) }

// LeaseLost counts a lease that was not renewed in time.
func (t *Telemetry) LeaseLost(pacs string) {
	t.metrics.jobs.leasesLost.WithLabelValues(ofName(pacs)).Inc()
}

// jobCollector asks for the queues and the leases once for each scrape.
type jobCollector struct {
	metrics                   *jobMetrics
	up, items, oldest, leases *prometheus.Desc
}

// Describe sends the descriptions of the metrics.
func (c *jobCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.items, c.oldest, c.leases} {
		out <- d
	}
}

// Collect sends the metrics. Without CountJobs and CountLeases there are none.
func (c *jobCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	if count := c.metrics.jobs.Load(); count != nil {
		jobs := (*count)()
		up := 0.0
		if jobs.Up {
			up = 1
		}
		gauge(c.up, up)
		for _, q := range jobs.Queues {
			gauge(c.items, float64(q.Queued), "queued", q.Priority, ofName(q.PACS))
			gauge(c.items, float64(q.Waiting), "waiting", q.Priority, ofName(q.PACS))
			gauge(c.oldest, q.Oldest.Seconds(), q.Priority, ofName(q.PACS))
		}
	}
	if count := c.metrics.leases.Load(); count != nil {
		for _, l := range (*count)() {
			gauge(c.leases, float64(l.Reserved), "reserved", ofName(l.PACS))
			gauge(c.leases, float64(l.Leased), "leased", ofName(l.PACS))
			gauge(c.leases, float64(l.Used), "used", ofName(l.PACS))
			gauge(c.leases, float64(l.Limit), "limit", ofName(l.PACS))
		}
	}
}

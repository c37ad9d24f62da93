// Package joblog reports what callers do with jobs, and the work on their items, to the log, the metrics and the audit trail, as the
// server does for requests.
package joblog

import (
	"context"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/internal/recording"
	"dicom-qr-gateway/internal/telemetry"
)

// Watch is a jobs.Watch.
type Watch struct {
	log   zerolog.Logger
	watch *telemetry.Telemetry
	trail *audit.Trail
	codes recording.Codes
}

var _ jobs.Watch = (*Watch)(nil)

// New returns a Watch. trail may be nil.
func New(log zerolog.Logger, watch *telemetry.Telemetry, trail *audit.Trail, codes recording.Codes) *Watch {
	return &Watch{log: log, watch: watch, trail: trail, codes: codes}
}

// Requested records what a caller did with a job, and counts a job that was filed.
func (w *Watch) Requested(kind jobs.RequestKind, j *jobs.Job, by principal.Principal) {
	if kind == jobs.RequestFile {
		w.watch.JobFiled(j.PACS, string(j.Priority))
	}
	line := func(level zerolog.Level) *zerolog.Event {
		return w.log.WithLevel(level).Str("correlation_id", by.CorrelationID).Str("caller", by.Name()).
			Str("job", j.ID).Str("pacs", j.PACS).Int("items", j.Counts.Items)
	}
	line(zerolog.InfoLevel).Msg("job " + string(kind))
	if err := w.trail.JobRequested(by, audit.JobRequest(kind), j.ID, j.Counts.Items); err != nil {
		line(zerolog.ErrorLevel).Err(err).Msg("audit record not written")
	}
}

// Begin begins the report of an attempt. The logger of the returned context names the attempt.
func (w *Watch) Begin(ctx context.Context, work *jobs.Work) (context.Context, jobs.Task) {
	t := newTask(w, work)
	return t.log.WithContext(ctx), t
}

// Recorded counts an outcome that this gateway recorded.
func (w *Watch) Recorded(work *jobs.Work, state jobs.ItemState) {
	w.watch.JobItemRecorded(work.PACS.Name, string(state))
}

// Redelivered counts an item that was delivered before.
func (w *Watch) Redelivered(pacs string) { w.watch.JobRedelivered(pacs) }

// Measure lets the metrics of the queues show what stats returns, which must not block.
func Measure(watch *telemetry.Telemetry, stats func() jobs.Stats) {
	watch.CountJobs(func() telemetry.Jobs {
		s := stats()
		m := telemetry.Jobs{Up: s.Up, Queues: make([]telemetry.JobQueue, len(s.Queues))}
		for i, q := range s.Queues {
			m.Queues[i] = telemetry.JobQueue{PACS: q.PACS, Priority: string(q.Priority), Queued: q.Queued, Waiting: q.Waiting, Oldest: q.Oldest}
		}
		return m
	})
}

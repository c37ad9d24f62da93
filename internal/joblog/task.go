package joblog

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/recording"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
)

// task reports one attempt at an item.
type task struct {
	qr.Unobserved
	*Watch
	log         zerolog.Logger // names the attempt
	destination string
	peer        qr.Peer
	record      audit.Operation
	query       audit.Query // the last C-FIND at STUDY level that was sent
	studies     []qr.Study  // announced by Matched
	vetoed      bool        // Matched ended the retrieve
	code        string      // how the operation ended
	began       time.Time
	end         func(state string)
}

var _ jobs.Task = (*task)(nil)

func newTask(w *Watch, work *jobs.Work) *task {
	t := &task{
		Watch: w,
		log: w.log.With().Str("correlation_id", work.FiledBy.CorrelationID).Str("job", work.JobID).
			Int("item", work.Number).Int("run", work.Run).Int("attempt", work.Attempt).Logger(),
		destination: work.Destination,
		peer:        work.PACS,
		record:      recording.Operation(work.FiledBy, work.PACS, work.Item.PatientID),
		query:       audit.Query{SOPClassUID: dicomnet.StudyRoot.Find},
		began:       time.Now(),
		end:         w.watch.JobItem(work.PACS.Name),
	}
	t.record.Job = &audit.Job{ID: work.JobID, Item: work.Number, Run: work.Run, Attempt: work.Attempt}
	return t
}

// Step measures and traces a step.
func (t *task) Step(ctx context.Context, s pool.PeerStep) (during context.Context, end func(err error)) {
	return t.watch.Step(ctx, s)
}

// Sent keeps the query for its audit record. Queries at SERIES level only complete the answer.
func (t *task) Sent(i qr.Identifier) {
	if t.trail == nil || i.Level != qr.LevelStudy {
		return
	}
	if query, ok := recording.Query(i); ok {
		t.query = query
	}
}

// Matched records that the studies are about to be moved, and ends the retrieve if that fails.
func (t *task) Matched(studies []qr.Study, _ []qr.Warning) error {
	t.studies = studies
	err := t.trail.Begun(&t.record, t.destination, recording.Studies(studies, nil))
	t.vetoed = err != nil
	return t.checked(err)
}

// Record records what the PACS found or moved, with the outcome of each study. If nothing was about to be moved, the record is that of
// the query.
func (t *task) Record(ctx context.Context, retrieved *qr.RetrieveResult, queried *qr.QueryResult, err error) error {
	if retrieved != nil {
		t.watch.Retrieved(t.peer.Label(), counters(retrieved.Retrievals))
		if len(t.studies) == 0 {
			t.studies = retrieved.Studies
		}
	}
	if len(t.studies) == 0 {
		return t.checked(t.recordQuery(ctx, queried, err))
	}
	return t.checked(t.recordTransfer(ctx, retrieved, err))
}

func (t *task) recordQuery(ctx context.Context, result *qr.QueryResult, err error) error {
	var studies []qr.Study
	if result != nil {
		studies = result.Studies
	}
	end := recording.Result(ctx, err, t.codes)
	if err == nil && len(studies) == 0 {
		end.Description = string(jobs.NoStudyMatched)
	}
	t.code = end.Description
	return t.trail.Queried(&t.record, t.query, recording.Studies(studies, nil), end)
}

func (t *task) recordTransfer(ctx context.Context, result *qr.RetrieveResult, err error) error {
	end := recording.Result(ctx, err, t.codes)
	var outcome func(int) *qr.Retrieval
	switch {
	case result != nil:
		end, outcome = recording.Transferred(ctx, result, t.codes), recording.Outcomes(result)
	case t.vetoed:
		outcome = recording.NotAttempted
	}
	t.code = end.Description
	return t.trail.Transferred(&t.record, t.destination, recording.Studies(t.studies, outcome), end)
}

// checked logs an error of the audit trail.
func (t *task) checked(err error) error {
	if err != nil {
		t.log.Error().Err(err).Msg("audit record not written")
	}
	return err
}

// returned is the state in log and metrics of an item that goes back to the queue.
const returned = "returned"

// End counts and logs the attempt.
func (t *task) End(state jobs.ItemState) {
	word := string(state)
	if word == "" {
		word = returned
	}
	t.end(word)
	line := t.log.Info().Str("pacs", t.peer.Name).Str("caller", t.record.Caller.Name()).Str("state", word).
		Int64("duration_ms", time.Since(t.began).Milliseconds())
	if t.code != "" && t.code != "ok" {
		line.Str("code", t.code)
	}
	line.Msg("job item")
}

func counters(retrievals []qr.Retrieval) []telemetry.MoveCounters {
	counts := make([]telemetry.MoveCounters, len(retrievals))
	for i := range retrievals {
		r := &retrievals[i]
		counts[i] = telemetry.MoveCounters{Completed: r.Completed, Failed: r.Failed, Warning: r.Warning}
	}
	return counts
}

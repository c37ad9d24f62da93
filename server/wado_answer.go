package server

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"os"
	"strconv"
	"time"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/listener"
	"dicom-qr-gateway/server/problem"
	"dicom-qr-gateway/server/wado"
)

// retrievedAnswer answers a retrieval of DICOMweb. It runs the retrieval while it answers. The answer begins with the first instance,
// so a failure before that is an ordinary problem document. A failure after it breaks the answer off.
type retrievedAnswer struct {
	ctx      context.Context
	request  *wado.Request
	task     *task
	receiver Receiver
	spool    *spool.Spool
	stall    time.Duration
	send     func(*wado.Transfer) error

	listed   *receive.Inventory // of the resource, if it was asked for first
	source   wado.Source
	transfer *wado.Transfer
	taken    int // instances that the caller has
	measured *telemetry.Retrieval
	recorded bool // the end is in the audit trail

	outcome int
	code    api.ProblemCode
}

func (a *retrievedAnswer) ended() (outcome int, code api.ProblemCode) { return a.outcome, a.code }

// write runs the retrieval. After an error that is not http.ErrAbortHandler nothing has been answered.
func (a *retrievedAnswer) write(w http.ResponseWriter) error {
	defer a.task.memory.Close()
	a.task.searches = &audit.Queries{}
	begun, err := sheltered(a.ctx, func() (bool, error) { return a.run(w) })
	if a.transfer != nil && a.transfer.Begun() {
		begun = true // also if it panicked
	}
	if failed := a.close(err); failed != nil && !begun {
		err = failed
	}
	if err == nil {
		return nil
	}
	p := problem.OfRetrieval(a.ctx, err, a.task.peer.TLS)
	if !begun {
		return p
	}
	a.code, a.outcome = p.Code, p.Status()
	logCause(a.ctx, p)
	return http.ErrAbortHandler
}

// run answers, and reports whether the answer has begun.
func (a *retrievedAnswer) run(w http.ResponseWriter) (begun bool, err error) {
	request := receive.Request{
		Target: a.request.Target, Call: a.task.call(), Peer: a.task.peer, Uncompressed: a.request.Syntaxes.Uncompressed(),
	}
	if a.request.Head || len(a.request.IfNoneMatch) > 0 || a.request.OfOne() {
		a.listed, err = a.receiver.Inventory(a.ctx, request)
		if err != nil {
			return false, err
		}
		etag := wado.ETag(a.request, a.listed)
		switch {
		case a.request.Matches(etag):
			return a.answerAlone(func() { wado.NotModified(w, etag) })
		case a.request.Head:
			return a.answerAlone(func() { wado.Head(w, a.request, a.listed) })
		}
	}
	if a.request.OfOne() {
		if request.Target, err = wado.Representative(a.listed); err != nil {
			return false, err
		}
	}
	begun, err = a.retrieve(w, request)
	if begun || !wado.Compressed(err) || request.Uncompressed {
		return begun, err
	}
	// The PACS may be able to decompress what the gateway cannot.
	if failed := a.close(err); failed != nil {
		return false, failed
	}
	a.source, a.transfer, a.recorded, a.taken = nil, nil, false, 0
	request.Uncompressed = true
	begun, again := a.retrieve(w, request)
	if _, ok := errors.AsType[*receive.IncompleteError](again); ok {
		return begun, err
	}
	return begun, again
}

// retrieve answers with the instances of one retrieval.
func (a *retrievedAnswer) retrieve(w http.ResponseWriter, request receive.Request) (begun bool, err error) {
	a.measured = a.task.telemetry.Retrieval(a.task.peer.Label())
	a.source, err = a.receiver.Retrieve(a.ctx, request)
	if err != nil {
		return false, err
	}
	a.task.record.PatientID = a.source.Inventory().PatientID
	if err := a.task.trail.Begun(&a.task.record, "", a.studies(nil)); err != nil {
		a.recorded = true // as far as possible
		return false, notRecorded(a.task.log, api.ProblemCodeAuditUnavailable, err)
	}
	line := wado.Line{ResponseWriter: w, Stall: a.stall, TLS: a.request.TLS}
	if a.request.HTTP1 {
		line.Connection = listener.Of(a.ctx)
	}
	t := wado.NewTransfer(line, a.request, a.source)
	a.transfer = t
	defer t.Close()
	defer context.AfterFunc(a.ctx, func() {
		// net/http cancels without a cause if the caller has left or a write has failed, which has its own reason.
		if cause := context.Cause(a.ctx); !errors.Is(cause, context.Canceled) {
			t.CutOff(cause)
		}
	})()
	t.CorrelationID, t.Spool = access.From(a.ctx).CorrelationID, a.spool
	if settings := a.task.peer.Settings; settings != nil {
		t.CharacterSet = settings.DefaultCharacterSet
	}
	if a.request.OfOne() {
		t.Listed = a.listed
	}
	t.Ended = func(o receive.Outcome) error { return a.record(&o) }
	t.Taken = func(_ *receive.Arrived, bytes int64) {
		a.taken++
		a.measured.Instance(bytes)
	}
	err = a.send(t)
	if gone := t.Caller(); gone != nil {
		err = a.gone(gone)
	}
	return t.Begun(), err
}

// gone returns the error of an answer that its caller does not take any longer.
func (a *retrievedAnswer) gone(why error) error {
	if _, full := errors.AsType[*spool.FullError](why); full {
		a.task.log.Warn().Msg("the spool is full, and the caller took too little of the answer and was cut off")
		return why
	}
	if errors.Is(why, os.ErrDeadlineExceeded) {
		a.task.log.Warn().Float64("stall_timeout", a.stall.Seconds()).Msg("the caller took nothing of the answer and was cut off")
	}
	return context.Canceled
}

// answerAlone records the C-FINDs of an answer that needs no instance, and then answers.
func (a *retrievedAnswer) answerAlone(answer func()) (begun bool, err error) {
	a.recorded = true
	if failed := a.task.recordSearch(a.ctx, nil); failed != nil {
		return false, notRecorded(a.task.log, api.ProblemCodeAuditFailed, failed)
	}
	answer()
	return true, nil
}

// close ends the retrieval and records how, if that has not been done.
func (a *retrievedAnswer) close(err error) error {
	if a.source == nil {
		if a.measured != nil {
			a.measured.End(a.ctx, telemetry.RetrievalEnd{Outcome: telemetry.RetrievalFailed})
		}
		if a.recorded {
			return nil
		}
		if failed := a.task.recordSearch(a.ctx, err); failed != nil {
			return notRecorded(a.task.log, api.ProblemCodeAuditFailed, failed)
		}
		return nil
	}
	a.source.Close()
	if a.recorded {
		a.measured.End(a.ctx, telemetry.RetrievalEnd{Outcome: telemetry.RetrievalFailed}) // unless record has ended it
		return nil
	}
	// Record what the caller has, not what arrived at the gateway.
	outcome := a.source.Outcome()
	outcome.Complete, outcome.Received = false, a.taken
	if outcome.Status == qr.RetrievalOK {
		outcome.Status = qr.RetrievalPartial
	}
	if errors.Is(err, context.Canceled) {
		outcome.Status = qr.RetrievalCancelled
	}
	return a.record(&outcome)
}

// record writes the audit record of the end of a retrieval that has brought instances, and measures it.
func (a *retrievedAnswer) record(o *receive.Outcome) error {
	a.recorded = true
	end := telemetry.RetrievalEnd{Way: string(o.Way), Missing: o.MissingCount}
	if o.Way == receive.WayMoveThenGet {
		end.Way = telemetry.WayGetAndMove
	}
	result := audit.Result{Outcome: audit.Success, Description: "ok"}
	switch {
	case o.Complete:
		end.Outcome = telemetry.RetrievalComplete
	case o.Status == qr.RetrievalCancelled:
		end.Outcome = telemetry.RetrievalCancelled
		result = audit.Result{Outcome: audit.MinorFailure, Description: string(problem.Of(a.ctx, context.Canceled).Code)}
	case o.Received == 0:
		end.Outcome = telemetry.RetrievalFailed
		result = audit.Result{Outcome: audit.SeriousFailure, Description: string(api.ProblemCodeRetrieveIncomplete)}
	default:
		end.Outcome = telemetry.RetrievalIncomplete
		result = audit.Result{Outcome: audit.MinorFailure, Description: "partial"}
	}
	a.measured.End(a.ctx, end)
	if failed := a.task.trail.Transferred(&a.task.record, "", a.studies(o), result); failed != nil {
		return notRecorded(a.task.log, api.ProblemCodeAuditFailed, failed)
	}
	return nil
}

// studies yields the study of the retrieval for an audit record; nil: its outcome is not known yet.
func (a *retrievedAnswer) studies(o *receive.Outcome) iter.Seq[audit.Study] {
	inventory := a.source.Inventory()
	study := audit.Study{UID: a.request.StudyInstanceUID, AccessionNumber: inventory.AccessionNumber, PatientName: inventory.PatientName}
	detail := func(name, value string) {
		if value != "" {
			study.Details = append(study.Details, audit.Detail{Type: name, Value: []byte(value)})
		}
	}
	detail("series_instance_uid", a.request.SeriesInstanceUID)
	detail("sop_instance_uid", a.request.SOPInstanceUID)
	if o != nil {
		detail("status", string(o.Status))
		detail("completed", strconv.Itoa(o.Received))
		detail("missing", strconv.Itoa(o.MissingCount))
		detail("way", string(o.Way))
	}
	return func(yield func(audit.Study) bool) { yield(study) }
}

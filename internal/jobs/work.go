package jobs

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// work is the message of one item in the queue of a PACS.
type work struct {
	Owner    string   `json:"owner"`
	PACS     string   `json:"pacs"`
	Priority Priority `json:"priority"`
	Job      string   `json:"job"`
	Run      int      `json:"run"`
	Index    int      `json:"index"`
	Attempt  int      `json:"attempt"`
	Item     Item     `json:"item"`
}

func (w *work) place() place {
	return place{pacs: w.PACS, priority: w.Priority, job: w.Job, run: w.Run, index: w.Index}
}

func (w *work) message(subject string) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Data, _ = json.Marshal(w) // never fails
	return m
}

func decodeWork(data []byte) (*work, bool) {
	w := &work{}
	err := json.Unmarshal(data, w)
	return w, err == nil && validID(w.Job) && w.Index >= 0 && w.Run > 0 && w.Attempt > 0
}

// filter returns what the item selects, without the studies that earlier attempts have moved.
func (i *Item) filter(moved []string) qr.Filter {
	uids := i.StudyInstanceUIDs
	if i.StudyInstanceUID != "" {
		uids = []string{i.StudyInstanceUID}
	}
	return qr.Filter{
		PatientID: i.PatientID, AnyPatient: i.PatientID == "", IssuerOfPatientID: i.IssuerOfPatientID, AccessionNumber: i.AccessionNumber,
		StudyInstanceUIDs: uids, Modalities: i.Modalities, MaxYearsOld: i.MaxYearsOld, MaxResults: i.MaxResults,
		StudyDateFrom: i.StudyDateFrom, StudyDateTo: i.StudyDateTo, Except: moved,
	}
}

// attempt is one attempt at an item, from the moment at which its start is known to all gateways.
type attempt struct {
	service *Service
	view    *view
	work    *work
	peer    pool.Peer
	number  int
	report  *report // of earlier attempts, then of this one too
}

// verdict is what follows an attempt.
type verdict struct {
	state ItemState // Queued: the attempt was interrupted and does not count
	until time.Time // of Waiting
}

// run does the attempt and decides what follows. ctx ends with errStopped or errDraining as its cause.
func (a *attempt) run(ctx context.Context) (verdict, Task) {
	r := a.view.record
	during, task := a.service.options.Watch.Begin(ctx, &Work{
		JobID: r.ID, Number: a.work.Index + 1, Run: a.work.Run, Attempt: a.number, PACS: a.peer, Destination: r.Destination, DryRun: r.DryRun,
		Item: a.work.Item, FiledBy: r.Caller.principal(),
	})
	by := r.Caller.principal()
	call := qr.Call{Principal: by, Observer: task, Batch: true, Memory: a.service.options.Memory.Account(by.Identity())}
	defer call.Memory.Close()
	if r.DryRun {
		return a.query(during, call, task), task
	}
	return a.retrieve(during, call, task), task
}

func (a *attempt) query(ctx context.Context, call qr.Call, task Task) verdict {
	result, err := a.service.options.Retriever.Query(ctx, call, a.peer, a.work.Item.filter(nil))
	if unrecorded := task.Record(ctx, nil, result, err); unrecorded != nil {
		return a.failed(ctx, unrecorded, true)
	}
	if err != nil {
		return a.failed(ctx, err, passing(err))
	}
	a.report.find(result)
	if len(result.Studies) == 0 {
		return verdict{state: NoStudyMatched}
	}
	return verdict{state: Found}
}

func (a *attempt) retrieve(ctx context.Context, call qr.Call, task Task) verdict {
	moved := a.report.moved()
	result, err := a.service.options.Retriever.Retrieve(ctx, call, a.peer, a.work.Item.filter(moved), a.view.record.Destination)
	unrecorded := task.Record(ctx, result, nil, err)
	if result != nil {
		a.report.add(result)
	}
	switch {
	case unrecorded != nil:
		return a.failed(ctx, unrecorded, true)
	case err != nil:
		return a.failed(ctx, err, passing(err))
	case len(result.Studies) == 0 && len(moved) == 0:
		a.report.Failure = nil
		return verdict{state: NoStudyMatched}
	case result.Succeeded() == len(result.Studies):
		a.report.Failure = nil
		return verdict{state: Moved}
	}
	return a.failed(ctx, result.Err, mayComplete(result))
}

// failed decides what follows an attempt that did not do everything.
func (a *attempt) failed(ctx context.Context, err error, passing bool) verdict {
	if err == nil {
		err = errUnknown
	}
	a.report.Failure = a.service.options.Describe(ctx, err, a.peer.TLS)
	anything := a.report.anything()
	switch cause := context.Cause(ctx); {
	case cause == errStopped && anything: //nolint:errorlint // the cause itself
		return verdict{state: Partial}
	case cause == errStopped: //nolint:errorlint // the cause itself
		return verdict{state: Cancelled}
	case ctx.Err() != nil:
		return verdict{state: Queued}
	case passing && a.number < a.service.options.Attempts:
		return verdict{state: Waiting, until: a.next()}
	case anything:
		return verdict{state: Partial}
	}
	return verdict{state: Failed}
}

// next returns when the next attempt may begin: after the back-off, within the window.
func (a *attempt) next() time.Time {
	o := &a.service.options
	wait := o.Backoff[min(a.number-1, len(o.Backoff)-1)]
	// What failed together does not return together.
	const jitter = 0.2
	spread := jitter * (2*rand.Float64() - 1) //nolint:gosec // nothing depends on it being secret
	wait += time.Duration(float64(wait) * spread)
	return a.view.record.opensAt(o.Now().Add(wait), o.Location)
}

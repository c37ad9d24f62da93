package audit

import (
	"context"
	"fmt"
	"iter"
	"os"
	"strconv"

	"dicom-qr-gateway/internal/principal"
)

const applicationName = "dicom-qr-gateway"

// Trail makes the records of this process and writes them to its log. It is safe for concurrent use. All methods of a nil
// *Trail do nothing: audit is off. An error says that the record is not in the log yet; the log keeps it and writes it later,
// unless the error is ErrFull.
type Trail struct {
	log  *Log
	host string
	self Participant
}

// NewTrail returns a Trail that writes to log; nil for a nil log.
func NewTrail(log *Log) *Trail {
	if log == nil {
		return nil
	}
	t := &Trail{log: log}
	t.host, _ = os.Hostname()
	if t.host == "" {
		t.host = applicationName
	}
	t.self = Participant{
		UserID: strconv.Itoa(os.Getpid()), UserName: applicationName, Roles: []Code{RoleApplication},
		AccessPointID: t.host, AccessPointType: MachineName,
	}
	return t
}

// Ready returns an error if a record could not be written now.
func (t *Trail) Ready() error {
	if t == nil {
		return nil
	}
	return t.log.Ready()
}

// Reopen continues in the file that the path of the log now names.
func (t *Trail) Reopen() error {
	if t == nil {
		return nil
	}
	return t.log.Reopen()
}

// Start records that the gateway starts (PS3.15 section A.5.3.1).
func (t *Trail) Start() error { return t.activity(context.Background(), ApplicationStart, Success) }

// Stop records that the gateway stops, as a failure unless it is clean, and closes the log. It returns once ctx is done, even if
// the sink blocks. The error counts the records that are lost.
func (t *Trail) Stop(ctx context.Context, clean bool) error {
	if t == nil {
		return nil
	}
	outcome := Success
	if !clean {
		outcome = MinorFailure
	}
	_ = t.activity(ctx, ApplicationStop, outcome) // Close counts the record if it is lost
	if err := t.log.Close(ctx); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

func (t *Trail) activity(ctx context.Context, kind Code, outcome Outcome) error {
	if t == nil {
		return nil
	}
	r := t.record("", ApplicationActivity, Execute, Result{Outcome: outcome})
	r.Event.TypeCodes = []Code{kind}
	r.Participants = []Participant{t.self}
	if err := t.log.write(ctx, r); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Refused records a caller without the required credentials (section A.5.3.11).
func (t *Trail) Refused(caller principal.Principal, route, reason string) error {
	if t == nil {
		return nil
	}
	return t.log.Write(t.alert(caller, NodeAuthentication, Object{ID: route, IDTypeCode: URI}, reason))
}

// Forbidden records an operation at a PACS that callers may not reach (section A.5.3.11).
func (t *Trail) Forbidden(o *Operation, reason string) error {
	if t == nil {
		return nil
	}
	var others []Object
	if o.PatientID != "" {
		others = append(others, patient(o.PatientID, nil))
	}
	if o.Job != nil {
		others = append(others, o.Job.object())
	}
	r := t.alert(o.Caller, UseOfRestricted, Object{ID: o.PACS.address(), IDTypeCode: NodeID, Name: o.PACS.Name}, reason, others...)
	return t.log.Write(r)
}

// Queried records a query (section A.5.3.10) and the studies in its answer; nil for none.
func (t *Trail) Queried(o *Operation, q Query, studies iter.Seq[Study], result Result) error {
	if t == nil {
		return nil
	}
	r := t.record(o.Caller.CorrelationID, QueryEvent, Execute, result)
	r.Participants = t.queryParticipants(o)
	r.Objects = withJob(queryObjects(&q, o.PatientID, studies), o.Job)
	return t.log.Write(r)
}

// Echoed records a C-ECHO as a Network Entry (section A.5.3.9), the only event of the standard that concerns nodes alone.
func (t *Trail) Echoed(o *Operation, result Result) error {
	if t == nil {
		return nil
	}
	r := t.record(o.Caller.CorrelationID, NetworkEntry, Execute, result)
	r.Event.TypeCodes = []Code{Attach, Verification}
	r.Participants = t.queryParticipants(o)
	return t.log.Write(r)
}

// Begun records that the PACS is about to send the studies to the destination (section A.5.3.3), an AE title or "" for the caller.
func (t *Trail) Begun(o *Operation, destination string, studies iter.Seq[Study]) error {
	if t == nil {
		return nil
	}
	r := t.record(o.Caller.CorrelationID, BeginTransferring, Execute, Result{Outcome: Success})
	r.Participants = t.transferParticipants(o, destination)
	r.Objects = withJob(transferObjects(studies, o.PatientID), o.Job)
	return t.log.Write(r)
}

// Transferred records what the PACS sent to the destination (section A.5.3.7), with the outcome of each study in its details.
// The action is Read, because the gateway does not know what the destination held before.
func (t *Trail) Transferred(o *Operation, destination string, studies iter.Seq[Study], result Result) error {
	if t == nil {
		return nil
	}
	r := t.record(o.Caller.CorrelationID, TransferredEvent, Read, result)
	r.Participants = t.transferParticipants(o, destination)
	r.Objects = withJob(transferObjects(studies, o.PatientID), o.Job)
	return t.log.Write(r)
}

package audit

import (
	"iter"
	"slices"
	"strconv"

	"dicom-qr-gateway/internal/principal"
)

// Job names the attempt at an item of a job that an operation belongs to. The Caller of the operation is who filed the job.
type Job struct {
	ID                 string
	Item, Run, Attempt int // each from 1
}

// object returns the job as an object with the role of a job.
func (j *Job) object() Object {
	return jobObject(j.ID, number("item", j.Item), number("run", j.Run), number("attempt", j.Attempt))
}

// jobObject returns a job with details. The schema requires a name or a query.
func jobObject(id string, details ...Detail) Object {
	return Object{ID: "/jobs/" + id, TypeCode: SystemObject, TypeCodeRole: RoleJob, IDTypeCode: URI, Name: "Job", Details: details}
}

func number(kind string, n int) Detail {
	return Detail{Type: kind, Value: strconv.AppendInt(nil, int64(n), 10)}
}

// withJob yields the objects and then the job, if there is one.
func withJob(objects iter.Seq[Object], j *Job) iter.Seq[Object] {
	if j == nil {
		return objects
	}
	job := *j
	return func(yield func(Object) bool) {
		if objects != nil {
			for o := range objects {
				if !yield(o) {
					return
				}
			}
		}
		yield(job.object())
	}
}

// JobRequest is what a caller did with a job.
type JobRequest string

// The requests.
const (
	JobFiled     JobRequest = "filed"
	JobCancelled JobRequest = "cancelled"
	JobRetried   JobRequest = "retried"
	JobDeleted   JobRequest = "deleted"
)

// action returns the action of the request (table A.5.2-1).
func (r JobRequest) action() string {
	switch r {
	case JobFiled:
		return Create
	case JobDeleted:
		return Delete
	}
	return Update
}

// JobRequested records that a caller filed or changed a job with this many items. The event is Order Record of PS3.16 CID 400; PS3.15
// has no message for it. The patients are in the records of the work on the items.
func (t *Trail) JobRequested(by principal.Principal, request JobRequest, id string, items int) error {
	if t == nil {
		return nil
	}
	r := t.record(by.CorrelationID, OrderRecord, request.action(), Result{Success, string(request)})
	r.Participants = []Participant{t.self, caller(by)}
	r.Objects = slices.Values([]Object{jobObject(id, number("items", items))})
	return t.log.Write(r)
}

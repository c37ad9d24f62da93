package jobs

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// The streams and buckets, and the subjects of their messages. The name of a PACS, an identifier and a priority are valid tokens.
const (
	streamWork   = "JOBS_WORK"
	streamEvents = "JOBS_EVENTS"
	streamItems  = "JOBS_ITEMS"
	bucketJobs   = "jobs-records"
	bucketOpen   = "jobs-open"
	bucketKeys   = "jobs-keys"

	workPrefix     = "jobs.work."     // an item that may begin: PACS, priority, job, run, index
	atPrefix       = "jobs.at."       // an item that waits for a time, which is scheduled for the subject with workPrefix
	dispatchPrefix = "jobs.dispatch." // something to do with a job as a whole: job, kind, run
	eventPrefix    = "jobs.ev."       // what happened: job, kind, run, and for an item its index, and for some the attempt
	itemsPrefix    = "jobs.items."    // the items of a job: job, chunk
	bellPrefix     = "jobs.bell."     // an item was queued, as with workPrefix; not in a stream
)

// Kinds of dispatch messages.
const (
	dispatchFile   = "file"
	dispatchRetry  = "retry"
	dispatchCancel = "cancel"
	dispatchDelete = "delete"
)

// Kinds of events.
const (
	kindFiled  = "filed"
	kindRetry  = "retry"  // a run begins
	kindCancel = "cancel" // no item begins any more
	kindClosed = "closed" // items that ran when the job was cancelled are given up
	kindStart  = "start"  // an attempt begins
	kindBack   = "back"   // an attempt was interrupted and does not count
	kindWait   = "wait"   // an attempt failed, and another follows
	kindDone   = "done"   // an outcome
)

// Header fields of events.
const (
	headerAttempt = "Jobs-Attempt"
	headerState   = "Jobs-State"
	headerUntil   = "Jobs-Until" // milliseconds since 1970
)

// place is where an item is queued.
type place struct {
	pacs       string
	priority   Priority
	job        string
	run, index int
}

func (p place) tail() string {
	return p.pacs + "." + string(p.priority) + "." + p.job + "." + strconv.Itoa(p.run) + "." + strconv.Itoa(p.index)
}

func (p place) work() string { return workPrefix + p.tail() }
func (p place) at() string   { return atPrefix + p.tail() }

// allOf returns the pattern of all items of a job with one of the prefixes.
func allOf(prefix string, r *record) string {
	return prefix + r.PACS + "." + string(r.Priority) + "." + r.ID + ".>"
}

// ofRun returns the pattern of all items of a run of a job with one of the prefixes.
func ofRun(prefix string, r *record, run int) string {
	return strings.TrimSuffix(allOf(prefix, r), ">") + strconv.Itoa(run) + ".>"
}

func dispatchSubject(job, kind string, run int) string {
	return dispatchPrefix + job + "." + kind + "." + strconv.Itoa(run)
}

func jobEvent(job, kind string, run int) string {
	return eventPrefix + job + "." + kind + "." + strconv.Itoa(run)
}

func itemEvent(job, kind string, run, index int) string {
	return jobEvent(job, kind, run) + "." + strconv.Itoa(index)
}

func waitEvent(job string, run, index, attempt int) string {
	return itemEvent(job, kindWait, run, index) + "." + strconv.Itoa(attempt)
}

// event is an event without its report.
type event struct {
	sequence   uint64
	at         time.Time
	kind       string
	run, index int // index -1: of the job
	attempt    int
	state      ItemState
	until      time.Time
}

// parseEvent reads the subject and the header of an event. ok is false for what no version of the gateway writes.
func parseEvent(subject string, header nats.Header) (e event, ok bool) {
	tokens := strings.Split(strings.TrimPrefix(subject, eventPrefix), ".")
	if len(tokens) < 3 {
		return e, false
	}
	e.kind, e.index = tokens[1], -1
	if e.run, ok = number(tokens[2]); !ok {
		return e, false
	}
	if len(tokens) > 3 {
		if e.index, ok = number(tokens[3]); !ok {
			return e, false
		}
	}
	e.attempt, _ = number(header.Get(headerAttempt))
	e.state = ItemState(header.Get(headerState))
	if until, err := strconv.ParseInt(header.Get(headerUntil), 10, 64); err == nil {
		e.until = time.UnixMilli(until)
	}
	return e, true
}

// number reads a number that is not negative.
func number(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0
}

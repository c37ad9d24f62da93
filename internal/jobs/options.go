package jobs

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr"
)

// Broker is the connection to NATS.
type Broker interface {
	JetStream() jetstream.JetStream
	Conn() *nats.Conn
	Embedded() bool // no other gateway uses it
	Err() error     // nil: JetStream answers
}

// Retriever runs the operations of items.
type Retriever interface {
	Query(ctx context.Context, c qr.Call, p qr.Peer, f qr.Filter) (*qr.QueryResult, error)
	Retrieve(ctx context.Context, c qr.Call, p qr.Peer, f qr.Filter, destination string) (*qr.RetrieveResult, error)
}

// Room says when a PACS has room for batch work.
type Room interface {
	// Room returns when an item may begin: no interactive operation waits for the peer, and an association is free. leave must be called
	// once the item has ended. The error is the end of ctx.
	Room(ctx context.Context, peer pool.Peer) (leave func(), err error)
}

// PACS are the named PACS, as they are configured now.
type PACS interface {
	Lookup(name string) (pool.Peer, bool)
	List() []pool.Peer
}

// Work is one attempt at an item, for those who watch it. Nothing changes it.
type Work struct {
	JobID       string
	Number      int // of the item
	Run         int
	Attempt     int
	PACS        pool.Peer
	Destination string
	DryRun      bool
	Item        Item
	// FiledBy is the caller who filed the job, with the correlation ID of that request.
	FiledBy principal.Principal
}

// RequestKind is what a caller asked for.
type RequestKind string

// The requests that change something.
const (
	RequestFile   RequestKind = "filed"
	RequestCancel RequestKind = "cancelled"
	RequestRetry  RequestKind = "retried"
	RequestDelete RequestKind = "deleted"
)

// Watch observes jobs. Its methods must not block, except that those of a Task may delay their own attempt.
type Watch interface {
	// Requested is called when a request of a caller was carried out.
	Requested(kind RequestKind, j *Job, by principal.Principal)
	// Begin is called before an attempt. It returns the context for it, and its observer.
	Begin(ctx context.Context, w *Work) (context.Context, Task)
	// Recorded is called when this gateway recorded an outcome, once for each.
	Recorded(w *Work, state ItemState)
	// Redelivered is called for an item that was delivered before.
	Redelivered(pacs string)
}

// Task observes one attempt.
type Task interface {
	qr.Observer
	// Record is called when the operation has ended, with its result and error. Of retrieved and queried at most one is not nil. An error
	// makes the attempt one that failed for a passing reason; what was moved is kept.
	Record(ctx context.Context, retrieved *qr.RetrieveResult, queried *qr.QueryResult, err error) error
	// End is called last, with the state of the item that follows; "": the item goes back to the queue.
	End(state ItemState)
}

// Stats describes the work of all gateways.
type Stats struct {
	Up     bool // JetStream answers
	Queues []Queue
}

// Queue is what is queued for one PACS with one priority.
type Queue struct {
	PACS     string
	Priority Priority
	Queued   int           // running ones included
	Waiting  int           // until a time
	Oldest   time.Duration // age of the oldest queued item; zero: none is queued
}

// Options are the settings of a Service. Zero values of numbers and durations are replaced by defaults.
type Options struct {
	Broker    Broker
	Retriever Retriever
	Room      Room // nil: there is always room
	PACS      PACS
	Watch     Watch // nil: nobody watches
	// Describe returns the failure of an error of an operation at a PACS that was called with or without TLS.
	Describe func(ctx context.Context, err error, withTLS bool) *Failure
	Memory   *budget.Budget // that operations share; nil: not limited
	Log      zerolog.Logger

	Retention    time.Duration // how long a job is kept after it was filed; 30 days
	Replicas     int           // of streams; 1
	MaxItems     int           // of a job; 10,000
	MaxJobs      int           // of a caller that are not finished; 100
	MaxPerPACS   int           // items of one PACS that this gateway works on at once, if there is room for them; 16
	DrainTimeout time.Duration // how long items may go on when Run ends; zero: not at all

	Location *time.Location   // of windows; time.Local
	Now      func() time.Time // time.Now

	// The rest is for tests.
	Attempts  int                     // of an item; 5
	Backoff   []time.Duration         // after each attempt but the last; 10 s, 1 min, 5 min, 15 min
	AckWait   time.Duration           // after which another gateway takes over; 10 s
	Idle      time.Duration           // between two looks into an empty queue; 2 s
	Grace     time.Duration           // for items that run when their job is cancelled; 1 min
	Patience  time.Duration           // for what became of an item to be recorded when the gateway ends; 5 s
	Refresh   time.Duration           // between two looks at what Stats returns; 10 s
	Timeout   time.Duration           // of a request to JetStream; 5 s
	failpoint func(step string) error // an error has the step that follows fail as a crash would
}

func (o *Options) setDefaults() {
	set(&o.Retention, 30*24*time.Hour)
	set(&o.Replicas, 1)
	set(&o.MaxItems, 10_000)
	set(&o.MaxJobs, 100)
	set(&o.MaxPerPACS, 16)
	set(&o.Attempts, 5)
	set(&o.AckWait, 10*time.Second)
	set(&o.Idle, 2*time.Second)
	set(&o.Grace, time.Minute)
	set(&o.Patience, 5*time.Second)
	set(&o.Refresh, 10*time.Second)
	set(&o.Timeout, 5*time.Second)
	set(&o.Location, time.Local)
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Backoff) == 0 {
		o.Backoff = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute}
	}
	if o.Watch == nil {
		o.Watch = unwatched{}
	}
	if o.Describe == nil {
		o.Describe = func(context.Context, error, bool) *Failure { return &Failure{Code: "internal_error"} }
	}
}

func set[T comparable](value *T, to T) {
	var zero T
	if *value == zero {
		*value = to
	}
}

// unwatched is a Watch that does nothing.
type unwatched struct{}

func (unwatched) Requested(RequestKind, *Job, principal.Principal) {}
func (unwatched) Recorded(*Work, ItemState)                        {}
func (unwatched) Redelivered(string)                               {}
func (unwatched) Begin(ctx context.Context, _ *Work) (context.Context, Task) {
	return ctx, unwatchedTask{}
}

type unwatchedTask struct{ qr.Unobserved }

func (unwatchedTask) Record(context.Context, *qr.RetrieveResult, *qr.QueryResult, error) error {
	return nil
}
func (unwatchedTask) End(ItemState) {}

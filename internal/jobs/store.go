package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// store is what the jobs are kept in. Its streams and buckets are made when they are first needed, and again if JetStream has lost them.
type store struct {
	options *Options

	mu       sync.Mutex
	opened   *opened   // nil: not yet
	suffix   string    // of the names of consumers of this process; "" if other gateways use them
	created  time.Time // when the stream of events was
	replaced func()    // is called when it is another one, whose sequences begin again
}

// opened are the streams and buckets.
type opened struct {
	js                  jetstream.JetStream
	work, events, items jetstream.Stream
	jobs, keys          jetstream.KeyValue
	unfinished          jetstream.KeyValue // keys of jobs that may not have finished
}

// open returns the streams and buckets.
func (s *store) open(ctx context.Context) (*opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened != nil {
		return s.opened, nil
	}
	if err := s.options.Broker.Err(); err != nil {
		return nil, err
	}
	o, err := s.make(ctx, s.options.Broker.JetStream())
	if err == nil {
		err = s.renew(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	if created := o.events.CachedInfo().Created; !created.Equal(s.created) {
		if !s.created.IsZero() {
			s.replaced()
		}
		s.created = created
	}
	s.opened = o
	return o, nil
}

// duplicates is the least time for which JetStream remembers message IDs. None are used: expected sequences replace them.
const duplicates = 100 * time.Millisecond

func (s *store) make(ctx context.Context, js jetstream.JetStream) (*opened, error) {
	o := &opened{js: js}
	retention, replicas := s.options.Retention, s.options.Replicas
	for _, stream := range []struct {
		made   *jetstream.Stream
		config jetstream.StreamConfig
	}{
		{&o.work, jetstream.StreamConfig{
			Name: streamWork, Description: "Items of batches that are queued or wait",
			Subjects:  []string{workPrefix + ">", atPrefix + ">", dispatchPrefix + ">"},
			Retention: jetstream.WorkQueuePolicy, AllowMsgSchedules: true, AllowAtomicPublish: true,
			RePublish: &jetstream.RePublish{Source: workPrefix + "*.>", Destination: bellPrefix + "{{wildcard(1)}}.>", HeadersOnly: true},
		}},
		{&o.events, jetstream.StreamConfig{
			Name: streamEvents, Description: "What became of batches", Subjects: []string{eventPrefix + ">"},
		}},
		{&o.items, jetstream.StreamConfig{
			Name: streamItems, Description: "Items of batches, in chunks", Subjects: []string{itemsPrefix + ">"},
		}},
	} {
		c := stream.config
		c.MaxAge, c.Replicas, c.MaxMsgsPerSubject, c.Duplicates = retention, replicas, 1, duplicates
		c.AllowDirect = replicas == 1 // else a replica may answer that does not know yet what was just written
		made, err := makeStream(ctx, js, &c)
		if err != nil {
			return nil, err
		}
		*stream.made = made
	}
	for name, bucket := range map[string]*jetstream.KeyValue{bucketJobs: &o.jobs, bucketOpen: &o.unfinished, bucketKeys: &o.keys} {
		made, err := makeBucket(ctx, js, jetstream.KeyValueConfig{Bucket: name, TTL: retention, Replicas: replicas, History: 1})
		if err != nil {
			return nil, err
		}
		*bucket = made
	}
	return o, nil
}

// makeStream makes a stream, unless it is as it has to be: a cluster may not answer several gateways that change a stream at the same time.
func makeStream(ctx context.Context, js jetstream.JetStream, c *jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, c.Name)
	if err == nil {
		is := &stream.CachedInfo().Config
		if is.MaxAge == c.MaxAge && is.Replicas == c.Replicas && is.MaxMsgsPerSubject == c.MaxMsgsPerSubject && is.AllowDirect == c.AllowDirect &&
			is.AllowAtomicPublish == c.AllowAtomicPublish && slices.Equal(is.Subjects, c.Subjects) {
			return stream, nil
		}
	}
	return js.CreateOrUpdateStream(ctx, *c)
}

// makeBucket is makeStream for a bucket. One with several replicas is read from their leader: another may not know yet what was just written.
func makeBucket(ctx context.Context, js jetstream.JetStream, c jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	direct := c.Replicas == 1
	stream, err := js.Stream(ctx, "KV_"+c.Bucket)
	if err == nil {
		is := &stream.CachedInfo().Config
		if is.MaxAge == c.TTL && is.Replicas == c.Replicas && is.AllowDirect == direct {
			return js.KeyValue(ctx, c.Bucket)
		}
	}
	bucket, err := js.CreateOrUpdateKeyValue(ctx, c)
	if err != nil || direct {
		return bucket, err
	}
	if stream, err = js.Stream(ctx, "KV_"+c.Bucket); err != nil {
		return nil, err
	}
	config := stream.CachedInfo().Config
	config.AllowDirect = false
	if _, err := js.UpdateStream(ctx, config); err != nil {
		return nil, err
	}
	return js.KeyValue(ctx, c.Bucket)
}

// consumer returns a durable consumer of the work stream.
func (s *store) consumer(ctx context.Context, name, filter string) (jetstream.Consumer, error) {
	o, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	const most = 10000 // a gateway takes few at once, and there are few gateways
	c, err := o.work.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: name + s.suffix, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.options.AckWait, MaxAckPending: most,
	})
	const notUnique = 10100 // another consumer has the subject
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == notUnique && s.suffix != "" {
		return nil, errors.Join(err, s.removeOthers(ctx, o))
	}
	return c, s.lost(err)
}

// renew has the consumers made again, so that what was in delivery when the process ended is delivered at once. It is for a server in the
// process, which nobody else uses. Each start has names of its own: a server that is killed while it removes a consumer may leave files that
// keep it from making one with the same name (nats-server 2.15.2).
func (s *store) renew(ctx context.Context, o *opened) error {
	if !s.options.Broker.Embedded() || s.suffix != "" {
		return nil
	}
	s.suffix = "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := s.removeOthers(ctx, o); err != nil {
		s.suffix = ""
		return err
	}
	return nil
}

// removeOthers removes the consumers that another process made.
func (s *store) removeOthers(ctx context.Context, o *opened) error {
	names := o.work.ConsumerNames(ctx)
	var others []string
	for name := range names.Name() {
		if !strings.HasSuffix(name, s.suffix) {
			others = append(others, name)
		}
	}
	if err := names.Err(); err != nil {
		return err
	}
	for _, name := range others {
		if err := o.work.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
	}
	return nil
}

// lost returns err. If it says that something is missing in JetStream, everything is made again when it is next needed.
func (s *store) lost(err error) error {
	for _, missing := range []error{
		jetstream.ErrStreamNotFound, jetstream.ErrNoStreamResponse, jetstream.ErrConsumerNotFound, jetstream.ErrConsumerDeleted,
		jetstream.ErrBucketNotFound, nats.ErrNoResponders, nats.ErrNoStreamResponse, nats.ErrStreamNotFound, nats.ErrConsumerNotFound,
		context.DeadlineExceeded, nats.ErrTimeout, // nobody answers a request to read from a stream that does not exist
	} {
		if errors.Is(err, missing) {
			s.mu.Lock()
			s.opened = nil
			s.mu.Unlock()
			break
		}
	}
	return err
}

// exists reports whether a message was refused because its subject, which may have one message only, has one.
func exists(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// put publishes a message. With once it is refused if the subject has a message: recorded is false then.
func (s *store) put(ctx context.Context, m *nats.Msg, once bool) (sequence uint64, recorded bool, err error) {
	o, err := s.open(ctx)
	if err != nil {
		return 0, false, err
	}
	var options []jetstream.PublishOpt
	if once {
		options = append(options, jetstream.WithExpectLastSequencePerSubject(0))
	}
	ack, err := o.js.PublishMsg(ctx, m, options...)
	switch {
	case err == nil:
		return ack.Sequence, true, nil
	case once && exists(err):
		return 0, false, nil
	}
	return 0, false, s.lost(err)
}

// insist is put that tries again until ctx ends. recorded is also true if the message arrived although its acknowledgement did not.
func (s *store) insist(ctx context.Context, m *nats.Msg) (recorded bool, err error) {
	const first, most = 50 * time.Millisecond, 2 * time.Second
	for wait, unsure := first, false; ; wait = min(2*wait, most) {
		attempt, cancel := context.WithTimeout(ctx, s.options.Timeout)
		_, recorded, err = s.put(attempt, m, true)
		if err == nil && !recorded && unsure {
			recorded = s.same(attempt, m)
		}
		cancel()
		if err == nil {
			return recorded, nil
		}
		unsure = true
		if !sleep(ctx, wait) {
			return false, err
		}
	}
}

// same reports whether the message of the subject is this one.
func (s *store) same(ctx context.Context, m *nats.Msg) bool {
	o, err := s.open(ctx)
	if err != nil {
		return false
	}
	last, err := o.events.GetLastMsgForSubject(ctx, m.Subject)
	return err == nil && bytes.Equal(last.Data, m.Data) && last.Header.Get(headerState) == m.Header.Get(headerState)
}

// schedule puts an item where it waits, for another attempt at a time.
func (s *store) schedule(ctx context.Context, w *work, at time.Time, once bool) error {
	m := w.message(w.place().at())
	m.Header = scheduleHeader(scheduledFor(at, s.options.Now()), w.place().work())
	_, _, err := s.put(ctx, m, once)
	return err
}

// report returns the report of the event with the sequence; an empty one for zero.
func (s *store) report(ctx context.Context, sequence uint64) (*report, error) {
	if sequence == 0 {
		return &report{}, nil
	}
	o, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	m, err := o.events.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return &report{}, nil // the job expires
	}
	if err != nil {
		return nil, s.lost(err)
	}
	return decodeReport(m.Data)
}

// record returns the record of a job; nil if there is none.
func (s *store) record(ctx context.Context, owner, id string) (*record, error) {
	o, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	entry, err := o.jobs.Get(ctx, owner+"."+id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, s.lost(err)
	}
	r := &record{}
	return r, json.Unmarshal(entry.Value(), r)
}

// keep makes sure of the record and the first event of a job. It returns the record that is kept; nil if the job was deleted.
func (s *store) keep(ctx context.Context, r *record) (*record, error) {
	o, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	encoded, _ := json.Marshal(r) // never fails
	owner := r.Caller.owner()
	// In contrast to Create, Update of revision 0 does not replace the mark of a deleted key.
	_, err = o.jobs.Update(ctx, owner+"."+r.ID, encoded, 0)
	if err == nil {
		err = s.reopen(ctx, r)
	}
	if err != nil && !exists(err) {
		return nil, s.lost(err)
	}
	kept, err := s.record(ctx, owner, r.ID)
	if err != nil || kept == nil {
		return nil, err
	}
	_, _, err = s.put(ctx, nats.NewMsg(jobEvent(r.ID, kindFiled, 1)), true)
	return kept, err
}

// reopen notes that a job has not finished.
func (s *store) reopen(ctx context.Context, r *record) error {
	o, err := s.open(ctx)
	if err != nil {
		return err
	}
	_, err = o.unfinished.Put(ctx, r.Caller.owner()+"."+r.ID, nil)
	return s.lost(err)
}

// chunk returns the items of a chunk.
func (s *store) chunk(ctx context.Context, id string, n int) ([]Item, error) {
	o, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	m, err := o.items.GetLastMsgForSubject(ctx, chunkSubject(id, n))
	if err != nil {
		return nil, s.lost(err)
	}
	var items []Item
	return items, json.Unmarshal(m.Data, &items)
}

// sleep waits; it returns false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// unavailable returns the error of a request to JetStream, as callers see it.
func unavailable(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case as[*ConflictError](err), as[*LimitError](err), as[*GoneError](err), as[*UnavailableError](err):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &UnavailableError{Err: err}
}

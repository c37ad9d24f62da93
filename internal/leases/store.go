package leases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// holder is who has a slot, as it is written in the bucket; the zero value: nobody.
type holder struct {
	Gateway  string `json:"gateway"`
	Instance string `json:"instance"` // of the process: a gateway that starts again is another instance
	Reserved bool   `json:"reserved,omitempty"`
}

// entry is one key of the bucket, which is a slot of a PACS.
type entry struct {
	key      string
	revision uint64 // zero: the key was never written, or nothing of it is left
	holder   holder
}

// demand says what a gateway lacks of a PACS.
type demand struct {
	Gateway string `json:"gateway"` // its instance
	Unit    string `json:"unit"`
	Waiting int    `json:"waiting"` // interactive operations
	Held    int    `json:"held"`    // slots
	Batch   bool   `json:"batch,omitempty"`
}

// errChanged reports that a key has another revision than the caller knows.
var errChanged = errors.New("the key has changed")

// store is the bucket and the messages between gateways.
type store interface {
	// follow calls changed for each key, then synced, then changed for each change. It returns when ctx ends or when it cannot go on.
	follow(ctx context.Context, changed func(entry), synced func()) error
	// put writes who has the slot if the key has the revision last. NATS removes it after the TTL.
	put(ctx context.Context, key string, h holder, last uint64, ttl time.Duration) (revision uint64, err error)
	// free frees the slot if the key has the revision last.
	free(ctx context.Context, key string, last uint64) (revision uint64, err error)
	get(ctx context.Context, key string) (entry, error)
	// send sends the demand to the other gateways, which receive it with listen.
	send(d demand) error
	listen(received func(demand)) (stop func(), err error)
	// claim reports whether a running gateway has the name, and else answers for it from now on.
	claim(ctx context.Context, name, instance string) (taken bool, stop func(), err error)
}

// Names at NATS.
const (
	bucket        = "associations"
	subject       = "$KV." + bucket + "."
	demandSubject = bucket + ".demand"
	nameSubject   = bucket + ".name."
)

const (
	// markerTTL is how long NATS keeps the mark that a slot is free again.
	markerTTL = time.Minute
	// followFor is how long the bucket is watched before the watch begins again, so that one that lost its stream ends.
	followFor = time.Minute
	// checkEvery is the time between two checks of the connection.
	checkEvery = 500 * time.Millisecond
	// claimTimeout is how long another gateway with the name has to answer.
	claimTimeout = 300 * time.Millisecond
)

// natsStore is the store at NATS. JetStream's own API of buckets cannot renew the TTL of a key, so slots are written as messages of the
// bucket's stream.
type natsStore struct {
	broker   Broker
	replicas int
}

func (s *natsStore) follow(ctx context.Context, changed func(entry), synced func()) error {
	ctx, cancel := context.WithTimeout(ctx, followFor)
	defer cancel()
	js := s.broker.JetStream()
	kv, err := js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: bucket, Description: "Slots of the associations with PACS that gateways share", History: 1,
			Storage: jetstream.FileStorage, Replicas: s.replicas, LimitMarkerTTL: markerTTL,
		})
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch bucket %s: %w", bucket, err)
	}
	defer func() { _ = watch.Stop() }()
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-check.C:
			if !s.broker.Conn().IsConnected() {
				return errDisconnected
			}
		case update, open := <-watch.Updates():
			switch {
			case !open:
				return errWatchEnded
			case update == nil:
				synced()
			default:
				e := entry{key: update.Key(), revision: update.Revision()}
				if update.Operation() == jetstream.KeyValuePut {
					e.holder = parseHolder(update.Value())
				}
				changed(e)
			}
		}
	}
}

var (
	errWatchEnded   = errors.New("the watch ended")
	errDisconnected = errors.New("there is no connection to NATS")
)

// unknownHolder has a slot whose entry cannot be read: it counts as taken.
const unknownHolder = "?"

func parseHolder(value []byte) holder {
	var h holder
	if json.Unmarshal(value, &h) != nil || h.Gateway == "" {
		return holder{Gateway: unknownHolder}
	}
	return h
}

func (s *natsStore) put(ctx context.Context, key string, h holder, last uint64, ttl time.Duration) (uint64, error) {
	m := nats.NewMsg(subject + key)
	m.Data, _ = json.Marshal(h) // of strings
	m.Header.Set(jetstream.MsgTTLHeader, ttl.String())
	return s.publish(ctx, m, last)
}

func (s *natsStore) free(ctx context.Context, key string, last uint64) (uint64, error) {
	m := nats.NewMsg(subject + key)
	m.Header.Set("KV-Operation", "PURGE")
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	m.Header.Set(jetstream.MsgTTLHeader, markerTTL.String())
	return s.publish(ctx, m, last)
}

func (s *natsStore) publish(ctx context.Context, m *nats.Msg, last uint64) (uint64, error) {
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(last, 10))
	ack, err := s.broker.JetStream().PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return 0, errChanged
	}
	if err != nil {
		return 0, fmt.Errorf("write bucket %s: %w", bucket, err)
	}
	return ack.Sequence, nil
}

func (s *natsStore) get(ctx context.Context, key string) (entry, error) {
	stream, err := s.broker.JetStream().Stream(ctx, "KV_"+bucket)
	if err != nil {
		return entry{}, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	e := entry{key: key}
	m, err := stream.GetLastMsgForSubject(ctx, subject+key)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return e, nil
	case err != nil:
		return entry{}, fmt.Errorf("read bucket %s: %w", bucket, err)
	}
	e.revision = m.Sequence
	if len(m.Data) > 0 {
		e.holder = parseHolder(m.Data)
	}
	return e, nil
}

func (s *natsStore) send(d demand) error {
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.broker.Conn().Publish(demandSubject, data)
}

func (s *natsStore) listen(received func(demand)) (stop func(), err error) {
	sub, err := s.broker.Conn().Subscribe(demandSubject, func(m *nats.Msg) {
		var d demand
		if json.Unmarshal(m.Data, &d) == nil {
			received(d)
		}
	})
	if err != nil {
		return nil, err
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

func (s *natsStore) claim(ctx context.Context, name, instance string) (taken bool, stop func(), err error) {
	conn, at := s.broker.Conn(), nameSubject+token(name)
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	switch answer, err := conn.RequestWithContext(ctx, at, nil); {
	case err == nil:
		return string(answer.Data) != instance, nil, nil
	case !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, context.DeadlineExceeded):
		return false, nil, err
	}
	sub, err := conn.Subscribe(at, func(m *nats.Msg) { _ = m.Respond([]byte(instance)) })
	if err != nil {
		return false, nil, err
	}
	return false, func() { _ = sub.Unsubscribe() }, nil
}

// token returns s as one token of a subject and of a key: other characters than letters, digits and hyphens are replaced by = and their
// hexadecimal code.
func token(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

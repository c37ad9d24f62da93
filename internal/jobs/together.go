package jobs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxTogether is how many messages are published together; JetStream accepts 1,000.
const maxTogether = 500

// putAll publishes messages, each unless its subject has one.
func (s *store) putAll(ctx context.Context, messages []*nats.Msg) error {
	if len(messages) > 1 && s.putTogether(ctx, messages) == nil {
		return nil
	}
	// JetStream refuses all of them if one subject has a message.
	o, err := s.open(ctx)
	if err != nil {
		return err
	}
	pending := make([]jetstream.PubAckFuture, 0, len(messages))
	for _, m := range messages {
		future, err := o.js.PublishMsgAsync(m, jetstream.WithExpectLastSequencePerSubject(0))
		if err != nil {
			return s.lost(err)
		}
		pending = append(pending, future)
	}
	return s.lost(settle(ctx, pending))
}

// putTogether publishes all messages or none, as an atomic batch of JetStream. A server that writes each message to its disk before it
// confirms it does that once.
func (s *store) putTogether(ctx context.Context, messages []*nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	connection, id := s.options.Broker.Conn(), rand.Text()
	for i, original := range messages {
		m := nats.NewMsg(original.Subject)
		m.Data = original.Data
		maps.Copy(m.Header, original.Header)
		m.Header.Set("Nats-Batch-Id", id)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		m.Header.Set("Nats-Expected-Last-Subject-Sequence", "0")
		if i < len(messages)-1 {
			if err := connection.PublishMsg(m); err != nil {
				return err
			}
			continue
		}
		m.Header.Set("Nats-Batch-Commit", "1")
		answer, err := connection.RequestMsgWithContext(ctx, m)
		if err != nil {
			return err
		}
		return committed(answer.Data, len(messages))
	}
	return nil
}

var errNotTogether = errors.New("not all messages were stored together")

// committed returns nil if the answer confirms so many messages.
func committed(answer []byte, messages int) error {
	var ack struct {
		Error *struct{} `json:"error"`
		Count int       `json:"count"`
	}
	if err := json.Unmarshal(answer, &ack); err != nil {
		return err
	}
	if ack.Error != nil || ack.Count != messages {
		return errNotTogether
	}
	return nil
}

// settle waits until the messages are stored, or were refused because they are queued already.
func settle(ctx context.Context, pending []jetstream.PubAckFuture) error {
	var first error
	for _, future := range pending {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			if first == nil && !exists(err) {
				first = err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return first
}

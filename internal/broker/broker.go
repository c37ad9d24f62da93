// Package broker connects the gateway to NATS JetStream, which holds the state of batches and of shared budgets: to a server or
// cluster that several gateways share, or to a server inside the process that keeps its files in a directory, encrypted. It knows
// nothing of what is kept there.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// Settings say which JetStream a Broker uses: that of Servers if there are any, else one of its own with its files in Dir.
type Settings struct {
	Name string // of this gateway, for those who look at the connections of a server

	Servers     []string                     // URLs, nats://host:port or tls://host:port, without credentials
	Credentials func() (*Credentials, error) // called for each connection; nil: the servers want none
	TLS         *tls.Config                  // not nil: connections without TLS are refused

	Dir string // exists, and belongs to this gateway alone
	Key []byte // encrypts the files in Dir; MinKey bytes or more

	// CheckEvery is the time between two checks that JetStream answers; zero is 5 s.
	CheckEvery time.Duration
}

// Broker is a connection to JetStream. It is safe for concurrent use.
type Broker struct {
	conn *nats.Conn
	js   jetstream.JetStream
	own  *embedded // nil: shared
	log  zerolog.Logger

	fault   atomic.Pointer[error] // what the last check found; nil: not checked yet
	recheck chan struct{}
	cancel  context.CancelFunc
	checks  sync.WaitGroup
}

var (
	errDisconnected = errors.New("there is no connection to NATS")
	errNoAnswer     = errors.New("JetStream does not answer")
	errOff          = errors.New("JetStream is off")
)

// checkTimeout limits the wait for the answer to a check.
const checkTimeout = 2 * time.Second

// Open starts JetStream in the process, or connects to the shared one. The own one is ready when Open returns; the error says why
// it cannot start: a *LockedError if another process uses the directory, a *KeyError if its files were encrypted with another key.
// A shared one may be unreachable: then Open succeeds all the same, and the Broker connects, and connects again, in the background
// until Close. ctx limits Open only.
func Open(ctx context.Context, s Settings, log zerolog.Logger) (*Broker, error) {
	b := &Broker{log: log, recheck: make(chan struct{}, 1)}
	var err error
	if len(s.Servers) == 0 {
		if b.own, err = start(&s, log); err != nil {
			return nil, err
		}
		b.conn, err = nats.Connect("", append(b.options(&s), nats.InProcessServer(b.own))...)
	} else {
		b.conn, err = b.connect(ctx, &s)
	}
	if err == nil {
		b.js, err = jetstream.New(b.conn)
	}
	if err != nil {
		return nil, errors.Join(err, b.close(ctx))
	}
	every := s.CheckEvery
	if every <= 0 {
		every = 5 * time.Second
	}
	var checks context.Context
	checks, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	b.check(checks)
	b.checks.Go(func() { b.watch(checks, every) })
	return b, nil
}

// JetStream returns the streams, consumers and buckets.
func (b *Broker) JetStream() jetstream.JetStream { return b.js }

// Conn returns the connection. What is published while it is down fails at once: nothing is sent later than its caller knows.
func (b *Broker) Conn() *nats.Conn { return b.conn }

// Embedded reports whether JetStream runs in this process. Then no other gateway uses it.
func (b *Broker) Embedded() bool { return b.own != nil }

// Err returns nil if JetStream answers, as far as is known: it was asked a few seconds ago at most. Err does not block.
func (b *Broker) Err() error {
	if !b.conn.IsConnected() {
		return errDisconnected
	}
	if fault := b.fault.Load(); fault != nil {
		return *fault
	}
	return errNoAnswer
}

// watch checks whether JetStream answers, every so often and when the connection changes.
func (b *Broker) watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-b.recheck:
		}
		b.check(ctx)
	}
}

func (b *Broker) check(ctx context.Context) {
	before := b.fault.Load()
	err := b.ask(ctx)
	if ctx.Err() != nil {
		return
	}
	b.fault.Store(&err)
	switch {
	case err != nil && (before == nil || *before == nil) && !errors.Is(err, errDisconnected): // a lost connection has a line of its own
		b.log.Error().Str("reason", err.Error()).Msg("JetStream is not available: no batches until it is")
	case err == nil && before != nil && *before != nil:
		b.log.Info().Msg("JetStream is available")
	}
}

// ask reports why JetStream does not answer.
func (b *Broker) ask(ctx context.Context) error {
	if b.own != nil {
		if err := b.own.heal(); err != nil {
			return err
		}
	}
	if !b.conn.IsConnected() {
		return errDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := b.js.AccountInfo(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return errNoAnswer
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return errOff
	}
	return err
}

// Close ends the connection, and the server in the process, which has written everything then. ctx limits the wait for it.
func (b *Broker) Close(ctx context.Context) error {
	b.cancel()
	b.checks.Wait()
	return b.close(ctx)
}

func (b *Broker) close(ctx context.Context) error {
	if b.conn != nil {
		if b.own != nil {
			b.own.settle(ctx, b.conn)
		}
		b.conn.Close()
	}
	if b.own == nil {
		return nil
	}
	return b.own.stop(ctx)
}

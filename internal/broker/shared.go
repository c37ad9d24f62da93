package broker

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// firstRound limits how long Open itself waits for connections.
	firstRound = time.Second
	// dialTimeout limits each later attempt to reach a server.
	dialTimeout = 5 * time.Second
	// reconnectWait is the pause after an attempt at each server.
	reconnectWait = time.Second
	// pingInterval and maxPings find a connection that is dead: after 20 s at the latest.
	pingInterval = 10 * time.Second
	maxPings     = 1
)

// options are those of both kinds of connection.
func (b *Broker) options(s *Settings) []nats.Option {
	return []nats.Option{
		nats.Name(s.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait/2, reconnectWait/2),
		// Otherwise what is published while the connection is down waits in memory and leaves at any later time.
		nats.ReconnectBufSize(-1),
		nats.PermissionErrOnSubscribe(true),
		nats.ReconnectHandler(func(*nats.Conn) { b.checkSoon() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if !errors.Is(err, nats.ErrConnectionClosed) {
				b.log.Warn().Str("reason", err.Error()).Msg("NATS reports an error")
			}
		}),
	}
}

// connect connects to the shared servers, in the background if that does not succeed at once.
func (b *Broker) connect(ctx context.Context, s *Settings) (*nats.Conn, error) {
	failed := make(chan struct{}, 1) // holds one while the failure has been logged and there is no connection
	dial := &dialer{first: firstRound}
	options := append(b.options(s),
		nats.SetCustomDialer(dial),
		nats.Timeout(dialTimeout),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(), // the right credentials may come later, at either end
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.ConnectHandler(func(c *nats.Conn) { b.connected(c, failed) }),
		nats.ReconnectHandler(func(c *nats.Conn) { b.connected(c, failed) }),
		nats.DisconnectErrHandler(func(c *nats.Conn, err error) {
			if c.IsClosed() { // by Close
				return
			}
			event := b.log.Warn()
			if err != nil {
				event = event.Str("reason", err.Error())
			}
			event.Msg("the connection to NATS is lost")
			b.checkSoon()
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			select {
			case failed <- struct{}{}:
				b.log.Warn().Str("reason", err.Error()).Msg("cannot connect to NATS, trying again")
			default: // once is enough
			}
		}),
	)
	if s.TLS != nil {
		options = append(options, nats.Secure(s.TLS))
	}
	if s.Credentials != nil {
		credentials, err := s.Credentials()
		if err != nil {
			return nil, err
		}
		options = append(options, credentials.options(s.Credentials)...)
	}
	dial.ctx, dial.until = ctx, time.Now().Add(firstRound)
	return nats.Connect(strings.Join(s.Servers, ","), options...)
}

func (b *Broker) connected(c *nats.Conn, failed <-chan struct{}) {
	select {
	case <-failed:
	default:
	}
	b.log.Info().Str("server", c.ConnectedServerName()).Str("cluster", c.ConnectedClusterName()).Msg("connected to NATS")
	b.checkSoon()
}

// checkSoon checks whether JetStream answers without waiting for the next time.
func (b *Broker) checkSoon() {
	select {
	case b.recheck <- struct{}{}:
	default:
	}
}

// dialer dials with a limit for all of the first round together: the gateway starts without NATS too, and does not wait for it long.
type dialer struct {
	ctx   context.Context //nolint:containedctx // nats.Connect takes none.
	first time.Duration
	until time.Time
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	now := time.Now()
	if now.After(d.until) {
		return (&net.Dialer{Timeout: dialTimeout}).Dial(network, address)
	}
	ctx, cancel := context.WithDeadline(d.ctx, d.until)
	defer cancel()
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

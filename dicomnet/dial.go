package dicomnet

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"dicom-qr-gateway/dicomnet/part10"
	"dicom-qr-gateway/dicomnet/pdu"
)

// Dial opens an association to address, a host:port: it connects, performs the TLS handshake if
// cfg.TLS is set, and negotiates (PS3.8 section 7.1). It returns as soon as ctx is done. After Dial
// has returned, ctx no longer affects the association.
//
// Errors are *OpError, which names the step. The cause is *ConfigError (nothing was dialled),
// *ConnectError, *TLSError, *RejectError, *AbortError, *NoContextError if the peer accepted none of
// cfg.Contexts, *ProtocolError, *TimeoutError, an error that matches ErrConnectionLost, or the
// cause of ctx.
func Dial(ctx context.Context, address string, cfg Config) (*Association, error) {
	if err := cfg.check(); err != nil {
		return nil, opError(StepAssociate, err)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	start := time.Now()
	conn, err := connect(ctx, address, &cfg)
	if err != nil {
		cfg.Trace.ended(ctx, Summary{
			CalledAETitle: cfg.CalledAETitle, CallingAETitle: cfg.CallingAETitle, Remote: address,
			Duration: time.Since(start), Outcome: "failed", Err: err,
		})
		return nil, err
	}
	a := newAssociation(ctx, address, conn, cfg, start)
	if err := a.negotiate(ctx); err != nil {
		a.finish()
		if _, isTLS := errors.AsType[*TLSError](err); isTLS {
			return nil, opError(StepTLS, err)
		}
		return nil, opError(StepAssociate, err)
	}
	a.established = true
	a.cfg.DialContext = nil // frees what the function refers to, such as the operation that opened the association
	if cfg.Trace != nil && cfg.Trace.Established != nil {
		cfg.Trace.Established(a.ctx, a.summary())
	}
	return a, nil
}

// connect opens the transport connection and performs the TLS handshake on it.
func connect(ctx context.Context, address string, cfg *Config) (net.Conn, error) {
	dial := cfg.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	connectCtx := ctx
	if cfg.Timeouts.Connection > 0 {
		var cancel context.CancelFunc
		connectCtx, cancel = context.WithTimeoutCause(ctx, cfg.Timeouts.Connection, &TimeoutError{Timer: TimerConnection})
		defer cancel()
	}
	transport, err := dial(connectCtx, "tcp", address)
	if err != nil {
		return nil, &OpError{StepConnect, connectFailure(ctx, connectCtx, err, func(err error) error { return &ConnectError{err} })}
	}
	cfg.Trace.connected(ctx, transport.RemoteAddr())
	if cfg.TLS == nil {
		return transport, nil
	}
	c := tls.Client(transport, tlsConfig(cfg.TLS, address))
	if err := c.HandshakeContext(connectCtx); err != nil {
		_ = transport.Close()
		return nil, &OpError{StepTLS, connectFailure(ctx, connectCtx, err, func(err error) error { return &TLSError{err} })}
	}
	cfg.Trace.secured(ctx, c.ConnectionState())
	return c, nil
}

// connectFailure returns the error to report for err: the cause of ctx if ctx is done, a
// *TimeoutError if the connection timeout expired, otherwise wrap(err).
func connectFailure(ctx, connectCtx context.Context, err error, wrap func(error) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var timeout net.Error
	if connectCtx.Err() != nil || (errors.As(err, &timeout) && timeout.Timeout()) {
		return &TimeoutError{Timer: TimerConnection}
	}
	return wrap(err)
}

// tlsConfig returns c with the host of address as the server name, unless c has one or skips
// verification.
func tlsConfig(c *tls.Config, address string) *tls.Config {
	if c.ServerName != "" || c.InsecureSkipVerify {
		return c
	}
	c = c.Clone()
	if host, _, err := net.SplitHostPort(address); err == nil {
		c.ServerName = host
	}
	return c
}

// negotiate sends A-ASSOCIATE-RQ and evaluates the answer.
func (a *Association) negotiate(ctx context.Context) error {
	a.upper.state = sta4
	stop := a.upper.link.watch(ctx)
	defer stop()
	rq := &pdu.AssociateRQ{
		CalledAETitle:  a.cfg.CalledAETitle,
		CallingAETitle: a.cfg.CallingAETitle,
		User:           userInformation(a.cfg.Limits.MaxPDULength),
	}
	for i, pc := range a.cfg.Contexts {
		proposed := pdu.ContextRQ{ID: contextID(i), AbstractSyntax: pc.AbstractSyntax}
		for _, ts := range pc.TransferSyntaxes {
			proposed.TransferSyntaxes = append(proposed.TransferSyntaxes, string(ts))
		}
		rq.Contexts = append(rq.Contexts, proposed)
	}
	for _, role := range a.cfg.Roles {
		rq.User.Roles = append(rq.User.Roles, pdu.RoleSelection(role))
	}
	if err := a.upper.send(evtConnected, rq); err != nil {
		return a.fail(ctx, err)
	}
	until := deadlineAfter(a.cfg.Timeouts.ACSE, TimerACSE)
	ind, err := a.upper.receive(&until)
	if err != nil {
		return a.fail(ctx, err)
	}
	return a.accept(ind.pdu.(*pdu.AssociateAC))
}

// contextID returns the identifier of the i-th proposed presentation context.
func contextID(i int) byte { return byte(2*i + 1) }

func userInformation(maxLength uint32) pdu.UserInformation {
	return pdu.UserInformation{
		MaxLength:                 maxLength,
		ImplementationClassUID:    part10.ImplementationClassUID,
		ImplementationVersionName: part10.ImplementationVersionName,
	}
}

// accept evaluates A-ASSOCIATE-AC. It aborts if no presentation context was accepted.
func (a *Association) accept(ac *pdu.AssociateAC) error {
	a.peer = peerInfo(&ac.User)
	if n := ac.User.MaxLength; n != 0 && n < pdu.MinMaxLength {
		return a.upper.fail(pdu.ReasonInvalidParameter, "maximum length is too short for a fragment")
	}
	a.maxLength = a.cfg.Limits.MaxPDULength
	if n := ac.User.MaxLength; n != 0 {
		a.maxLength = min(n, a.maxLength)
	}
	usable := false
	a.contexts = make([]NegotiatedContext, len(a.cfg.Contexts))
	for i, pc := range a.cfg.Contexts {
		a.contexts[i] = negotiatedContext(contextID(i), pc, ac.Contexts)
		a.contexts[i].SCP = a.contexts[i].Result == ContextAccepted && agreedSCP(a.cfg.Roles, ac.User.Roles, pc.AbstractSyntax)
		usable = usable || a.contexts[i].Result == ContextAccepted
	}
	if !usable {
		err := &NoContextError{Contexts: a.contexts}
		a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
		return err
	}
	return nil
}

// negotiatedContext returns the answer to one proposed presentation context. It counts as accepted
// only with exactly one transfer syntax, which must have been proposed for it. A context that is
// not answered counts as rejected. Answers to contexts that were not proposed are ignored, and of
// two answers the first counts.
func negotiatedContext(id byte, pc Context, answers []pdu.ContextAC) NegotiatedContext {
	n := NegotiatedContext{ID: id, AbstractSyntax: pc.AbstractSyntax, Result: ContextNoReason}
	for _, answer := range answers {
		if answer.ID != id {
			continue
		}
		if n.Result = ContextResult(answer.Result); n.Result != ContextAccepted {
			return n
		}
		n.Result = ContextTransferSyntaxesNotSupported
		for _, ts := range pc.TransferSyntaxes {
			if len(answer.TransferSyntaxes) == 1 && answer.TransferSyntaxes[0] == string(ts) {
				n.Result, n.TransferSyntax = ContextAccepted, ts
			}
		}
		return n
	}
	return n
}

func peerInfo(u *pdu.UserInformation) PeerInfo {
	return PeerInfo{
		ImplementationClassUID:    sanitise([]byte(u.ImplementationClassUID)),
		ImplementationVersionName: sanitise([]byte(u.ImplementationVersionName)),
		MaxPDULength:              u.MaxLength,
	}
}

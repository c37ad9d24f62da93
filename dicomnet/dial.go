package dicomnet

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"dicom-qr-gateway/dicomnet/pdu"
)

// What this implementation says of itself while negotiating (PS3.7 sections
// D.3.3.2 and D.3.3.3). The UID is derived from a UUID (PS3.5 annex B.2).
const (
	ImplementationClassUID    = "2.25.206416139246915317604928330127446101543"
	ImplementationVersionName = "DICOM_QR_GW_1"
)

// Dial opens an association to address, a host:port: it connects, does the TLS
// handshake where cfg asks for one, and negotiates (PS3.8 section 7.1). A done
// context ends it at any point; once Dial has returned, ctx has no more bearing
// on the association.
//
// Errors are *OpError with the step: *ConfigError before anything is dialled,
// *ConnectError, *TLSError, *RejectError, *AbortError, *NoContextError where
// none of cfg.Contexts can be used, *ProtocolError, *TimeoutError, or the
// context's own.
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
	a.cfg.DialContext = nil // which may hold on to the operation that the association was opened for
	if cfg.Trace != nil && cfg.Trace.Established != nil {
		cfg.Trace.Established(a.ctx, a.summary())
	}
	return a, nil
}

// connect gives the connection that carries PDUs.
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

// connectCause tells the caller's done context and our own timeout from a fault
// of the peer.
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

func contextID(i int) byte { return byte(2*i + 1) }

func userInformation(maxLength uint32) pdu.UserInformation {
	return pdu.UserInformation{
		MaxLength:                 maxLength,
		ImplementationClassUID:    ImplementationClassUID,
		ImplementationVersionName: ImplementationVersionName,
	}
}

// accept takes what the acceptor said. A context counts as accepted only with
// exactly one transfer syntax that was proposed for it; one not answered counts
// as rejected, one never proposed is not looked at, and of two answers the first
// stands.
func (a *Association) accept(ac *pdu.AssociateAC) error {
	a.peer = peerInfo(&ac.User)
	if n := ac.User.MaxLength; n != 0 && n < pdu.MinMaxLength {
		return a.upper.fail(pdu.ReasonInvalidParameter, "maximum length leaves no room for a fragment")
	}
	a.maxLength = a.cfg.Limits.MaxPDULength
	if n := ac.User.MaxLength; n != 0 {
		a.maxLength = min(n, a.maxLength)
	}
	usable := false
	a.contexts = make([]NegotiatedContext, len(a.cfg.Contexts))
	for i, pc := range a.cfg.Contexts {
		a.contexts[i] = negotiatedContext(contextID(i), pc, ac.Contexts)
		usable = usable || a.contexts[i].Result == ContextAccepted
	}
	if !usable {
		err := &NoContextError{Contexts: a.contexts}
		a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
		return err
	}
	return nil
}

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

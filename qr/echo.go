package qr

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"time"
	"unicode"

	"dicom-qr-gateway/dicomnet"
)

// StepResolve is the step of name resolution, which dicomnet counts as part of connecting.
const StepResolve dicomnet.Step = "resolve"

// EchoReport is the way to a peer, step by step: resolve, connect, tls, associate, echo. Steps that were not reached are
// not in it; tls is skipped where the peer is none of TLS.
type EchoReport struct {
	Steps []EchoStep
	// Err is why the last step failed, as a *dicomnet.OpError with that step around the same causes as Query's; nil where
	// every step passed. Its text holds no address and no name of a certificate.
	Err error
}

// EchoStatus is the outcome of a step.
type EchoStatus string

// The outcomes.
const (
	EchoOK      EchoStatus = "ok"
	EchoFailed  EchoStatus = "failed"
	EchoSkipped EchoStatus = "skipped"
)

// EchoStep is one step with what was learnt at it, be it that it failed; what was not learnt is zero.
type EchoStep struct {
	Step     dicomnet.Step
	Status   EchoStatus
	Duration time.Duration
	// Hint says in plain words what to check: always where the step failed, and of associate also where the peer accepted
	// C-ECHO without C-FIND or C-MOVE. It holds no address and nothing that the peer said.
	Hint string

	Addresses []string // resolve: those of the peer, in the order in which they are tried
	Address   string   // connect: address and port of the connection
	// tls: how the connection is secured, and by the certificate of whom. The certificate of a peer that is not trusted is
	// there too, for that is where it is needed.
	TLSVersion, CipherSuite string
	Certificate             *Certificate
	Peer                    *dicomnet.PeerInfo // associate: nil where the peer did not answer with A-ASSOCIATE-AC
	Contexts                []EchoContext      // associate: the answers for C-ECHO, C-FIND and C-MOVE
}

// Certificate is what a peer's certificate says of itself, made printable.
type Certificate struct {
	Subject, Issuer string
	Expires         time.Time
}

// EchoContext is the answer to the presentation context of one service.
type EchoContext struct {
	Service string // C-ECHO, C-FIND or C-MOVE
	dicomnet.NegotiatedContext
}

// echoServices are proposed together, C-FIND and C-MOVE in the Study Root model.
var echoServices = []struct{ name, sopClass string }{
	{"C-ECHO", dicomnet.VerificationSOPClass}, {"C-FIND", dicomnet.StudyRoot.Find}, {"C-MOVE", dicomnet.StudyRoot.Move},
}

// Echo goes the way that Query and Retrieve go, as far as C-ECHO, and tells each step of it. It always opens an association
// of its own, whatever Options.AssociationIdle has kept, and leaves none: what is wanted is the whole way. Name resolution,
// connect and TLS share the connection timeout. A peer that rejects the association for now is not asked again: what is wanted is what
// it says.
func (g *Gateway) Echo(ctx context.Context, p Peer) *EchoReport {
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	d := &doctor{session: session{gateway: g, peer: p}, report: &EchoReport{}}
	defer d.end(ctx)
	if err := d.associate(ctx); err != nil {
		d.failed(ctx, err)
		return d.report
	}
	d.begin(dicomnet.StepEcho)
	during, ended := d.observe(ctx, dicomnet.StepEcho)
	if err := d.assoc.Echo(during); err != nil {
		d.failed(ctx, err)
		ended(d.report.Err)
		return d.report
	}
	ended(nil)
	d.passed()
	return d.report
}

// doctor is a session that notes what happens on it.
type doctor struct {
	session
	report *EchoReport
	began  time.Time // the step in hand
	// told is what the peer said of itself on an attempt that failed.
	told dicomnet.PeerInfo
}

func (d *doctor) begin(step dicomnet.Step) {
	d.report.Steps = append(d.report.Steps, EchoStep{Step: step})
	d.began = time.Now()
}

// step is the one in hand.
func (d *doctor) step() *EchoStep { return &d.report.Steps[len(d.report.Steps)-1] }

func (d *doctor) passed() { d.ends(EchoOK) }

func (d *doctor) ends(status EchoStatus) {
	d.step().Status = status
	d.step().Duration += time.Since(d.began)
}

// failed ends the step in hand and the report with the cause.
func (d *doctor) failed(ctx context.Context, err error) {
	err = failure(ctx, dicomnet.StepAssociate, err)
	d.report.Err = err
	if len(d.report.Steps) == 0 {
		return // what was asked for cannot be begun
	}
	op, _ := errors.AsType[*dicomnet.OpError](err)
	if last := len(d.report.Steps) - 1; op.Step == dicomnet.StepTLS && d.report.Steps[last].Step == dicomnet.StepAssociate {
		// TLS 1.3 tells of a refused client certificate only after the handshake: tls did not pass after all.
		d.report.Steps = d.report.Steps[:last]
	}
	s := d.step()
	d.ends(EchoFailed)
	s.Hint = hintFor(s.Step, &fault{
		err: op.Err, tls: d.peer.TLS, find: d.assoc != nil && d.assoc.Accepts(dicomnet.StudyRoot.Find),
	})
	switch s.Step {
	case dicomnet.StepTLS:
		if unverified, ok := errors.AsType[*tls.CertificateVerificationError](op.Err); ok {
			s.Certificate = certificateOf(unverified.UnverifiedCertificates)
		}
	case dicomnet.StepAssociate:
		d.answered(d.told)
		if none, ok := errors.AsType[*dicomnet.NoContextError](op.Err); ok {
			s.Contexts = services(none.Contexts)
		}
	}
	d.report.Err = &dicomnet.OpError{Step: s.Step, Err: op.Err}
}

// associate takes all steps but the last.
func (d *doctor) associate(ctx context.Context) error {
	var sopClasses []string
	for _, service := range echoServices {
		sopClasses = append(sopClasses, service.sopClass)
	}
	if err := d.check(); err != nil {
		return err
	}
	if err := d.reach(ctx); err != nil {
		return err
	}
	cfg, address := d.config(sopClasses...)
	cfg.DialContext = d.dial
	trace := dicomnet.Trace{}
	if cfg.Trace != nil {
		trace = *cfg.Trace
	}
	secured, ended := trace.Secured, trace.Ended
	trace.Secured = func(ctx context.Context, state tls.ConnectionState) {
		d.secured(state)
		if secured != nil {
			secured(ctx, state)
		}
	}
	trace.Ended = func(ctx context.Context, s dicomnet.Summary) {
		d.told = s.Peer
		if ended != nil {
			ended(ctx, s)
		}
	}
	cfg.Trace = &trace
	assoc, err := d.negotiate(ctx, address, cfg)
	if err != nil {
		return err
	}
	d.assoc = assoc
	d.answered(assoc.Peer())
	d.step().Contexts = services(assoc.Contexts())
	if assoc.Accepts(dicomnet.VerificationSOPClass) {
		d.step().Hint = withoutServices(assoc)
	}
	d.passed()
	return nil
}

// reach goes as far as a place at the peer; what waiting for one takes belongs to no step.
func (d *doctor) reach(ctx context.Context) error {
	d.begin(StepResolve)
	if err := d.resolve(ctx); err != nil {
		return err
	}
	for _, address := range d.addresses {
		d.step().Addresses = append(d.step().Addresses, address.Addr().String())
	}
	d.passed()
	err := d.queue(ctx)
	d.begin(dicomnet.StepConnect)
	return err
}

func (d *doctor) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := d.connect(ctx)
	if err == nil {
		d.connected(d.place.address.String())
	}
	return conn, err
}

// connected is called when there is a transport connection.
func (d *doctor) connected(address string) {
	d.step().Address = address
	d.passed()
	d.begin(dicomnet.StepTLS)
	if !d.peer.TLS {
		d.step().Status = EchoSkipped
		d.begin(dicomnet.StepAssociate)
	}
}

func (d *doctor) secured(state tls.ConnectionState) {
	s := d.step()
	s.TLSVersion, s.CipherSuite = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	s.Certificate = certificateOf(state.PeerCertificates)
	d.passed()
	d.begin(dicomnet.StepAssociate)
}

// answered notes what the peer said of itself, if it did.
func (d *doctor) answered(peer dicomnet.PeerInfo) {
	if peer != (dicomnet.PeerInfo{}) {
		d.step().Peer = &peer
	}
}

func services(contexts []dicomnet.NegotiatedContext) []EchoContext {
	answers := make([]EchoContext, 0, len(contexts))
	for i, pc := range contexts {
		answers = append(answers, EchoContext{Service: echoServices[i].name, NegotiatedContext: pc})
	}
	return answers
}

// certificateOf is the peer's own of a chain, which begins with it; nil where there is none.
func certificateOf(chain []*x509.Certificate) *Certificate {
	if len(chain) == 0 {
		return nil
	}
	own := chain[0]
	return &Certificate{Subject: printable(own.Subject.String()), Issuer: printable(own.Issuer.String()), Expires: own.NotAfter.UTC()}
}

// maxName bounds what is repeated of a name that nobody has vouched for.
const maxName = 256

func printable(s string) string {
	clean := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, s))
	return string(clean[:min(len(clean), maxName)])
}

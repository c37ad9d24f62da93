package qr

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
)

// EchoReport describes the way to a peer step by step: resolve, connect, tls, associate, echo. Steps that were not reached are
// missing; tls is skipped if the peer has TLS not set.
type EchoReport struct {
	Steps []EchoStep
	// Err is why the last step failed, as a *dicomnet.OpError with that step around the same causes as those of Query; nil if
	// every step passed. Its text holds no address and no name of a certificate.
	Err   error
	Local string // address of the gateway on the connection; "" if it is not known
	// Retrieval and Profile are what Examine found, nil if it did not look.
	Retrieval *RetrievalCheck
	// Profile is what C-FINDs without a match have found. A PACS that accepts a key may still ignore it: only a refusal is certain.
	Profile *Profile
}

// EchoStatus is the outcome of a step.
type EchoStatus string

// The outcomes.
const (
	EchoOK      EchoStatus = "ok"
	EchoFailed  EchoStatus = "failed"
	EchoSkipped EchoStatus = "skipped"
)

// EchoStep is the result of one step, whether it passed or failed; unknown fields are zero.
type EchoStep struct {
	Step     dicomnet.Step
	Status   EchoStatus
	Duration time.Duration
	Err      error // why the step failed, without the step itself

	Addresses []string // resolve: those of the peer, in the order in which they are tried
	Address   string   // connect: address and port of the connection
	// tls: the protocol version, the cipher suite and the peer's certificate. The certificate of a peer that is not trusted is
	// included, since it shows what is wrong.
	TLSVersion, CipherSuite string
	Certificate             *Certificate
	Peer                    *dicomnet.PeerInfo // associate: nil if the peer did not answer with A-ASSOCIATE-AC
	Contexts                []EchoContext      // associate: the answers for C-ECHO, C-FIND and C-MOVE
}

// Accepted reports whether the peer accepted a service, "C-ECHO", "C-FIND" or "C-MOVE", at this step, which is associate.
func (s *EchoStep) Accepted(service string) bool {
	for i := range s.Contexts {
		if c := &s.Contexts[i]; c.Service == service {
			return c.Result == dicomnet.ContextAccepted
		}
	}
	return false
}

// Certificate holds the names and the expiry of a peer's certificate, in printable characters.
type Certificate struct {
	Subject, Issuer string
	Expires         time.Time
}

// EchoContext is the answer to the presentation context of one service.
type EchoContext struct {
	Service string // C-ECHO, C-FIND or C-MOVE
	dicomnet.NegotiatedContext
}

// echoServices are proposed together, C-FIND and C-MOVE in the model of the peer.
var echoServices = []struct {
	name     string
	sopClass func(dicomnet.Model) string
}{
	{"C-ECHO", func(dicomnet.Model) string { return dicomnet.VerificationSOPClass }},
	{"C-FIND", func(m dicomnet.Model) string { return m.Find }},
	{"C-MOVE", func(m dicomnet.Model) string { return m.Move }},
}

// Echo opens an association with the peer as Query and Retrieve do, sends a C-ECHO and reports each step. It always opens an
// association of its own and keeps none, whatever pool.Options.AssociationIdle is, and does not retry a rejection. Name
// resolution, connect and TLS share the connection timeout.
func (g *Gateway) Echo(ctx context.Context, c Call, p Peer) *EchoReport {
	ctx, cancel := g.Bounded(ctx)
	defer cancel()
	d := &echoOperation{operation: g.begin(c, p), tls: p.TLS, report: &EchoReport{}}
	defer d.End(ctx)
	d.run(ctx)
	return d.report
}

// echoOperation is an operation that reports its steps. It is the pool.Probe of its session.
type echoOperation struct {
	*operation
	tls    bool // the peer is called with TLS
	report *EchoReport
	began  time.Time // of the current step
	// refused is what the peer said of itself on an attempt that failed.
	refused dicomnet.PeerInfo
}

// run takes every step.
func (d *echoOperation) run(ctx context.Context) {
	if err := d.associate(ctx); err != nil {
		d.fail(ctx, err)
		return
	}
	d.begin(dicomnet.StepEcho)
	during, end := d.Observe(ctx, dicomnet.StepEcho)
	if err := d.Association().Echo(during); err != nil {
		d.fail(ctx, err)
		end(d.report.Err)
		return
	}
	end(nil)
	d.end(EchoOK)
}

var _ pool.Probe = (*echoOperation)(nil)

// associate takes all steps except the last.
func (d *echoOperation) associate(ctx context.Context) error {
	var sopClasses []string
	for _, service := range echoServices {
		sopClasses = append(sopClasses, service.sopClass(d.preferred))
	}
	if err := d.Probe(ctx, d, sopClasses...); err != nil {
		return err
	}
	assoc := d.Association()
	d.setPeer(assoc.Peer())
	d.step().Contexts = services(assoc.Contexts())
	d.end(EchoOK)
	return nil
}

func (d *echoOperation) begin(step dicomnet.Step) {
	d.report.Steps = append(d.report.Steps, EchoStep{Step: step})
	d.began = time.Now()
}

// step returns the current step.
func (d *echoOperation) step() *EchoStep { return &d.report.Steps[len(d.report.Steps)-1] }

// end ends the current step.
func (d *echoOperation) end(status EchoStatus) {
	d.step().Status = status
	d.step().Duration += time.Since(d.began)
}

// fail ends the current step and the report with the cause.
func (d *echoOperation) fail(ctx context.Context, err error) {
	err = pool.Failure(ctx, dicomnet.StepAssociate, err)
	d.report.Err = err
	if len(d.report.Steps) == 0 {
		return // the request is invalid, and no step began
	}
	op, _ := errors.AsType[*dicomnet.OpError](err)
	if last := len(d.report.Steps) - 1; op.Step == dicomnet.StepTLS && d.report.Steps[last].Step == dicomnet.StepAssociate {
		// TLS 1.3 reports a refused client certificate only after the handshake: tls did not pass after all.
		d.report.Steps = d.report.Steps[:last]
	}
	s := d.step()
	d.end(EchoFailed)
	s.Err = op.Err
	switch s.Step {
	case dicomnet.StepTLS:
		if unverified, ok := errors.AsType[*tls.CertificateVerificationError](op.Err); ok {
			s.Certificate = certificateOf(unverified.UnverifiedCertificates)
		}
	case dicomnet.StepAssociate:
		d.setPeer(d.refused)
		if none, ok := errors.AsType[*dicomnet.NoContextError](op.Err); ok {
			s.Contexts = services(none.Contexts)
		}
	}
	d.report.Err = &dicomnet.OpError{Step: s.Step, Err: op.Err}
}

// Resolving begins the first step.
func (d *echoOperation) Resolving() { d.begin(pool.StepResolve) }

// Resolved ends name resolution. The wait for a slot, which follows, belongs to no step.
func (d *echoOperation) Resolved(addresses []netip.AddrPort) {
	for _, address := range addresses {
		d.step().Addresses = append(d.step().Addresses, address.Addr().String())
	}
	d.end(EchoOK)
}

// Connecting begins the step connect.
func (d *echoOperation) Connecting() { d.begin(dicomnet.StepConnect) }

// Connected ends the step connect and begins the next.
func (d *echoOperation) Connected(address, local netip.AddrPort) {
	if local.IsValid() {
		d.report.Local = local.Addr().Unmap().String()
	}
	d.step().Address = address.String()
	d.end(EchoOK)
	d.begin(dicomnet.StepTLS)
	if !d.tls {
		d.step().Status = EchoSkipped
		d.begin(dicomnet.StepAssociate)
	}
}

// Secured ends the step tls and begins the next.
func (d *echoOperation) Secured(state tls.ConnectionState) {
	s := d.step()
	s.TLSVersion, s.CipherSuite = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	s.Certificate = certificateOf(state.PeerCertificates)
	d.end(EchoOK)
	d.begin(dicomnet.StepAssociate)
}

// Failed keeps what the peer said of itself.
func (d *echoOperation) Failed(peer dicomnet.PeerInfo) { d.refused = peer }

// setPeer adds to the current step what the peer said of itself, if anything.
func (d *echoOperation) setPeer(peer dicomnet.PeerInfo) {
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

// certificateOf returns the peer's own certificate, the first of the chain; nil if the chain is empty.
func certificateOf(chain []*x509.Certificate) *Certificate {
	if len(chain) == 0 {
		return nil
	}
	own := chain[0]
	return &Certificate{Subject: printable(own.Subject.String()), Issuer: printable(own.Issuer.String()), Expires: own.NotAfter.UTC()}
}

// maxName bounds a name from a certificate, which nothing has verified.
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

package storescp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/storescp"
)

// connect opens a connection without an association.
func (s *site) connect(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// answer returns the type of the PDU with which the SCP answers, or 0 if it closes the connection without one.
func answer(t *testing.T, conn net.Conn) byte {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var b [1]byte
	if _, err := conn.Read(b[:]); err != nil {
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			t.Error("the connection is still open")
		}
		return 0
	}
	return b[0]
}

func TestPeersThatAreNoPACSAreDisconnectedAndDisturbNobody(t *testing.T) {
	s := listen(t, func(o *storescp.Options) { o.Timeouts.ACSE = 50 * time.Millisecond })
	_, got := s.lease(t, pacs("a", "PACSA"), "1.1")
	assoc := s.mustDial(t, "PACSA", "GATEWAY")
	for name, bytes := range map[string]string{
		"silence":        "",
		"half a request": "\x01\x00\x00\x00\x01\x00\x00\x01",
		"TLS hello":      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"HTTP":           "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"a huge PDU":     "\x01\x00\xff\xff\xff\xff",
	} {
		conn := s.connect(t)
		if _, err := io.WriteString(conn, bytes); err != nil {
			t.Error(err)
		}
		if pdu := answer(t, conn); pdu != 0 && pdu != 7 { // A-ABORT
			t.Errorf("%s: answered with a PDU of type %d", name, pdu)
		}
	}
	if status := send(t, assoc, image{study: "1.1", series: "1", instance: "2"}); status != 0 || got.count() != 1 {
		t.Errorf("status %v, %d instances", status, got.count())
	}
}

func TestConnectionsBeyondTheLimitAreClosed(t *testing.T) {
	s := listen(t, func(o *storescp.Options) { o.MaxAssociations = 4 })
	var open []net.Conn
	for range 12 { // three quarters of four times four
		open = append(open, s.connect(t))
	}
	s.awaitConnections(t, 12)
	if pdu := answer(t, s.connect(t)); pdu != 0 {
		t.Errorf("PDU of type %d", pdu)
	}
	if _, err := s.dialFrom(t.Context(), "127.0.0.1", "PACSA", "GATEWAY"); err == nil {
		t.Error("an association of the same address was accepted")
	}
	_ = open[0].Close()
	s.awaitConnections(t, 11)
	s.mustDial(t, "PACSA", "GATEWAY")
}

// awaitConnections waits until the SCP has so many connections.
func (s *site) awaitConnections(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); s.Connections() != n; {
		if time.Now().After(end) {
			t.Fatalf("%d connections, want %d", s.Connections(), n)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestPresentationContextsAreAcceptedInOneTransferSyntaxEach(t *testing.T) {
	const (
		ex, im, be, df = dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian, dataset.ExplicitVRBigEndian, dataset.DeflatedExplicitVRLittleEndian
		lossless       = dataset.TransferSyntax("1.2.840.10008.1.2.4.70")
		private        = dataset.TransferSyntax("1.2.840.113619.5.2")
	)
	s := listen(t, nil)
	tests := []struct {
		class                            string
		proposed                         []dataset.TransferSyntax
		chosen, uncompressed, compressed dataset.TransferSyntax
	}{
		{ctImage, []dataset.TransferSyntax{ex, be, im}, ex, ex, ex},
		{ctImage, []dataset.TransferSyntax{im, be}, im, im, im},
		{ctImage, []dataset.TransferSyntax{df, im, ex, be}, ex, ex, ex},
		{ctImage, []dataset.TransferSyntax{be}, be, be, be},
		{ctImage, []dataset.TransferSyntax{df}, df, df, df},
		{ctImage, []dataset.TransferSyntax{lossless}, lossless, "", lossless},
		{ctImage, []dataset.TransferSyntax{lossless, im}, im, im, lossless},
		{ctImage, []dataset.TransferSyntax{be, lossless}, lossless, be, lossless},
		{ctImage, []dataset.TransferSyntax{lossless, dataset.JPEGBaseline}, lossless, "", lossless},
		{ctImage, []dataset.TransferSyntax{private}, "", "", ""},
		{"1.3.46.670589.11.0.0.12.1", []dataset.TransferSyntax{ex}, ex, ex, ex}, // a private SOP class
		{"1.2.840.10008.5.1.4.34.7", []dataset.TransferSyntax{ex}, ex, ex, ex},
		{"1.2.840.10008.5.1.4.38.1", []dataset.TransferSyntax{ex}, "", "", ""}, // a hanging protocol is part of no study
	}
	var contexts []dicomnet.Context
	for _, test := range tests {
		contexts = append(contexts, dicomnet.Context{AbstractSyntax: test.class, TransferSyntaxes: test.proposed})
	}
	compare := func(want func(int) dataset.TransferSyntax) {
		t.Helper()
		for i, pc := range s.mustDial(t, "PACSA", "GATEWAY", contexts...).Contexts() {
			if pc.TransferSyntax != want(i) {
				t.Errorf("%s in %v: %q (%v), want %q", pc.AbstractSyntax, tests[i].proposed, pc.TransferSyntax, pc.Result, want(i))
			}
		}
	}
	compare(func(i int) dataset.TransferSyntax { return tests[i].chosen })
	with := func(p storescp.Preference, want func(int) dataset.TransferSyntax) {
		t.Helper()
		l, err := s.Lease(t.Context(), storescp.Expectation{Peer: pacs("a", "PACSA"), StudyInstanceUID: "1", Syntax: p, Receive: newReceived().receive})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Release()
		defer l.Complete()
		compare(want)
		if l.DeclinedCompressed() != (p == storescp.UncompressedOnly) {
			t.Errorf("declined compressed ones: %v", l.DeclinedCompressed())
		}
	}
	with(storescp.UncompressedOnly, func(i int) dataset.TransferSyntax { return tests[i].uncompressed })
	with(storescp.CompressedFirst, func(i int) dataset.TransferSyntax { return tests[i].compressed })
}

func TestARequestWithAllPresentationContextsIsAnswered(t *testing.T) {
	s := listen(t, nil)
	var contexts []dicomnet.Context
	for i := range 128 {
		contexts = append(contexts, dicomnet.Context{
			AbstractSyntax: fmt.Sprintf("1.2.840.10008.5.1.4.1.1.%d", i), TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian},
		})
	}
	for _, pc := range s.mustDial(t, "PACSA", "GATEWAY", contexts...).Contexts() {
		if pc.Result != dicomnet.ContextAccepted {
			t.Errorf("%s: %v", pc.AbstractSyntax, pc.Result)
		}
	}
}

func TestThePACSIsKnownByTheAddressesOfItsName(t *testing.T) {
	var lookups atomic.Int32
	addresses := atomic.Pointer[[]string]{}
	addresses.Store(&[]string{"192.0.2.1", "127.0.0.1", "::1"})
	named := pacs("a", "PACSA")
	named.Host = "pacs.example"
	s := listen(t, func(o *storescp.Options) {
		o.PACS = func() []pool.Peer { return []pool.Peer{named} }
		o.LookupHost = func(context.Context, string) ([]string, error) {
			lookups.Add(1)
			return *addresses.Load(), nil
		}
	})
	if _, err := s.dial(t.Context(), "STRANGER", "GATEWAY"); err == nil || lookups.Load() != 0 {
		t.Errorf("a stranger: %v, %d lookups", err, lookups.Load())
	}
	_, got := s.lease(t, named, "1.1")
	for range 3 {
		send(t, s.mustDial(t, "PACSA", "GATEWAY"), image{study: "1.1", series: "1", instance: "2"})
	}
	if got.count() != 3 || lookups.Load() != 1 {
		t.Errorf("%d instances, %d lookups", got.count(), lookups.Load())
	}
}

// certificate returns a certificate that an authority has issued, or one of its own authority.
func certificate(t *testing.T, name string, by *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true,
	}
	parent, signer := template, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestWithTLSAPACSNeedsACertificate(t *testing.T) {
	authority := certificate(t, "authority", nil)
	roots := x509.NewCertPool()
	roots.AddCert(authority.Leaf)
	s := listen(t, func(o *storescp.Options) {
		o.Timeouts.ACSE = time.Second
		o.TLS = &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate(t, "gateway.test", &authority)},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
		}
	})
	_, got := s.lease(t, pacs("a", "PACSA"), "1.1")
	dial := func(certificates ...tls.Certificate) (*dicomnet.Association, error) {
		return dicomnet.Dial(t.Context(), s.address, dicomnet.Config{
			CalledAETitle: "GATEWAY", CallingAETitle: "PACSA",
			Contexts: []dicomnet.Context{{AbstractSyntax: ctImage, TransferSyntaxes: []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian}}},
			TLS:      &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "gateway.test", Certificates: certificates},
			Timeouts: dicomnet.Timeouts{ACSE: 5 * time.Second, DIMSE: 5 * time.Second},
		})
	}
	assoc, err := dial(certificate(t, "pacs.test", &authority))
	if err != nil {
		t.Fatal(err)
	}
	send(t, assoc, image{study: "1.1", series: "1", instance: "2"})
	_ = assoc.Close()
	if got.count() != 1 {
		t.Errorf("%d instances arrived", got.count())
	}
	stranger := certificate(t, "stranger", nil)
	for name, certificates := range map[string][]tls.Certificate{"none": nil, "of another authority": {stranger}} {
		if _, err := dial(certificates...); err == nil {
			t.Errorf("certificate %s: accepted", name)
		}
	}
	if pdu := answer(t, s.connect(t)); pdu != 0 { // silence ends after Timeouts.ACSE
		t.Errorf("PDU of type %d", pdu)
	}
	s.awaitConnections(t, 0)
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	if len(s.events.failed) != 3 {
		t.Errorf("reported: %q", s.events.failed)
	}
}

func TestAssociationsAreTracedWithTheirPACS(t *testing.T) {
	type key struct{}
	seen := make(chan string, 10)
	pdus := atomic.Int32{}
	s := listen(t, func(o *storescp.Options) {
		o.Background = context.WithValue(t.Context(), key{}, "background")
		o.Trace = func(name string) *dicomnet.Trace {
			return &dicomnet.Trace{
				Ended: func(ctx context.Context, s dicomnet.Summary) {
					seen <- fmt.Sprint(name, " ", s.Outcome, " ", ctx.Value(key{}))
				},
				PDU:     func(context.Context, bool, string, int) { pdus.Add(1) },
				Command: func(context.Context, bool, dicomnet.CommandSet) { pdus.Add(1) },
			}
		}
	})
	if _, err := s.dial(t.Context(), "STRANGER", "GATEWAY"); err == nil {
		t.Fatal("accepted")
	}
	assoc := s.mustDial(t, "PACSB", "GATEWAY")
	_ = assoc.Close()
	if got := <-seen; got != "b released background" {
		t.Error(got)
	}
	if len(seen) > 0 || pdus.Load() == 0 {
		t.Errorf("%d more associations, %d PDUs", len(seen), pdus.Load())
	}
}

func TestAListenerThatFailsForAWhileGoesOn(t *testing.T) {
	s := storescp.New(storescp.Options{AETitles: []string{"GATEWAY"}, PACS: func() []pool.Peer { return nil }, MaxAssociations: 1})
	l := &failing{errors: []error{errors.New("too many open files"), errors.New("too many open files"), net.ErrClosed}}
	if err := s.Serve(l); !errors.Is(err, net.ErrClosed) || len(l.errors) != 0 {
		t.Errorf("%v, %d errors left", err, len(l.errors))
	}
	s.Close()
	if err := s.Serve(l); !errors.Is(err, net.ErrClosed) || !l.closed {
		t.Errorf("%v after Close", err)
	}
}

type failing struct {
	net.Listener
	errors []error
	closed bool
}

func (f *failing) Accept() (net.Conn, error) {
	err := f.errors[0]
	f.errors = slices.Delete(f.errors, 0, 1)
	return nil, err
}

func (f *failing) Close() error {
	f.closed = true
	return nil
}

func TestListenReturnsThePort(t *testing.T) {
	s := storescp.New(storescp.Options{AETitles: []string{"GATEWAY"}, PACS: func() []pool.Peer { return nil }, MaxAssociations: 1})
	address, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil || address.Port() == 0 {
		t.Fatal(address, err)
	}
	if _, err := s.Listen(t.Context(), address.String()); err == nil {
		t.Error("the port is used twice")
	}
	s.Close()
	var off *storescp.SCP
	off.Close()
	if off.AETitles() != nil || !slices.Equal(s.AETitles(), []string{"GATEWAY"}) {
		t.Error("wrong titles")
	}
}

package qr

import (
	"crypto/tls"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/demo"
)

// eventually polls, for what happens in real time on connections of the kernel.
func eventually(t *testing.T, check func() bool, what string) {
	t.Helper()
	require.Eventually(t, check, 10*time.Second, 5*time.Millisecond, what)
}

func TestAnAssociationOverTLSIsKeptAndWatchedToo(t *testing.T) {
	ca := newAuthority(t, "CA")
	var opened atomic.Int32
	ends := make(chan struct{})
	peer := front(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(-time.Hour, time.Hour)}}, func(p *dicomtest.Peer) {
		p.ReadAssociateRQ()
		nth := opened.Add(1)
		p.SendPDU(p.AC(dataset.ImplicitVRLittleEndian))
		for range 3 {
			p.SendMessage(dicomtest.Response(p.ReadRequest(dicomnet.CFindRQ), dicomnet.StatusSuccess, nil))
		}
		if nth == 1 {
			<-ends
			p.SendPDU(&pdu.ReleaseRQ{})
			p.Expect(pdu.TypeReleaseRP)
			return
		}
		p.Release()
	})
	g := New(Options{AssociationIdle: time.Minute, TLS: &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12}})
	find := func() {
		_, err := g.Query(t.Context(), peer, Filter{PatientID: "P1"})
		require.NoError(t, err)
	}
	watched := func() bool {
		g.places.mu.Lock()
		defer g.places.mu.Unlock()
		for _, q := range g.places.peers {
			for _, idle := range q.idle {
				return idle.unwatch != nil
			}
		}
		return false
	}
	find()
	find()
	eventually(t, watched, "it is watched after a while")
	find() // takes it from its watch
	eventually(t, watched, "and again")
	close(ends)
	eventually(t, func() bool { return g.Idle() == 0 }, "a release is answered")
	for range 3 {
		find()
	}
	assert.Equal(t, int32(2), opened.Load())
	g.Drain()
	require.NoError(t, g.Wait(t.Context()))
	assert.Empty(t, g.places.peers)
}

// Nothing but the kind keeps the two apart: an association in the clear is not for a
// caller who wants TLS, and one that was made for a certificate's name is not for another name.
func TestTLSAndTheNameItWasCheckedForBelongToTheKind(t *testing.T) {
	g := New(Options{AssociationIdle: time.Minute, TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
	kindOf := func(p Peer) kind {
		return (&session{gateway: g, peer: p}).kindOf([]string{dicomnet.StudyRoot.Find})
	}
	secure, named := thePACS, thePACS
	secure.TLS, named.Host = true, "pacs2.example"
	assert.NotEqual(t, kindOf(thePACS), kindOf(secure))
	assert.NotEqual(t, kindOf(thePACS), kindOf(named))
	before := kindOf(secure)
	g.options.TLS = g.options.TLS.Clone() // as where certificates are read again
	assert.False(t, before == kindOf(secure))
	assert.Equal(t, kindOf(thePACS), kindOf(thePACS))
	assert.Zero(t, (&session{gateway: g, peer: thePACS}).kindOf([]string{dicomnet.StudyRoot.Move}), "C-MOVE begins on none")
}

func TestARestartOfThePACSGoesUnnoticed(t *testing.T) {
	p, peer := archive(t, dicomtest.PACSConfig{AETitle: "PACS"}, demo.Studies()...)
	g := New(Options{AssociationIdle: time.Minute})
	for range 3 {
		result, err := g.Query(t.Context(), peer, Filter{PatientID: demo.PatientID})
		require.NoError(t, err)
		require.NotEmpty(t, result.Studies)
		require.NoError(t, p.Close())
		p = dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "PACS"})
		require.NoError(t, p.AddStudies(demo.Studies()...))
		require.NoError(t, p.Listen(net.JoinHostPort(peer.Host, strconv.Itoa(peer.Port))))
	}
	g.Drain()
	require.NoError(t, g.Wait(t.Context()))
	require.NoError(t, p.Close())
}

// together keeps what is written until all of it goes at once, below TLS.
type together struct {
	net.Conn
	kept []byte
	keep bool
}

func (c *together) Write(b []byte) (int, error) {
	if c.keep {
		c.kept = append(c.kept, b...)
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// What came unasked is a record that TLS has taken from the kernel with the one before, and nobody has read.
func TestWhatCameUnaskedOverTLSIsNoAnswer(t *testing.T) {
	ca := newAuthority(t, "CA")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var script dicomtest.Script
	var opened atomic.Int32
	script.Play = func(p *dicomtest.Peer) {
		nth := opened.Add(1)
		below := &together{Conn: p.Conn}
		p.Conn = tls.Server(below, &tls.Config{Certificates: []tls.Certificate{ca.issue(-time.Hour, time.Hour)}})
		p.ReadAssociateRQ()
		p.SendPDU(p.AC(dataset.ImplicitVRLittleEndian))
		rq := p.ReadRequest(dicomnet.CFindRQ)
		final := func() { p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil)) }
		if nth == 2 {
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, study("P1", "1.2").encoded()))
			final()
			p.Release()
			return
		}
		below.keep = true
		final()
		rq.Command.MessageID++
		final()
		_, _ = below.Conn.Write(below.kept)
		below.keep = false
		_, _ = p.Conn.Read(make([]byte, 100))
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			script.Go(conn)
		}
	}()
	at := listener.Addr().(*net.TCPAddr)
	peer := Peer{Host: at.IP.String(), Port: at.Port, CalledAETitle: "PACS", CallingAETitle: "GATEWAY", TLS: true}
	g := New(Options{AssociationIdle: time.Minute, TLS: &tls.Config{RootCAs: ca.pool(), ServerName: "pacs.example", MinVersion: tls.VersionTLS12}})
	for i := range 2 {
		result, err := g.Query(t.Context(), peer, Filter{PatientID: "P1"})
		require.NoError(t, err)
		assert.Len(t, result.Studies, i)
	}
	g.Drain()
	require.NoError(t, g.Wait(t.Context()))
	require.NoError(t, listener.Close())
	<-accepted
	require.NoError(t, script.Err())
	assert.Equal(t, int32(2), opened.Load())
}

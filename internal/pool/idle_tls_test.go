package pool_test

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
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// eventually waits for what happens in real time on connections of the kernel.
func eventually(t *testing.T, check func() bool, what string) {
	t.Helper()
	require.Eventually(t, check, 10*time.Second, 5*time.Millisecond, what)
}

func TestIdleAssociationOverTLSIsReusedAndWatched(t *testing.T) {
	authority := qrtest.NewAuthority(t, "CA")
	var opened atomic.Int32
	ends := make(chan struct{})
	peer := qrtest.Listen(t, authority.Server(), func(p *dicomtest.ScriptedPeer) {
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
	g := qrtest.New(qrtest.Options{AssociationIdle: time.Minute, TLS: authority.Client()})
	find := func() {
		_, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"})
		require.NoError(t, err)
	}
	watched := func() bool { return g.Watched() == 1 }
	find()
	find()
	eventually(t, watched, "the idle association is watched")
	find() // takes the association from its watch
	eventually(t, watched, "the association is watched again")
	close(ends)
	eventually(t, func() bool { return g.Idle() == 0 }, "the release by the peer is noticed")
	for range 3 {
		find()
	}
	assert.Equal(t, int32(2), opened.Load())
	g.Drain()
	require.NoError(t, g.Wait(t.Context()))
	assert.Zero(t, g.InUse())
}

func TestQueriesSucceedAfterThePACSRestarts(t *testing.T) {
	p, peer := qrtest.Archive(t, dicomtest.PACSConfig{AETitle: "PACS"}, demo.Studies()...)
	g := qrtest.New(qrtest.Options{AssociationIdle: time.Minute})
	for range 3 {
		result, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: demo.PatientID})
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

// holdingConn holds what is written while hold is set.
type holdingConn struct {
	net.Conn
	held []byte
	hold bool
}

func (c *holdingConn) Write(b []byte) (int, error) {
	if c.hold {
		c.held = append(c.held, b...)
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// The unsolicited response is in a TLS record that was read from the kernel together with the one before.
func TestUnsolicitedResponseOverTLSIsNotTakenForAnAnswer(t *testing.T) {
	authority := qrtest.NewAuthority(t, "CA")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var script dicomtest.Script
	var opened atomic.Int32
	script.Play = func(p *dicomtest.ScriptedPeer) {
		nth := opened.Add(1)
		below := &holdingConn{Conn: p.Conn}
		p.Conn = tls.Server(below, authority.Server())
		p.ReadAssociateRQ()
		p.SendPDU(p.AC(dataset.ImplicitVRLittleEndian))
		rq := p.ReadRequest(dicomnet.CFindRQ)
		final := func() { p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil)) }
		if nth == 2 {
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, study("P1", "1.2").Encode(dataset.ImplicitVRLittleEndian)))
			final()
			p.Release()
			return
		}
		below.hold = true
		final()
		rq.Command.MessageID++
		final()
		_, _ = below.Conn.Write(below.held)
		below.hold = false
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
	peer := qrtest.At(t, listener.Addr().String())
	peer.TLS = true
	g := qrtest.New(qrtest.Options{AssociationIdle: time.Minute, TLS: authority.Client()})
	for i := range 2 {
		result, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"})
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

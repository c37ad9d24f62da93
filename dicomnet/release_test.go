package dicomnet_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

func TestCloseClosesTheConnectionRightAfterTheRelease(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		p.Release()
		p.ExpectClose() // dcmqrscp and Orthanc wait for the requestor to close
	}, func(t *testing.T, a *dicomnet.Association) {
		start := time.Now()
		require.NoError(t, a.Close())
		require.Zero(t, time.Since(start))
		require.NoError(t, a.Close(), "closing again does nothing")
	})
}

// See fo-dicom #337.
func TestCloseSucceedsWhenThePeerClosesInsteadOfAnswering(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		p.Expect(pdu.TypeReleaseRQ)
	}, func(t *testing.T, a *dicomnet.Association) {
		require.NoError(t, a.Close())
	})
}

func TestCloseAnswersAReleaseCollision(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		p.Expect(pdu.TypeReleaseRQ)
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
		p.SendPDU(&pdu.ReleaseRP{})
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		require.NoError(t, a.Close())
	})
}

func TestReleaseCollisionCountsAsReleasedWhenThePeerCloses(t *testing.T) {
	var ended dicomnet.Summary
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.Accept()
		p.Expect(pdu.TypeReleaseRQ)
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.Trace = &dicomnet.Trace{Ended: func(_ context.Context, s dicomnet.Summary) { ended = s }}
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.NoError(t, a.Close())
	})
	require.Equal(t, "released", ended.Outcome)
}

func TestCloseDiscardsDataThatArrivesBeforeTheReleaseResponse(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		p.Expect(pdu.TypeReleaseRQ)
		late := dicomtest.Message{ContextID: findID, Command: dicomnet.CommandSet{CommandField: dicomnet.CFindRSP}}
		p.SendMessage(late, late)
		p.SendPDU(&pdu.ReleaseRP{})
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		require.NoError(t, a.Close())
	})
}

func TestFindReportsAReleaseByThePeer(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		f := runFind(t.Context(), a)
		require.Equal(t, []string{"1.1"}, f.uids)
		require.ErrorIs(t, f.err, dicomnet.ErrReleased)
		requireStep(t, f.err, dicomnet.StepFind)
		require.False(t, a.Usable())
	})
}

// See pynetdicom #272 and #979.
func TestReleaseTimeoutAbortsTheAssociation(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		p.Expect(pdu.TypeReleaseRQ)
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		start := time.Now()
		err := a.Close()
		requireTimeout(t, err, dicomnet.TimerACSE)
		requireStep(t, err, dicomnet.StepRelease)
		require.Equal(t, timeouts.ACSE, time.Since(start))
	})
}

func TestFindReturnsTheAbortOfThePeer(t *testing.T) {
	for _, abort := range []pdu.Abort{{}, {Source: 2, Reason: 1}, {Source: 1, Reason: 9}} {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			p.SendPDU(&abort)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			f := runFind(t.Context(), a)
			require.Equal(t, []string{"1.1"}, f.uids)
			var aborted *dicomnet.AbortError
			require.ErrorAs(t, f.err, &aborted)
			require.Equal(t, &dicomnet.AbortError{Remote: true, Source: byte(abort.Source), Reason: byte(abort.Reason)}, aborted)
			requireStep(t, f.err, dicomnet.StepFind)
		})
	}
}

func TestConnectionResetWithinAPDUIsAConnectionLoss(t *testing.T) {
	address := listenOnLoopback(t, func(p *dicomtest.ScriptedPeer) {
		p.Accept()
		p.ReadRequest(dicomnet.CEchoRQ)
		p.Send([]byte{4, 0, 0, 0, 1, 0, 1, 2, 3})
		p.Reset()
	})
	a, err := dicomnet.Dial(t.Context(), address, config())
	require.NoError(t, err)
	err = a.Echo(t.Context())
	require.ErrorIs(t, err, dicomnet.ErrConnectionLost)
	require.EqualError(t, err, "echo: connection closed by the peer", "the text contains no address")
	require.False(t, a.Usable())
	require.NoError(t, a.Close())
}

func TestConnectionClosedWithinAPDUIsAConnectionLoss(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadRequest(dicomnet.CEchoRQ)
		p.Send([]byte{4, 0, 0, 0, 1, 0, 1, 2, 3})
	}, func(t *testing.T, a *dicomnet.Association) {
		err := a.Echo(t.Context())
		require.ErrorIs(t, err, dicomnet.ErrConnectionLost)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}

func TestAbortEndsTheAssociationAtOnce(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		a.Abort()
		require.False(t, a.Usable())
		require.ErrorIs(t, a.Echo(t.Context()), dicomnet.ErrClosed)
	})
}

func TestNextOperationReportsAPeerThatWentAway(t *testing.T) {
	withAssociation(t, func(*dicomtest.ScriptedPeer) {}, func(t *testing.T, a *dicomnet.Association) {
		require.ErrorIs(t, a.Echo(t.Context()), dicomnet.ErrConnectionLost)
	})
}

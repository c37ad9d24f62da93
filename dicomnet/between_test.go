package dicomnet_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// crossingRelease asks for a release as if no request had arrived.
func crossingRelease(p *dicomtest.ScriptedPeer) {
	p.SendPDU(&pdu.ReleaseRQ{})
	p.Expect(pdu.TypeReleaseRP)
}

// received reports what the error says about the request.
func received(err error) bool {
	_, not := errors.AsType[*dicomnet.NotReceivedError](err)
	return !not
}

func TestReleaseThatCrossesARequestLeavesItUnreceived(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadRequest(dicomnet.CMoveRQ)
		crossingRelease(p)
	}, func(t *testing.T, a *dicomnet.Association) {
		m := runMove(t.Context(), a)
		assert.False(t, received(m.err))
		require.ErrorIs(t, m.err, dicomnet.ErrReleased)
		requireStep(t, m.err, dicomnet.StepMove)
		assert.EqualError(t, m.err, "move: association released by the peer", "the text is that of the cause")
	})
}

func TestReleaseLongAfterARequestIsAnAnswerToIt(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadRequest(dicomnet.CMoveRQ)
		dicomtest.Wait(3 * time.Second)
		crossingRelease(p)
	}, func(t *testing.T, a *dicomnet.Association) {
		m := runMove(t.Context(), a)
		assert.True(t, received(m.err))
		require.ErrorIs(t, m.err, dicomnet.ErrReleased)
	})
}

func TestReleaseAfterAPendingResponseIsAnAnswerToTheRequest(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CMoveRQ)
		p.SendMessage(withCounters(rq, dicomnet.StatusPending, ptr(2), ptr(1), ptr(0), ptr(0)))
		crossingRelease(p)
	}, func(t *testing.T, a *dicomnet.Association) {
		m := runMove(t.Context(), a)
		assert.True(t, received(m.err))
		require.ErrorIs(t, m.err, dicomnet.ErrReleased)
	})
}

func TestRequestOnAClosedConnectionIsNotReceived(t *testing.T) {
	withAssociation(t, func(*dicomtest.ScriptedPeer) {}, func(t *testing.T, a *dicomnet.Association) {
		time.Sleep(time.Second)
		assert.False(t, received(runMove(t.Context(), a).err))
	})
}

// Over TCP, the system of a peer that closes the connection with the request unread resets it.
func TestEndOfAConnectionShowsWhetherTheRequestWasRead(t *testing.T) {
	for name, test := range map[string]struct {
		reads bool // before the end
		end   func(p *dicomtest.ScriptedPeer)
	}{
		"close":            {false, func(p *dicomtest.ScriptedPeer) { _ = p.Conn.Close() }},
		"abort":            {false, func(p *dicomtest.ScriptedPeer) { p.SendPDU(&pdu.Abort{}); _ = p.Conn.Close() }},
		"close after read": {true, func(p *dicomtest.ScriptedPeer) { _ = p.Conn.Close() }},
		"abort after read": {true, func(p *dicomtest.ScriptedPeer) { p.SendPDU(&pdu.Abort{}); _ = p.Conn.Close() }},
		"abort and wait":   {true, func(p *dicomtest.ScriptedPeer) { p.SendPDU(&pdu.Abort{}); _, _ = io.Copy(io.Discard, p.Conn) }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			a, err := dicomnet.Dial(t.Context(), listenOnLoopback(t, func(p *dicomtest.ScriptedPeer) {
				p.Accept()
				if test.reads {
					p.ReadRequest(dicomnet.CMoveRQ)
				} else {
					time.Sleep(20 * time.Millisecond) // the request arrives
				}
				test.end(p)
			}), cfg)
			require.NoError(t, err)
			m := runMove(t.Context(), a)
			require.Error(t, m.err)
			assert.Equal(t, test.reads, received(m.err))
			_ = a.Close()
		})
	}
}

func TestSecondFinalResponseIsIgnored(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		first := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(first, dicomnet.StatusSuccess, nil))
		second := p.ReadRequest(dicomnet.CMoveRQ)
		p.SendMessage(
			dicomtest.Response(first, dicomnet.StatusSuccess, nil),
			withCounters(second, dicomnet.StatusPending, ptr(1), ptr(1), ptr(0), ptr(0)),
			dicomtest.Response(first, 0xA700, nil),
			withCounters(second, dicomnet.StatusSuccess, nil, ptr(2), ptr(0), ptr(0)),
		)
		third := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(
			dicomtest.Response(first, dicomnet.StatusSuccess, nil),
			dicomtest.Response(third, dicomnet.StatusSuccess, nil),
		)
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		require.NoError(t, runFind(t.Context(), a).err)
		m := runMove(t.Context(), a)
		require.NoError(t, m.err)
		assert.EqualValues(t, 2, *m.final.Completed)
		assert.False(t, a.Clean(), "not fit for another caller")
		require.NoError(t, runFind(t.Context(), a).err)
	})
}

func TestEndlessSecondFinalResponsesEndTheAssociation(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		first := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(first, dicomnet.StatusSuccess, nil))
		p.ReadRequest(dicomnet.CFindRQ)
		for range 17 {
			p.SendMessage(dicomtest.Response(first, dicomnet.StatusSuccess, nil))
		}
		p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedParameter)
	}, func(t *testing.T, a *dicomnet.Association) {
		require.NoError(t, runFind(t.Context(), a).err)
		requireProtocolError(t, runFind(t.Context(), a).err, dicomnet.StepFind)
	})
}

// announced returns a response that announces a data set which does not follow.
func announced(m dicomtest.Message) dicomtest.Message {
	m.Command.HasDataSet = true
	return m
}

func TestFindIsCompleteWithoutTheAnnouncedDataSet(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")), announced(dicomtest.Response(rq, dicomnet.StatusSuccess, nil)))
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
	}, func(t *testing.T, a *dicomnet.Association) {
		start := time.Now()
		var matches []dicomnet.Match
		for m, err := range a.Find(t.Context(), dicomnet.StudyRoot, query()) {
			require.NoError(t, err)
			matches = append(matches, m)
		}
		require.Len(t, matches, 2)
		assert.True(t, matches[1].Final && matches[1].DataSetMissing)
		assert.Nil(t, matches[1].Set)
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.False(t, a.Usable(), "the data set may still arrive")
	})
}

func TestFindReturnsTheFinalStatusWithoutTheAnnouncedDataSet(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(announced(dicomtest.Response(rq, 0xA700, nil)))
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
	}, func(t *testing.T, a *dicomnet.Association) {
		status, ok := errors.AsType[*dicomnet.StatusError](runFind(t.Context(), a).err)
		require.True(t, ok)
		assert.Equal(t, dicomnet.Status(0xA700), status.Status)
	})
}

func TestMoveReportsTheFinalResponseWithoutTheAnnouncedDataSet(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CMoveRQ)
		p.SendMessage(announced(withCounters(rq, dicomnet.StatusSuccess, nil, ptr(2), ptr(0), ptr(0))))
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
	}, func(t *testing.T, a *dicomnet.Association) {
		m := runMove(t.Context(), a)
		require.NoError(t, m.err)
		assert.True(t, m.final.DataSetMissing)
		assert.EqualValues(t, 2, *m.final.Completed)
		assert.False(t, a.Usable())
	})
}

func TestPendingResponseWithoutItsDataSetTimesOut(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(announced(dicomtest.Response(rq, dicomnet.StatusPending, nil)))
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
	}, func(t *testing.T, a *dicomnet.Association) {
		requireTimeout(t, runFind(t.Context(), a).err, dicomnet.TimerDIMSE)
	})
}

package dicomnet_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// take reads n matches and leaves the loop.
func take(a *dicomnet.Association, n int) []string {
	var uids []string
	for m, err := range a.Find(context.Background(), dicomnet.StudyRoot, query()) {
		if err != nil {
			break
		}
		if uids = append(uids, m.String(tag.StudyInstanceUID)); len(uids) == n {
			break
		}
	}
	return uids
}

// expectCancel reads C-CANCEL-RQ for rq.
func expectCancel(p *dicomtest.Peer, rq dicomtest.Message) {
	cancel := p.ReadRequest(dicomnet.CCancelRQ)
	if cancel.Command.MessageIDBeingRespondedTo != rq.Command.MessageID || cancel.ContextID != rq.ContextID || cancel.Command.HasDataSet {
		p.Failf("C-CANCEL-RQ %+v on context %d", cancel.Command, cancel.ContextID)
	}
}

func TestProtocol48LeavingTheLoopCancelsAndTheAssociationGoesOn(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		pending := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1"))
		p.SendMessage(slices.Repeat([]dicomtest.Message{pending}, 100)...)
		expectCancel(p, rq)
		p.SendMessage(pending, pending, dicomtest.Response(rq, dicomnet.StatusCancel, match("1.1")))
		echoAndRelease(p)
	}, func(t *testing.T, a *dicomnet.Association) {
		require.Len(t, take(a, 10), 10)
		require.True(t, a.Usable())
		require.NoError(t, a.Echo(t.Context()))
	})
}

// Origin: pynetdicom 778, fo-dicom 624 and 748.
func TestProtocol49PeerThatIgnoresCancelIsAborted(t *testing.T) {
	t.Run("and goes on sending", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			pending := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")).Append(nil)
			for range 60 {
				if _, err := p.Conn.Write(pending); err != nil {
					return
				}
				dicomtest.Wait(100 * time.Millisecond)
			}
			p.Failf("not aborted")
		}, func(t *testing.T, a *dicomnet.Association) {
			start := time.Now()
			require.Len(t, take(a, 10), 10)
			require.Less(t, time.Since(start), 4*time.Second)
			require.False(t, a.Usable())
		})
	})
	t.Run("and is silent", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			expectCancel(p, rq)
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			start := time.Now()
			require.Len(t, take(a, 1), 1)
			require.Equal(t, 2*time.Second, time.Since(start))
		})
	})
	t.Run("and sends more than is taken", func(t *testing.T) {
		against(t, func(p *dicomtest.Peer) {
			p.Accept()
			rq := p.ReadRequest(dicomnet.CFindRQ)
			pending := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1"))
			p.SendMessage(slices.Repeat([]dicomtest.Message{pending}, 20)...)
			expectCancel(p, rq)
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		}, func(t *testing.T, cfg dicomnet.Config) {
			cfg.Limits.MaxAfterCancel = 5
			a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
			require.NoError(t, err)
			require.Len(t, take(a, 1), 1)
			require.False(t, a.Usable())
		})
	})
}

// Origin: dcmqrscp and Orthanc finish with success.
func TestProtocol50CancelThatCrossesTheFinalResponse(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		pending := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1"))
		p.SendMessage(pending, pending, dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		expectCancel(p, rq)
		echoAndRelease(p)
	}, func(t *testing.T, a *dicomnet.Association) {
		require.Len(t, take(a, 1), 1)
		require.NoError(t, a.Echo(t.Context()))
	})
}

// Origin: fo-dicom 1396 and 1359.
func TestProtocol51DIMSETimeoutStartsAnewWithEachResponse(t *testing.T) {
	slow := func(pauses ...time.Duration) func(p *dicomtest.Peer) {
		return func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			for _, pause := range pauses {
				dicomtest.Wait(pause)
				p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			}
		}
	}
	almost := timeouts.DIMSE - time.Second
	associated(t, func(p *dicomtest.Peer) {
		slow(almost, almost, almost)(p)
		dicomtest.Wait(almost)
		p.SendMessage(dicomtest.Message{ContextID: findID, Command: dicomnet.CommandSet{
			CommandField: dicomnet.CFindRSP, MessageIDBeingRespondedTo: 1,
		}})
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		require.Equal(t, found{uids: []string{"1.1", "1.1", "1.1"}}, find(t.Context(), a))
	})
	associated(t, func(p *dicomtest.Peer) {
		slow(almost)(p)
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		start := time.Now()
		f := find(t.Context(), a)
		require.Equal(t, []string{"1.1"}, f.uids)
		requireTimeout(t, f.err, dicomnet.TimerDIMSE)
		require.Equal(t, almost+timeouts.DIMSE, time.Since(start))
		require.False(t, a.Usable(), "never used again")
	})
}

// Origin: pynetdicom hangs.
func TestProtocol52PeerThatStallsInsideAPDU(t *testing.T) {
	t.Run("half a PDU, then silence", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			m := dicomtest.Response(p.ReadRequest(dicomnet.CFindRQ), dicomnet.StatusSuccess, nil).Append(nil)
			p.Send(m[:len(m)/2])
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			start := time.Now()
			requireTimeout(t, find(t.Context(), a).err, dicomnet.TimerNetwork)
			require.Equal(t, timeouts.Network, time.Since(start))
		})
	})
	t.Run("a byte a second", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			m := dicomtest.Response(p.ReadRequest(dicomnet.CFindRQ), dicomnet.StatusSuccess, nil).Append(nil)
			for i := range m {
				if _, err := p.Conn.Write(m[i : i+1]); err != nil {
					return
				}
				dicomtest.Wait(time.Second)
			}
			p.Failf("not aborted")
		}, func(t *testing.T, a *dicomnet.Association) {
			start := time.Now()
			requireTimeout(t, find(t.Context(), a).err, dicomnet.TimerDIMSE)
			require.Equal(t, timeouts.DIMSE, time.Since(start))
		})
	})
}

// Origin: dcm4che 532.
func TestProtocol53PeerThatStopsReading(t *testing.T) {
	synctestPipe(t, 4096, func(p *dicomtest.Peer) {
		p.Accept()
		dicomtest.Wait(time.Minute)
	}, func(t *testing.T, cfg dicomnet.Config) {
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		huge := query()
		huge.Elements = append(huge.Elements, dataset.Text(tag.StudyComments, strings.Repeat("x", 1<<20)))
		start := time.Now()
		for _, err := range a.Find(t.Context(), dicomnet.StudyRoot, huge) {
			requireTimeout(t, err, dicomnet.TimerNetwork)
		}
		require.Equal(t, timeouts.Network+time.Second, time.Since(start), "the write, then A-ABORT's own second")
		require.False(t, a.Usable())
	})
}

func TestProtocol54CallerWhoGoesAway(t *testing.T) {
	t.Run("peer honours the cancel", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			expectCancel(p, rq)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusCancel, nil))
			p.Release()
		}, func(t *testing.T, a *dicomnet.Association) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(3*time.Second, cancel)
			start := time.Now()
			f := find(ctx, a)
			require.ErrorIs(t, f.err, context.Canceled)
			require.Equal(t, 3*time.Second, time.Since(start))
			require.True(t, a.Usable())
			require.NoError(t, a.Close())
		})
	})
	t.Run("peer does not", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			expectCancel(p, rq)
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errOperation)
			defer cancel()
			start := time.Now()
			f := find(ctx, a)
			require.ErrorIs(t, f.err, errOperation, "the context's cause is told")
			require.Equal(t, 5*time.Second, time.Since(start))
			require.False(t, a.Usable())
		})
	})
	t.Run("in the middle of a PDU", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			m := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")).Append(nil)
			p.Send(m[:50])
			expectCancel(p, rq)
			p.Send(m[50:])
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusCancel, nil))
			p.Release()
		}, func(t *testing.T, a *dicomnet.Association) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, find(ctx, a).err, context.DeadlineExceeded)
			require.True(t, a.Usable(), "what had come of the PDU was kept")
		})
	})
}

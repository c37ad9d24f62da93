package dicomnet_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// takeMatches reads n matches and leaves the loop.
func takeMatches(a *dicomnet.Association, n int) []string {
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

// expectCancel reads the C-CANCEL-RQ for rq.
func expectCancel(p *dicomtest.ScriptedPeer, rq dicomtest.Message) {
	cancel := p.ReadRequest(dicomnet.CCancelRQ)
	if cancel.Command.MessageIDBeingRespondedTo != rq.Command.MessageID || cancel.ContextID != rq.ContextID || cancel.Command.HasDataSet {
		p.Failf("C-CANCEL-RQ %+v on context %d", cancel.Command, cancel.ContextID)
	}
}

func TestFindCancelsWhenTheLoopEndsEarly(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		pending := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1"))
		p.SendMessage(slices.Repeat([]dicomtest.Message{pending}, 100)...)
		expectCancel(p, rq)
		p.SendMessage(pending, pending, dicomtest.Response(rq, dicomnet.StatusCancel, match("1.1")))
		serveEchoAndRelease(p)
	}, func(t *testing.T, a *dicomnet.Association) {
		require.Len(t, takeMatches(a, 10), 10)
		require.True(t, a.Usable())
		require.NoError(t, a.Echo(t.Context()))
	})
}

// See pynetdicom #778, fo-dicom #624 and #748.
func TestFindAbortsAPeerThatIgnoresTheCancel(t *testing.T) {
	t.Run("and continues to send", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
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
			require.Len(t, takeMatches(a, 10), 10)
			require.Less(t, time.Since(start), 4*time.Second)
			require.False(t, a.Usable())
		})
	})
	t.Run("and stores", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			store := dicomtest.Message{ContextID: rq.ContextID, Command: dicomnet.CommandSet{
				CommandField: dicomnet.CStoreRQ, MessageID: 7, AffectedSOPClassUID: rq.Command.AffectedSOPClassUID, AffectedSOPInstanceUID: "1.2",
			}}.Append(nil)
			for range 60 {
				if _, err := p.Conn.Write(store); err != nil {
					return
				}
				dicomtest.Wait(time.Second)
			}
			p.Failf("not aborted")
		}, func(t *testing.T, a *dicomnet.Association) {
			start := time.Now()
			require.Len(t, takeMatches(a, 1), 1)
			require.Less(t, time.Since(start), 4*time.Second)
			require.False(t, a.Usable())
		})
	})
	t.Run("and stays silent", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			expectCancel(p, rq)
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			start := time.Now()
			require.Len(t, takeMatches(a, 1), 1)
			require.Equal(t, 2*time.Second, time.Since(start))
		})
	})
	t.Run("and sends more than MaxAfterCancel responses", func(t *testing.T) {
		withPeer(t, func(p *dicomtest.ScriptedPeer) {
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
			require.Len(t, takeMatches(a, 1), 1)
			require.False(t, a.Usable())
		})
	})
}

// dcmqrscp and Orthanc end a cancelled C-FIND with success.
func TestFindAcceptsAFinalResponseThatCrossesTheCancel(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		pending := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1"))
		p.SendMessage(pending, pending, dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		expectCancel(p, rq)
		serveEchoAndRelease(p)
	}, func(t *testing.T, a *dicomnet.Association) {
		require.Len(t, takeMatches(a, 1), 1)
		require.NoError(t, a.Echo(t.Context()))
	})
}

func TestFindCancelsWhenItsContextIsDone(t *testing.T) {
	t.Run("the peer obeys the cancel", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			expectCancel(p, rq)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusCancel, nil))
			p.Release()
		}, func(t *testing.T, a *dicomnet.Association) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(3*time.Second, cancel)
			start := time.Now()
			f := runFind(ctx, a)
			require.ErrorIs(t, f.err, context.Canceled)
			require.Equal(t, 3*time.Second, time.Since(start))
			require.True(t, a.Usable())
			require.NoError(t, a.Close())
		})
	})
	t.Run("the peer ignores the cancel", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			expectCancel(p, rq)
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errOperationTimeout)
			defer cancel()
			start := time.Now()
			f := runFind(ctx, a)
			require.ErrorIs(t, f.err, errOperationTimeout, "the error is the cause of the context")
			require.Equal(t, 5*time.Second, time.Since(start))
			require.False(t, a.Usable())
		})
	})
	t.Run("while a PDU is partly received", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
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
			require.ErrorIs(t, runFind(ctx, a).err, context.DeadlineExceeded)
			require.True(t, a.Usable(), "the part of the PDU that had arrived was kept")
		})
	})
}

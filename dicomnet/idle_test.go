package dicomnet_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// serveFind answers a C-FIND with these statuses. Pending responses have a match.
func serveFind(p *dicomtest.ScriptedPeer, statuses ...dicomnet.Status) {
	rq := p.ReadRequest(dicomnet.CFindRQ)
	for _, status := range statuses {
		var data []byte
		if status.Pending() {
			data = match("1.1")
		}
		p.SendMessage(dicomtest.Response(rq, status, data))
	}
}

func TestAssociationIsCleanOnlyAfterSuccess(t *testing.T) {
	for name, test := range map[string]struct {
		play  func(p *dicomtest.ScriptedPeer)
		clean bool
	}{
		"success after a match":   {func(p *dicomtest.ScriptedPeer) { serveFind(p, dicomnet.StatusPending, dicomnet.StatusSuccess) }, true},
		"success without a match": {func(p *dicomtest.ScriptedPeer) { serveFind(p, dicomnet.StatusSuccess) }, true},
		"FF01":                    {func(p *dicomtest.ScriptedPeer) { serveFind(p, dicomnet.StatusPendingWarning, dicomnet.StatusSuccess) }, true},
		"A700":                    {func(p *dicomtest.ScriptedPeer) { serveFind(p, 0xa700) }, false},
		"A900":                    {func(p *dicomtest.ScriptedPeer) { serveFind(p, 0xa900) }, false},
		"C000":                    {func(p *dicomtest.ScriptedPeer) { serveFind(p, dicomnet.StatusPending, 0xc000) }, false},
		"FE00":                    {func(p *dicomtest.ScriptedPeer) { serveFind(p, dicomnet.StatusCancel) }, false},
		"B000":                    {func(p *dicomtest.ScriptedPeer) { serveFind(p, dicomnet.StatusWarning) }, false},
		"an unknown status":       {func(p *dicomtest.ScriptedPeer) { serveFind(p, 0x1234) }, false},
		"success after an undecodable match": {func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, []byte{8, 0, 5, 0, 0xf0, 0xff, 0xff, 0x7f, 1, 2}),
				dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		}, false},
		"success followed by another response": {func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			done := dicomtest.Response(rq, dicomnet.StatusSuccess, nil)
			p.SendMessage(done, done)
		}, false},
		"success followed by another response in the same PDU": {func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			done := dicomtest.Response(rq, dicomnet.StatusSuccess, nil)
			p.Send(rawPData(done.PDVs(done.PDVs(nil, 0), 0)))
		}, false},
		"success followed by half a PDU": {func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.Send(append(dicomtest.Response(rq, dicomnet.StatusSuccess, nil).Append(nil), 4, 0, 0))
		}, false},
		"a failure followed by a success": {func(p *dicomtest.ScriptedPeer) {
			serveFind(p, 0xa700)
			serveFind(p, dicomnet.StatusSuccess)
		}, false},
		"a C-STORE-RQ before the final response": {func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Message{ContextID: findID, Command: dicomnet.CommandSet{
				CommandField: dicomnet.CStoreRQ, MessageID: 9, AffectedSOPClassUID: "1.2", AffectedSOPInstanceUID: "1.3",
			}})
			p.ReadRequest(dicomnet.CStoreRSP)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			withAssociation(t, func(p *dicomtest.ScriptedPeer) {
				test.play(p)
				p.ReadPDU()
			}, func(t *testing.T, a *dicomnet.Association) {
				require.True(t, a.Clean(), "before the first operation")
				f := runFind(t.Context(), a)
				if name == "a failure followed by a success" {
					f = runFind(t.Context(), a)
					require.NoError(t, f.err)
				}
				require.Equal(t, test.clean, a.Clean(), f.err)
				a.Abort()
				require.False(t, a.Clean())
			})
		})
	}
}

func TestAssociationIsNotCleanAfterACancel(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
		p.ReadRequest(dicomnet.CCancelRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil)) // the cancel came too late
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		for range a.Find(t.Context(), dicomnet.StudyRoot, query()) {
			break
		}
		require.True(t, a.Usable())
		require.False(t, a.Clean())
	})
}

func TestWaitIdleEndsTheAssociationWhenThePeerActs(t *testing.T) {
	lost := dicomnet.ErrConnectionLost
	for name, test := range map[string]struct {
		play    func(p *dicomtest.ScriptedPeer)
		is      error
		outcome string
	}{
		"A-RELEASE-RQ": {func(p *dicomtest.ScriptedPeer) {
			p.SendPDU(&pdu.ReleaseRQ{})
			p.Expect(pdu.TypeReleaseRP)
			p.ExpectClose()
		}, dicomnet.ErrReleased, "released"},
		"A-RELEASE-RQ, byte by byte": {func(p *dicomtest.ScriptedPeer) {
			p.SendBytewise((&pdu.ReleaseRQ{}).Append(nil), time.Second)
			p.Expect(pdu.TypeReleaseRP)
			p.ExpectClose()
		}, dicomnet.ErrReleased, "released"},
		"A-ABORT": {func(p *dicomtest.ScriptedPeer) {
			p.SendPDU(&pdu.Abort{Source: pdu.SourceProvider})
			p.ExpectClose()
		}, nil, "aborted"},
		"a closed connection": {func(*dicomtest.ScriptedPeer) {}, lost, "dropped"},
		"P-DATA": {func(p *dicomtest.ScriptedPeer) {
			p.SendMessage(dicomtest.Message{ContextID: findID, Command: dicomnet.CommandSet{
				CommandField: dicomnet.CFindRSP, MessageIDBeingRespondedTo: 1, Status: dicomnet.StatusPending,
			}})
			p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedPDU)
			p.ExpectClose()
		}, nil, "aborted"},
		"P-DATA longer than the buffer": {func(p *dicomtest.ScriptedPeer) {
			p.Send(rawPData(make([]byte, 100_000)))
			p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedPDU)
		}, nil, "aborted"},
		"A-RELEASE-RP": {func(p *dicomtest.ScriptedPeer) {
			p.SendPDU(&pdu.ReleaseRP{})
			p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedPDU)
		}, nil, "aborted"},
		"not DICOM": {func(p *dicomtest.ScriptedPeer) {
			p.Send([]byte("HTTP/1.1 400 Bad Request"))
			p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnrecognizedPDU)
		}, nil, "aborted"},
		"half a PDU": {func(p *dicomtest.ScriptedPeer) {
			p.Send([]byte{5, 0, 0})
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		}, nil, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			var ended []dicomnet.Summary
			withPeer(t, func(p *dicomtest.ScriptedPeer) {
				p.Accept()
				dicomtest.Wait(3 * time.Second)
				test.play(p)
			}, func(t *testing.T, cfg dicomnet.Config) {
				cfg.Trace = &dicomnet.Trace{Ended: func(_ context.Context, s dicomnet.Summary) { ended = append(ended, s) }}
				a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
				require.NoError(t, err)
				err = a.WaitIdle(t.Context(), time.Minute)
				require.Error(t, err)
				if test.is != nil {
					require.ErrorIs(t, err, test.is)
				}
				require.False(t, a.Usable())
				require.Len(t, ended, 1, "Ended is called at once")
				require.Equal(t, test.outcome, ended[0].Outcome)
				require.NoError(t, a.Close())
				require.NoError(t, a.WaitIdle(t.Context(), time.Minute), "WaitIdle returns at once on an ended association")
			})
			require.Len(t, ended, 1)
		})
	}
}

func TestWaitIdleLeavesAQuietAssociationUnchanged(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		for range 3 {
			serveFind(p, dicomnet.StatusPending, dicomnet.StatusSuccess)
		}
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		require.NoError(t, runFind(t.Context(), a).err)
		start := time.Now()
		require.NoError(t, a.WaitIdle(t.Context(), time.Minute))
		require.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, runFind(t.Context(), a).err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, a.WaitIdle(ctx, time.Minute))
		require.Equal(t, time.Minute+time.Second, time.Since(start), "WaitIdle returns when its context is done")
		require.True(t, a.Clean())
		require.Equal(t, []string{"1.1"}, runFind(t.Context(), a).uids)
	})
}

// The association is reused while the peer is sending the PDU that ends it.
func TestWaitIdleKeepsAPartlyReceivedPDU(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		p.Send([]byte{5, 0, 0})
		dicomtest.Wait(2 * time.Second)
		p.Send([]byte{0, 0, 4, 0, 0, 0, 0})
		p.ReadRequest(dicomnet.CFindRQ)
		p.Expect(pdu.TypeReleaseRP)
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, a.WaitIdle(ctx, time.Minute))
		require.False(t, a.Clean())
		require.False(t, a.Quiet())
		require.ErrorIs(t, runFind(t.Context(), a).err, dicomnet.ErrReleased)
	})
}

func TestRebindChangesTheContextOfTheTrace(t *testing.T) {
	type key struct{}
	var contexts []any
	record := func(ctx context.Context) { contexts = append(contexts, ctx.Value(key{})) }
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.Accept()
		serveFind(p, dicomnet.StatusPending, dicomnet.StatusSuccess)
		serveFind(p, dicomnet.StatusPending, dicomnet.StatusSuccess)
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.Trace = &dicomnet.Trace{
			Ended:      func(ctx context.Context, _ dicomnet.Summary) { record(ctx) },
			PDU:        func(ctx context.Context, _ bool, _ string, _ int) { record(ctx) },
			Command:    func(ctx context.Context, _ bool, _ dicomnet.CommandSet) { record(ctx) },
			Identifier: func(ctx context.Context, _ bool, _ dataset.TransferSyntax, _ []byte) { record(ctx) },
		}
		requireContexts := func(value string) {
			require.NotEmpty(t, contexts)
			for _, got := range contexts {
				require.Equal(t, value, got)
			}
			contexts = nil
		}
		as := func(value string) context.Context { return context.WithValue(t.Context(), key{}, value) }
		a, err := dicomnet.Dial(as("A"), "pacs:104", cfg)
		require.NoError(t, err)
		require.NoError(t, runFind(as("A"), a).err)
		requireContexts("A")
		a.Rebind(as("B"))
		require.NoError(t, runFind(as("B"), a).err)
		requireContexts("B")
		a.Rebind(as("idle"))
		require.ErrorIs(t, a.WaitIdle(t.Context(), time.Minute), dicomnet.ErrReleased)
		requireContexts("idle")
	})
}

func TestIdleAssociationsHoldAlmostNoMemory(t *testing.T) {
	const associations = 200
	synctest.Test(t, func(t *testing.T) {
		script := &dicomtest.Script{Play: func(p *dicomtest.ScriptedPeer) {
			p.Accept()
			serveFind(p, dicomnet.StatusPending, dicomnet.StatusSuccess)
			p.Release()
		}}
		cfg := config()
		cfg.DialContext = script.DialContext
		var busy, idle runtime.MemStats
		ctx, cancel := context.WithCancel(t.Context())
		all := make([]*dicomnet.Association, associations)
		for i := range all {
			var err error
			all[i], err = dicomnet.Dial(t.Context(), "pacs:104", cfg)
			require.NoError(t, err)
			require.NoError(t, runFind(t.Context(), all[i]).err)
		}
		runtime.GC()
		runtime.ReadMemStats(&busy)
		done := make(chan struct{})
		for _, a := range all {
			go func() {
				_ = a.WaitIdle(ctx, time.Minute)
				done <- struct{}{}
			}()
		}
		synctest.Wait()
		runtime.GC()
		runtime.GC() // the second run empties pools
		runtime.ReadMemStats(&idle)
		require.Less(t, idle.HeapAlloc+associations*8<<10, busy.HeapAlloc)
		cancel()
		for range all {
			<-done
		}
		for _, a := range all {
			require.NoError(t, a.Close())
		}
		require.NoError(t, script.Err())
	})
}

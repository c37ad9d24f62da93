package dicomnet_test

import (
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

// See fo-dicom #1396 and #1359.
func TestDIMSETimeoutRestartsWithEachResponse(t *testing.T) {
	slow := func(pauses ...time.Duration) func(p *dicomtest.ScriptedPeer) {
		return func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			for _, pause := range pauses {
				dicomtest.Wait(pause)
				p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			}
		}
	}
	almost := timeouts.DIMSE - time.Second
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		slow(almost, almost, almost)(p)
		dicomtest.Wait(almost)
		p.SendMessage(dicomtest.Message{ContextID: findID, Command: dicomnet.CommandSet{
			CommandField: dicomnet.CFindRSP, MessageIDBeingRespondedTo: 1,
		}})
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		require.Equal(t, findResult{uids: []string{"1.1", "1.1", "1.1"}}, runFind(t.Context(), a))
	})
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		slow(almost)(p)
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		start := time.Now()
		f := runFind(t.Context(), a)
		require.Equal(t, []string{"1.1"}, f.uids)
		requireTimeout(t, f.err, dicomnet.TimerDIMSE)
		require.Equal(t, almost+timeouts.DIMSE, time.Since(start))
		require.False(t, a.Usable(), "the association is not used again")
	})
}

// pynetdicom hangs with such a peer.
func TestPeerThatStallsWithinAPDUIsAborted(t *testing.T) {
	t.Run("half a PDU, then nothing", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			m := dicomtest.Response(p.ReadRequest(dicomnet.CFindRQ), dicomnet.StatusSuccess, nil).Append(nil)
			p.Send(m[:len(m)/2])
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			start := time.Now()
			requireTimeout(t, runFind(t.Context(), a).err, dicomnet.TimerNetwork)
			require.Equal(t, timeouts.Network, time.Since(start))
		})
	})
	t.Run("one byte per second", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
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
			requireTimeout(t, runFind(t.Context(), a).err, dicomnet.TimerDIMSE)
			require.Equal(t, timeouts.DIMSE, time.Since(start))
		})
	})
}

// See dcm4che #532.
func TestPeerThatStopsReadingTimesOut(t *testing.T) {
	withPeerBuffering(t, 4096, func(p *dicomtest.ScriptedPeer) {
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
		require.Equal(t, timeouts.Network+time.Second, time.Since(start), "the network timeout of the write, then one second for A-ABORT")
		require.False(t, a.Usable())
	})
}

package dicomnet_test

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// again serves C-FIND after C-FIND with the answer to each, without reading what is asked.
func serveFinds(answer func(rq dicomtest.Message) []byte) func(p *dicomtest.Peer) {
	return func(p *dicomtest.Peer) {
		p.Accept()
		rq := p.ReadRequest(dicomnet.CFindRQ)
		for {
			p.Send(answer(rq))
			if _, err := p.Conn.Read(make([]byte, 1<<10)); err != nil {
				return
			}
			if rq.Command.MessageID++; rq.Command.MessageID == 0 {
				rq.Command.MessageID = 1
			}
		}
	}
}

// benchmarkFind reads so many matches, again and again, on one association.
func benchmarkFind(b *testing.B, script *dicomtest.Script, matches int) {
	b.Helper()
	address, closeFn, err := script.Listen()
	require.NoError(b, err)
	defer closeFn()
	a, err := dicomnet.Dial(b.Context(), address, config())
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for m, err := range a.Find(b.Context(), dicomnet.StudyRoot, query()) {
			if err != nil {
				b.Fatal(err)
			}
			if m.String(tag.StudyInstanceUID) != "" {
				n++
			}
		}
		if n != matches {
			b.Fatalf("%d matches", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*matches), "ns/match")
	a.Abort()
}

func BenchmarkFind(b *testing.B) {
	for _, matches := range []int{1, 10, 100, 1000, 5000} {
		b.Run(strconv.Itoa(matches), func(b *testing.B) {
			benchmarkFind(b, &dicomtest.Script{Play: serveFinds(func(rq dicomtest.Message) []byte {
				one := dicomtest.Response(rq, dicomnet.StatusPending, match("1.2.840.113619.2.1")).Append(nil)
				return dicomtest.Response(rq, dicomnet.StatusSuccess, nil).Append(bytes.Repeat(one, matches))
			})}, matches)
		})
	}
}

// BenchmarkAssemble is a thousand matches that come in many ways: each part of a message in a PDU of its own, as most PACS
// send them; in fragments of 32 bytes, each in a PDU; and all of them back to back in PDUs filled to the brim.
func BenchmarkAssemble(b *testing.B) {
	const matches = 1000
	for _, v := range []struct {
		name   string
		append func(b, pdvs []byte) []byte
		most   int // bytes of a fragment
	}{
		{"a part a PDU", inPDUEach, 0},
		{"fragments", inPDUEach, 32},
		{"full PDUs", fullPDUs, 0},
	} {
		b.Run(v.name, func(b *testing.B) {
			script := &dicomtest.Script{Play: serveFinds(func(rq dicomtest.Message) []byte {
				one := dicomtest.Response(rq, dicomnet.StatusPending, match("1.2.840.113619.2.1")).PDVs(nil, v.most)
				return v.append(nil, dicomtest.Response(rq, dicomnet.StatusSuccess, nil).PDVs(bytes.Repeat(one, matches), v.most))
			})}
			benchmarkFind(b, script, matches)
		})
	}
}

// onePDVEach puts each of pdvs into a PDU of its own.
func inPDUEach(b, pdvs []byte) []byte {
	for len(pdvs) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(pdvs))
		b = (&pdu.PDataTF{Body: pdvs[:n]}).Append(b)
		pdvs = pdvs[n:]
	}
	return b
}

// fullPDUs puts as many of pdvs into a PDU as it may hold.
func fullPDUs(b, pdvs []byte) []byte {
	for len(pdvs) > 0 {
		n := 0
		for n < len(pdvs) {
			next := n + 4 + int(binary.BigEndian.Uint32(pdvs[n:]))
			if next > int(dicomnet.DefaultLimits.MaxPDULength) {
				break
			}
			n = next
		}
		b = (&pdu.PDataTF{Body: pdvs[:n]}).Append(b)
		pdvs = pdvs[n:]
	}
	return b
}

func BenchmarkDialEchoClose(b *testing.B) {
	script := &dicomtest.Script{Play: func(p *dicomtest.Peer) {
		p.Accept()
		p.SendMessage(dicomtest.Response(p.ReadRequest(dicomnet.CEchoRQ), dicomnet.StatusSuccess, nil))
		p.Release()
	}}
	address, closeFn, err := script.Listen()
	require.NoError(b, err)
	defer closeFn()
	b.ReportAllocs()
	for b.Loop() {
		a, err := dicomnet.Dial(b.Context(), address, config())
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Echo(b.Context()); err != nil {
			b.Fatal(err)
		}
		_ = a.Close()
	}
}

// TestMatchesLeaveNoMemoryBehind compares what is on the heap after a few
// matches and after thousands more, while the loop is still going on.
func TestMatchesLeaveNoMemoryBehind(t *testing.T) {
	const matches = 20_000
	withAssociation(t, func(p *dicomtest.Peer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		one := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")).Append(nil)
		for range matches {
			p.Send(one)
		}
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		var early, late runtime.MemStats
		n := 0
		for _, err := range a.Find(t.Context(), dicomnet.StudyRoot, query()) {
			require.NoError(t, err)
			switch n++; n {
			case 10:
				dicomtest.Wait(time.Second) // until all that the peer sends is on its way
				runtime.GC()
				runtime.ReadMemStats(&early)
			case matches:
				runtime.GC()
				runtime.ReadMemStats(&late)
			}
		}
		require.Equal(t, matches, n)
		require.Less(t, late.HeapAlloc, early.HeapAlloc+1<<20)
	})
}

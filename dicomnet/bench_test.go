package dicomnet_test

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// serveFinds answers one C-FIND after another with the bytes that answer returns. It does not
// decode the requests after the first.
func serveFinds(answer func(rq dicomtest.Message) []byte) func(p *dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) {
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

// benchmarkFind repeats a C-FIND with this number of matches on one association.
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

// BenchmarkAssemble reads a thousand matches in three forms: each part of a message in a PDU of its
// own, as most PACS send them; in fragments of 32 bytes, each in a PDU; and back to back in full
// PDUs.
func BenchmarkAssemble(b *testing.B) {
	const matches = 1000
	for _, v := range []struct {
		name        string
		append      func(b, pdvs []byte) []byte
		maxFragment int // length of a fragment; 0 means no limit
	}{
		{"one part per PDU", inPDUEach, 0},
		{"fragments", inPDUEach, 32},
		{"full PDUs", fullPDUs, 0},
	} {
		b.Run(v.name, func(b *testing.B) {
			script := &dicomtest.Script{Play: serveFinds(func(rq dicomtest.Message) []byte {
				one := dicomtest.Response(rq, dicomnet.StatusPending, match("1.2.840.113619.2.1")).PDVs(nil, v.maxFragment)
				return v.append(nil, dicomtest.Response(rq, dicomnet.StatusSuccess, nil).PDVs(bytes.Repeat(one, matches), v.maxFragment))
			})}
			benchmarkFind(b, script, matches)
		})
	}
}

// inPDUEach puts each PDV into a PDU of its own.
func inPDUEach(b, pdvs []byte) []byte {
	for len(pdvs) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(pdvs))
		b = (&pdu.PDataTF{Body: pdvs[:n]}).Append(b)
		pdvs = pdvs[n:]
	}
	return b
}

// fullPDUs puts as many PDVs into each PDU as fit.
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
	script := &dicomtest.Script{Play: func(p *dicomtest.ScriptedPeer) {
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

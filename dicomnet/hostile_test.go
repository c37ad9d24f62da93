package dicomnet_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// maxBytesPerAssociation is the most that a single association may allocate, even with a hostile
// peer.
const maxBytesPerAssociation = 10 << 20

// uint32s encodes values as consecutive big-endian uint32.
func uint32s(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// TestHostilePeersCauseLittleAllocation plays each attack and measures all that the process
// allocates in that time.
func TestHostilePeersCauseLittleAllocation(t *testing.T) {
	element := func(group, number uint16, length uint32, value ...byte) []byte {
		b := binary.LittleEndian.AppendUint16(nil, group)
		b = binary.LittleEndian.AppendUint16(b, number)
		return append(binary.LittleEndian.AppendUint32(b, length), value...)
	}
	item := []byte{0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF}
	nested := func(levels int) []byte {
		return bytes.Repeat(append(element(0x0008, 0x1110, 0xFFFFFFFF), item...), levels)
	}
	identifiers := map[string][]byte{
		"a value of 4 GiB":                    element(0x0010, 0x0010, 0xFFFFFFFE, 'A', 'B'),
		"sequences 10,000 deep":               nested(10_000),
		"a sequence without items":            element(0x0008, 0x1110, 8, 1, 2, 3, 4, 5, 6, 7, 8),
		"100,000 elements without a value":    bytes.Repeat(element(0x0010, 0x0010, 0), 100_000),
		"a million backslashes":               element(0x0010, 0x0010, 1<<20-8, bytes.Repeat([]byte(`\`), 1<<20-8)...),
		"a character set of the wrong type":   element(0x0008, 0x0005, 2, 0xFF, 0xFF),
		"a character set of 100,000 terms":    element(0x0008, 0x0005, 200_000, bytes.Repeat([]byte(`A\`), 100_000)...),
		"a name of escape sequences only":     append(element(0x0008, 0x0005, 16, []byte(`\ISO 2022 IR 87 `)...), element(0x0010, 0x0010, 300_000, bytes.Repeat([]byte("\x1b$B"), 100_000)...)...),
		"a UID list of half a million values": element(0x0020, 0x000D, 1<<20-8, bytes.Repeat([]byte(`1\`), 1<<19-4)...),
	}
	attacks := map[string]func(p *dicomtest.ScriptedPeer){
		"an answer of 65,535 items": func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			p.Send(rawPDU(2, append(make([]byte, 68), bytes.Repeat([]byte{0x99, 0, 0, 0}, 16_000)...)))
		},
		"an answer of 4 GiB": func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			p.Send([]byte{2, 0, 0xFF, 0xFF, 0xFF, 0xFF})
		},
		"a rejection of 4 GiB": func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			p.Send([]byte{3, 0, 0xFF, 0xFF, 0xFF, 0xFF})
		},
		"P-DATA of 4 GiB": func(p *dicomtest.ScriptedPeer) {
			p.Accept()
			p.ReadRequest(dicomnet.CFindRQ)
			p.Send([]byte{4, 0, 0xFF, 0xFF, 0xFF, 0xF0})
		},
		"a PDV of 4 GiB": func(p *dicomtest.ScriptedPeer) {
			p.Accept()
			p.ReadRequest(dicomnet.CFindRQ)
			p.Send(rawPData(append(uint32s(0xFFFFFFFF), findID, 3)))
		},
		"matches without end": func(p *dicomtest.ScriptedPeer) {
			p.Accept()
			rq := p.ReadRequest(dicomnet.CFindRQ)
			b := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")).Append(nil)
			for range 1000 {
				if _, err := p.Conn.Write(b); err != nil {
					return
				}
			}
		},
	}
	for name, data := range identifiers {
		// Encode the answer first, so that the allocations of the attacker do not count.
		rq := dicomtest.Message{ContextID: findID, Command: dicomnet.CommandSet{CommandField: dicomnet.CFindRQ, MessageID: 1}}
		b := dicomtest.Response(rq, dicomnet.StatusPending, data).Append(nil)
		b = dicomtest.Response(rq, dicomnet.StatusSuccess, nil).Append(b)
		attacks["an identifier with "+name] = func(p *dicomtest.ScriptedPeer) {
			p.Accept()
			p.ReadRequest(dicomnet.CFindRQ)
			p.Send(b)
		}
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			address := listenOnLoopback(t, func(p *dicomtest.ScriptedPeer) {
				attack(p)
				_, _ = p.Conn.Read(make([]byte, 64))
			})
			cfg := config()
			requireAllocatesLess(t, maxBytesPerAssociation, func() {
				a, err := dicomnet.Dial(t.Context(), address, cfg)
				if err != nil {
					return
				}
				runFind(t.Context(), a)
				_ = a.Close()
			})
		})
	}
}

// TestFailedAssociationsLeakNothing counts goroutines and descriptors after thousands of
// associations that failed in all possible ways.
func TestFailedAssociationsLeakNothing(t *testing.T) {
	endings := []func(p *dicomtest.ScriptedPeer){
		func(*dicomtest.ScriptedPeer) {},
		func(p *dicomtest.ScriptedPeer) { p.ReadAssociateRQ() },
		func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			p.SendPDU(&pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7})
		},
		func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			p.SendPDU(&pdu.Abort{})
		},
		func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			p.Send([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		},
		func(p *dicomtest.ScriptedPeer) {
			p.Accept()
			p.ReadPDU()
			p.Send([]byte{4, 0, 0, 0, 1})
		},
		func(p *dicomtest.ScriptedPeer) {
			p.Accept()
			p.ReadPDU()
			p.Reset()
		},
		func(p *dicomtest.ScriptedPeer) {
			p.Accept()
			p.ReadPDU()
			p.SendPDU(&pdu.ReleaseRP{})
		},
	}
	const associations = 10_000
	turn := make(chan func(p *dicomtest.ScriptedPeer), 1)
	address := listenOnLoopback(t, func(p *dicomtest.ScriptedPeer) {
		play := <-turn
		defer func() {
			// Some of the endings make the script of the peer fail.
			_ = recover()
		}()
		play(p)
	})
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors()
	for i := range associations {
		turn <- endings[i%len(endings)]
		a, err := dicomnet.Dial(t.Context(), address, config())
		if err != nil {
			continue
		}
		require.Error(t, a.Echo(t.Context()))
		require.NoError(t, a.Close())
	}
	require.Eventually(t, func() bool {
		return runtime.NumGoroutine() <= goroutines+2 && openDescriptors() <= descriptors+2
	}, 10*time.Second, 10*time.Millisecond, "goroutines or descriptors leak")
}

// openDescriptors returns the number of open descriptors, or 0 if the system does not expose it.
func openDescriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

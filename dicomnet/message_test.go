package dicomnet_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// answering plays an acceptor that answers one C-FIND with the bytes that answer
// makes of the request.
func serveFindWithBytes(answer func(rq dicomtest.Message) []byte) func(p *dicomtest.Peer) {
	return func(p *dicomtest.Peer) {
		p.Send(answer(p.ReadRequest(dicomnet.CFindRQ)))
		p.Release()
	}
}

// two is two matches and the final response.
func twoMatches(rq dicomtest.Message) []dicomtest.Message {
	return []dicomtest.Message{
		dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")),
		dicomtest.Response(rq, dicomnet.StatusPending, match("1.2")),
		dicomtest.Response(rq, dicomnet.StatusSuccess, nil),
	}
}

func requireTwoMatches(t *testing.T, a *dicomnet.Association) {
	t.Helper()
	f := runFind(t.Context(), a)
	require.NoError(t, f.err)
	require.Equal(t, []string{"1.1", "1.2"}, f.uids)
}

func TestProtocol28CommandInTenBytePDVsEachItsOwnPDU(t *testing.T) {
	withAssociation(t, serveFindWithBytes(func(rq dicomtest.Message) []byte {
		var b []byte
		for _, m := range twoMatches(rq) {
			rest := m.PDVs(nil, 10)
			for len(rest) > 0 {
				n := 4 + int(binary.BigEndian.Uint32(rest))
				b = append(b, rawPData(rest[:n])...)
				rest = rest[n:]
			}
		}
		return b
	}), requireTwoMatches)
}

// Origin: dicom-rs 522.
func TestProtocol29CommandAndDataSetInOnePDU(t *testing.T) {
	withAssociation(t, serveFindWithBytes(func(rq dicomtest.Message) []byte {
		var b []byte
		for _, m := range twoMatches(rq) {
			b = append(b, rawPData(m.PDVs(nil, 0))...)
		}
		return b
	}), requireTwoMatches)
}

// Origin: pynetdicom 2.1 loses the second message, dcm4che merges them.
func TestProtocol30SeveralMessagesInOnePDU(t *testing.T) {
	withAssociation(t, serveFindWithBytes(func(rq dicomtest.Message) []byte {
		var pdvs []byte
		for _, m := range twoMatches(rq) {
			pdvs = m.PDVs(pdvs, 0)
		}
		return rawPData(pdvs)
	}), requireTwoMatches)
}

func TestProtocol31EveryPDUBoundaryGivesTheSame(t *testing.T) {
	// The three messages as one run of PDVs of one byte each, cut into two PDUs at
	// every place; and the plain stream cut into two segments at every byte.
	rq := dicomtest.Message{ContextID: findID, Command: dicomnet.CommandSet{CommandField: dicomnet.CFindRQ, MessageID: 1}}
	var pdvs, stream []byte
	for _, m := range twoMatches(rq) {
		pdvs = m.PDVs(pdvs, 1)
		stream = m.Append(stream)
	}
	for cut := 0; cut <= len(pdvs); cut += 7 {
		withAssociation(t, serveFindWithBytes(func(dicomtest.Message) []byte {
			return append(rawPData(pdvs[:cut]), rawPData(pdvs[cut:])...)
		}), requireTwoMatches)
	}
	for cut := range stream {
		withAssociation(t, func(p *dicomtest.Peer) {
			p.ReadRequest(dicomnet.CFindRQ)
			p.Send(stream[:cut])
			dicomtest.Wait(time.Millisecond)
			p.Send(stream[cut:])
			p.Release()
		}, requireTwoMatches)
	}
}

// breaking plays an acceptor that answers a C-FIND with something wrong and
// wants to be aborted for it.
func expectAbortAfter(source pdu.AbortSource, reason pdu.AbortReason, answer func(rq dicomtest.Message) []byte) func(p *dicomtest.Peer) {
	return func(p *dicomtest.Peer) {
		p.Send(answer(p.ReadRequest(dicomnet.CFindRQ)))
		p.ExpectAbort(source, reason)
		p.ExpectClose()
	}
}

func requireFindProtocolError(t *testing.T, a *dicomnet.Association) {
	t.Helper()
	requireProtocolError(t, runFind(t.Context(), a).err, dicomnet.StepFind)
	require.False(t, a.Usable())
}

// Origin: dicom-rs 260, DCMTK 1549d8ccc.
func TestProtocol32PDVLengths(t *testing.T) {
	for name, pdv := range map[string][]byte{
		"0":                  {0, 0, 0, 0, 1, 3},
		"1":                  {0, 0, 0, 1, 1, 3},
		"beyond the PDU":     {0, 0, 0, 9, 1, 3, 0},
		"0xFFFFFFFF":         {0xFF, 0xFF, 0xFF, 0xFF, 1, 3},
		"fewer than 4 bytes": {0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			withAssociation(t, expectAbortAfter(pdu.SourceProvider, pdu.ReasonInvalidParameter,
				func(dicomtest.Message) []byte { return rawPData(pdv) }), requireFindProtocolError)
		})
	}
}

// Origin: go-netdicom 4db8649.
func TestProtocol33OnlyTwoBitsOfTheControlHeaderCount(t *testing.T) {
	withAssociation(t, serveFindWithBytes(func(rq dicomtest.Message) []byte {
		var b []byte
		for _, m := range twoMatches(rq) {
			pdvs := m.PDVs(nil, 0)
			for i := 0; i < len(pdvs); {
				pdvs[i+5] |= 0xFC
				i += 4 + int(binary.BigEndian.Uint32(pdvs[i:]))
			}
			b = append(b, rawPData(pdvs)...)
		}
		return b
	}), requireTwoMatches)
}

// Origin: dicom-rs 828.
func TestProtocol34EmptyPDUs(t *testing.T) {
	empty := func(n int) []byte { return bytes.Repeat(rawPData(nil), n) }
	t.Run("up to the limit are tolerated", func(t *testing.T) {
		withAssociation(t, serveFindWithBytes(func(rq dicomtest.Message) []byte {
			b := empty(64)
			for _, m := range twoMatches(rq) {
				b = m.Append(b)
			}
			return b
		}), requireTwoMatches)
	})
	for name, b := range map[string][]byte{
		"PDUs without a PDV":     empty(100),
		"PDVs without a byte":    bytes.Repeat(rawPData([]byte{0, 0, 0, 2, findID, 1}), 100),
		"many PDVs without byte": rawPData(bytes.Repeat([]byte{0, 0, 0, 2, findID, 1}, 100)),
	} {
		t.Run(name, func(t *testing.T) {
			withAssociation(t, expectAbortAfter(pdu.SourceUser, pdu.ReasonNotSpecified,
				func(dicomtest.Message) []byte { return b }), requireFindLimitError)
		})
	}
}

func requireFindLimitError(t *testing.T, a *dicomnet.Association) {
	t.Helper()
	err := runFind(t.Context(), a).err
	var limit *dicomnet.LimitError
	require.ErrorAs(t, err, &limit)
	requireStep(t, err, dicomnet.StepFind)
	require.False(t, a.Usable())
}

func TestProtocol35FragmentsThatDoNotBelongTogether(t *testing.T) {
	fragment := func(id byte, command, last bool) []byte {
		return pdu.AppendPDV(nil, pdu.PDV{ContextID: id, Command: command, Last: last, Fragment: []byte{1, 2}})
	}
	withData := func(rq dicomtest.Message) []byte {
		m := dicomtest.Response(rq, dicomnet.StatusPending, nil)
		m.Command.HasDataSet = true
		return m.PDVs(nil, 0)
	}
	for name, answer := range map[string]func(rq dicomtest.Message) []byte{
		"data before the command": func(dicomtest.Message) []byte { return fragment(findID, false, true) },
		"data inside the command": func(dicomtest.Message) []byte {
			return append(fragment(findID, true, false), fragment(findID, false, true)...)
		},
		"the context changes": func(dicomtest.Message) []byte {
			return append(fragment(findID, true, false), fragment(moveID, true, true)...)
		},
		"a context that was not accepted": func(dicomtest.Message) []byte { return fragment(77, true, true) },
		"a command inside the data": func(rq dicomtest.Message) []byte {
			return append(append(withData(rq), fragment(findID, false, false)...), fragment(findID, true, true)...)
		},
		"a command in place of the data": func(rq dicomtest.Message) []byte {
			return append(withData(rq), fragment(findID, true, true)...)
		},
		"data after a final response without any": func(rq dicomtest.Message) []byte {
			// Behind the pending one, so that there is something left to read for.
			b := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")).PDVs(nil, 0)
			return append(b, fragment(findID, false, true)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			withAssociation(t, expectAbortAfter(pdu.SourceProvider, pdu.ReasonUnexpectedParameter,
				func(rq dicomtest.Message) []byte { return rawPData(answer(rq)) }), requireFindProtocolError)
		})
	}
}

func TestProtocol36HugePDULengthIsRefusedBeforeAnythingIsAllocated(t *testing.T) {
	huge := []byte{4, 0, 0xFF, 0xFF, 0xFF, 0xF0, 0, 0}
	withAssociation(t, expectAbortAfter(pdu.SourceProvider, pdu.ReasonInvalidParameter,
		func(dicomtest.Message) []byte { return huge }),
		func(t *testing.T, a *dicomnet.Association) {
			requireAllocatesLess(t, 1<<20, func() { requireFindProtocolError(t, a) })
		})
}

// requireAllocates checks what everything in the process allocates while f runs.
func requireAllocatesLess(t *testing.T, most uint64, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	t.Logf("%d KiB allocated", (after.TotalAlloc-before.TotalAlloc)>>10)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, most, "bytes allocated")
}

func TestProtocol37EndlessDataSet(t *testing.T) {
	chunk := rawPData(pdu.AppendPDV(nil, pdu.PDV{ContextID: findID, Fragment: make([]byte, 16000)}))
	tiny := rawPData(bytes.Repeat(pdu.AppendPDV(nil, pdu.PDV{ContextID: findID, Fragment: []byte{0, 0}}), 1000))
	for name, b := range map[string][]byte{
		"in large fragments": bytes.Repeat(chunk, 70),
		"in tiny fragments":  bytes.Repeat(tiny, 5),
	} {
		t.Run(name, func(t *testing.T) {
			withAssociation(t, expectAbortAfter(pdu.SourceUser, pdu.ReasonNotSpecified, func(rq dicomtest.Message) []byte {
				m := dicomtest.Response(rq, dicomnet.StatusPending, nil)
				m.Command.HasDataSet = true
				return append(m.Append(nil), b...)
			}), func(t *testing.T, a *dicomnet.Association) {
				requireAllocatesLess(t, 10<<20, func() { requireFindLimitError(t, a) })
			})
		})
	}
	t.Run("command set", func(t *testing.T) {
		fragment := rawPData(pdu.AppendPDV(nil, pdu.PDV{ContextID: findID, Command: true, Fragment: make([]byte, 16000)}))
		withAssociation(t, expectAbortAfter(pdu.SourceUser, pdu.ReasonNotSpecified,
			func(dicomtest.Message) []byte { return bytes.Repeat(fragment, 2) }), requireFindLimitError)
	})
	t.Run("all matches of an operation together", func(t *testing.T) {
		withPeer(t, func(p *dicomtest.Peer) {
			p.Accept()
			rq := p.ReadRequest(dicomnet.CFindRQ)
			m := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1"))
			p.SendMessage(m, m, m, m, m, m, m, m, m, m, m, m)
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		}, func(t *testing.T, cfg dicomnet.Config) {
			cfg.Limits.MaxOperationBytes = 1000
			a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
			require.NoError(t, err)
			requireFindLimitError(t, a)
		})
	})
}

func TestProtocol38OddFragmentsAreTaken(t *testing.T) {
	withAssociation(t, serveFindWithBytes(func(rq dicomtest.Message) []byte {
		var b []byte
		for _, m := range twoMatches(rq) {
			b = append(b, rawPData(m.PDVs(nil, 3))...)
		}
		return b
	}), requireTwoMatches)
}

// Origin: DCMTK's DUL_NextPDV misreads several PDVs of unequal size; dicom-rs 158.
func TestProtocol39OwnRequestsAreOneWriteOfOnePDVAPDU(t *testing.T) {
	withPeer(t, func(p *dicomtest.Peer) {
		p.ReadAssociateRQ()
		ac := p.AC("")
		ac.User.MaxLength = 64
		p.SendPDU(ac)
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		p.Release()
	}, func(t *testing.T, cfg dicomnet.Config) {
		dial := cfg.DialContext
		rec := &recorder{}
		cfg.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			rec.Conn = conn
			return rec, err
		}
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.NoError(t, runFind(t.Context(), a).err)
		require.NoError(t, a.Close())
		require.Len(t, rec.writes, 3, "A-ASSOCIATE-RQ, the whole C-FIND-RQ, A-RELEASE-RQ")
		requireOnePDVPerPDU(t, rec.writes[1], 64)
	})
}

// requireOnePDVAPDU checks that b is P-DATA-TF PDUs of one PDV and at most most
// bytes each, fragments of even length.
func requireOnePDVPerPDU(t *testing.T, b []byte, most uint32) {
	t.Helper()
	require.NotEmpty(t, b)
	for len(b) > 0 {
		require.EqualValues(t, pdu.TypePDataTF, b[0])
		n := binary.BigEndian.Uint32(b[2:])
		require.LessOrEqual(t, n, most)
		v, rest, ok, err := pdu.NextPDV(b[6 : 6+n])
		require.NoError(t, err)
		require.True(t, ok)
		require.Empty(t, rest, "a second PDV")
		require.Zero(t, len(v.Fragment)%2)
		b = b[6+n:]
	}
}

// Origin: dicom-rs 712, 694, 604.
func TestPDULongerThanOurMaximumIsTakenUpToATolerance(t *testing.T) {
	// A data set of one long UT value, sent in one PDU whatever we advertised.
	long := func(n int) []byte {
		b := append(match("1.1"), 0x40, 0x00, 0x0A, 0xA1) // (0040,A10A)
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
		return append(b, bytes.Repeat([]byte(" "), n)...)
	}
	answer := func(n int) func(rq dicomtest.Message) []byte {
		return func(rq dicomtest.Message) []byte {
			b := rawPData(dicomtest.Response(rq, dicomnet.StatusPending, long(n)).PDVs(nil, 0))
			return dicomtest.Response(rq, dicomnet.StatusSuccess, nil).Append(b)
		}
	}
	withAssociation(t, serveFindWithBytes(answer(100_000)), func(t *testing.T, a *dicomnet.Association) {
		f := runFind(t.Context(), a)
		require.NoError(t, f.err)
		require.Equal(t, []string{"1.1"}, f.uids)
	})
	withAssociation(t, expectAbortAfter(pdu.SourceProvider, pdu.ReasonInvalidParameter, answer(131_072)), requireFindProtocolError)
}

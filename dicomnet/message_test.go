package dicomnet_test

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// serveFindWithBytes answers one C-FIND with the bytes that answer returns, then the release.
func serveFindWithBytes(answer func(rq dicomtest.Message) []byte) func(p *dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) {
		p.Send(answer(p.ReadRequest(dicomnet.CFindRQ)))
		p.Release()
	}
}

// twoMatches returns two matches and the final response.
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

func TestFindJoinsFragmentsFromManyPDUs(t *testing.T) {
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

// See dicom-rs #522.
func TestFindReadsCommandAndDataSetFromOnePDU(t *testing.T) {
	withAssociation(t, serveFindWithBytes(func(rq dicomtest.Message) []byte {
		var b []byte
		for _, m := range twoMatches(rq) {
			b = append(b, rawPData(m.PDVs(nil, 0))...)
		}
		return b
	}), requireTwoMatches)
}

// pynetdicom 2.1 loses the second message, dcm4che merges them.
func TestFindReadsSeveralMessagesFromOnePDU(t *testing.T) {
	withAssociation(t, serveFindWithBytes(func(rq dicomtest.Message) []byte {
		var pdvs []byte
		for _, m := range twoMatches(rq) {
			pdvs = m.PDVs(pdvs, 0)
		}
		return rawPData(pdvs)
	}), requireTwoMatches)
}

func TestFindReturnsTheSameForEveryPDUAndSegmentBoundary(t *testing.T) {
	// pdvs holds the three messages in PDVs of one byte each, which are split into two PDUs between
	// any two of them. stream holds the messages as usual, split into two segments at every byte.
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
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			p.ReadRequest(dicomnet.CFindRQ)
			p.Send(stream[:cut])
			dicomtest.Wait(time.Millisecond)
			p.Send(stream[cut:])
			p.Release()
		}, requireTwoMatches)
	}
}

// expectAbortAfter answers a C-FIND with invalid bytes and expects an A-ABORT.
func expectAbortAfter(source pdu.AbortSource, reason pdu.AbortReason, answer func(rq dicomtest.Message) []byte) func(p *dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) {
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

// See dicom-rs #260, DCMTK commit 1549d8ccc.
func TestInvalidPDVLengthAbortsTheAssociation(t *testing.T) {
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

// See go-netdicom commit 4db8649.
func TestReservedBitsOfTheMessageControlHeaderAreIgnored(t *testing.T) {
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

// See dicom-rs #828.
func TestEmptyPDUsAndPDVsAreLimited(t *testing.T) {
	empty := func(n int) []byte { return bytes.Repeat(rawPData(nil), n) }
	t.Run("up to the limit", func(t *testing.T) {
		withAssociation(t, serveFindWithBytes(func(rq dicomtest.Message) []byte {
			b := empty(64)
			for _, m := range twoMatches(rq) {
				b = m.Append(b)
			}
			return b
		}), requireTwoMatches)
	})
	for name, b := range map[string][]byte{
		"PDUs without a PDV":      empty(100),
		"PDUs with an empty PDV":  bytes.Repeat(rawPData([]byte{0, 0, 0, 2, findID, 1}), 100),
		"one PDU with empty PDVs": rawPData(bytes.Repeat([]byte{0, 0, 0, 2, findID, 1}, 100)),
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

func TestMisplacedFragmentAbortsTheAssociation(t *testing.T) {
	fragment := func(id byte, command, last bool) []byte {
		return pdu.AppendPDV(nil, pdu.PDV{ContextID: id, Command: command, Last: last, Fragment: []byte{1, 2}})
	}
	withData := func(rq dicomtest.Message) []byte {
		m := dicomtest.Response(rq, dicomnet.StatusPending, nil)
		m.Command.HasDataSet = true
		return m.PDVs(nil, 0)
	}
	for name, answer := range map[string]func(rq dicomtest.Message) []byte{
		"a data set before the command set": func(dicomtest.Message) []byte { return fragment(findID, false, true) },
		"a data set within the command set": func(dicomtest.Message) []byte {
			return append(fragment(findID, true, false), fragment(findID, false, true)...)
		},
		"another presentation context within a message": func(dicomtest.Message) []byte {
			return append(fragment(findID, true, false), fragment(moveID, true, true)...)
		},
		"a presentation context that was not accepted": func(dicomtest.Message) []byte { return fragment(77, true, true) },
		"a command set within the data set": func(rq dicomtest.Message) []byte {
			return append(append(withData(rq), fragment(findID, false, false)...), fragment(findID, true, true)...)
		},
		"a command set instead of the data set": func(rq dicomtest.Message) []byte {
			return append(withData(rq), fragment(findID, true, true)...)
		},
		"a second data set after a message": func(rq dicomtest.Message) []byte {
			// The fragment follows a pending response, so that the requestor continues to read.
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

func TestHugePDULengthAbortsBeforeAllocation(t *testing.T) {
	huge := []byte{4, 0, 0xFF, 0xFF, 0xFF, 0xF0, 0, 0}
	withAssociation(t, expectAbortAfter(pdu.SourceProvider, pdu.ReasonInvalidParameter,
		func(dicomtest.Message) []byte { return huge }),
		func(t *testing.T, a *dicomnet.Association) {
			requireAllocatesLess(t, 1<<20, func() { requireFindProtocolError(t, a) })
		})
}

// requireAllocatesLess checks how many bytes the whole process allocates while f runs.
func requireAllocatesLess(t *testing.T, limit uint64, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	t.Logf("%d KiB allocated", (after.TotalAlloc-before.TotalAlloc)>>10)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, limit, "bytes allocated")
}

func TestEndlessMessagesExceedTheLimits(t *testing.T) {
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
	t.Run("the matches of an operation together", func(t *testing.T) {
		withPeer(t, func(p *dicomtest.ScriptedPeer) {
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

func TestFindAcceptsFragmentsOfOddLength(t *testing.T) {
	withAssociation(t, serveFindWithBytes(func(rq dicomtest.Message) []byte {
		var b []byte
		for _, m := range twoMatches(rq) {
			b = append(b, rawPData(m.PDVs(nil, 3))...)
		}
		return b
	}), requireTwoMatches)
}

// DUL_NextPDV of DCMTK misreads several PDVs of unequal size. See also dicom-rs #158.
func TestRequestIsOneWriteWithOnePDVPerPDU(t *testing.T) {
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadAssociateRQ()
		ac := p.AC("")
		ac.User.MaxLength = 64
		p.SendPDU(ac)
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		p.Release()
	}, func(t *testing.T, cfg dicomnet.Config) {
		rec := record(&cfg)
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.NoError(t, runFind(t.Context(), a).err)
		require.NoError(t, a.Close())
		require.Len(t, rec.writes, 3, "A-ASSOCIATE-RQ, the whole C-FIND-RQ, A-RELEASE-RQ")
		requireOnePDVPerPDU(t, rec.writes[1], 64)
	})
}

// requireOnePDVPerPDU checks that b consists of P-DATA-TF PDUs with a body of at most limit bytes,
// each with one PDV and a fragment of even length.
func requireOnePDVPerPDU(t *testing.T, b []byte, limit uint32) {
	t.Helper()
	require.NotEmpty(t, b)
	for len(b) > 0 {
		require.EqualValues(t, pdu.TypePDataTF, b[0])
		n := binary.BigEndian.Uint32(b[2:])
		require.LessOrEqual(t, n, limit)
		v, rest, ok, err := pdu.NextPDV(b[6 : 6+n])
		require.NoError(t, err)
		require.True(t, ok)
		require.Empty(t, rest, "the PDU has a second PDV")
		require.Zero(t, len(v.Fragment)%2)
		b = b[6+n:]
	}
}

// See dicom-rs #712, #694 and #604.
func TestPDUsLongerThanAdvertisedAreAcceptedUpToALimit(t *testing.T) {
	// long returns a data set with one long UT value, to be sent in one PDU despite the advertised
	// length.
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

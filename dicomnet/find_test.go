package dicomnet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// serveFindWith answers one C-FIND with messages and then the release.
func serveFindWith(answer func(rq dicomtest.Message) []dicomtest.Message) func(p *dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) {
		p.SendMessage(answer(p.ReadRequest(dicomnet.CFindRQ))...)
		p.Release()
	}
}

func TestFindYieldsNothingWithoutAMatch(t *testing.T) {
	withAssociation(t, serveFindWith(func(rq dicomtest.Message) []dicomtest.Message {
		return []dicomtest.Message{dicomtest.Response(rq, dicomnet.StatusSuccess, nil)}
	}), func(t *testing.T, a *dicomnet.Association) {
		require.Equal(t, findResult{}, runFind(t.Context(), a))
	})
}

func TestFindYieldsMatchesAndFlagsUnsupportedKeys(t *testing.T) {
	withAssociation(t, serveFindWith(func(rq dicomtest.Message) []dicomtest.Message {
		return []dicomtest.Message{
			dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")),
			dicomtest.Response(rq, dicomnet.StatusPendingWarning, match("1.2")),
			dicomtest.Response(rq, dicomnet.StatusPending, match("1.3")),
			dicomtest.Response(rq, dicomnet.StatusSuccess, nil),
		}
	}), func(t *testing.T, a *dicomnet.Association) {
		require.Equal(t, findResult{uids: []string{"1.1", "1.2", "1.3"}, unsupported: 1}, runFind(t.Context(), a))
	})
}

// withDataSetType sets the Command Data Set Type of an encoded command set.
func withDataSetType(command []byte, value uint16) []byte {
	_, after, _ := bytes.Cut(command, []byte("\x00\x00\x00\x08\x02\x00\x00\x00"))
	binary.LittleEndian.PutUint16(after, value)
	return command
}

// See pynetdicom #571, DCMTK #1045.
func TestFindReadsTheDataSetOfAFinalResponse(t *testing.T) {
	for _, present := range []uint16{0x0000, 0x0001, 0x0102, 0x0202} {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			m := dicomtest.Response(rq, 0xA700, nil)
			b := pdu.AppendMessagePart(nil, findID, true, withDataSetType(m.Command.Append(nil), present), 16384)
			p.Send(pdu.AppendMessagePart(b, findID, false, match("1.1"), 16384))
			p.Release()
		}, func(t *testing.T, a *dicomnet.Association) {
			f := runFind(t.Context(), a)
			require.Empty(t, f.uids)
			var failed *dicomnet.StatusError
			require.ErrorAs(t, f.err, &failed)
			require.NoError(t, a.Close(), "the data set has been read")
		})
	}
	t.Run("a data set with the final success is a match (dicom-rs #434)", func(t *testing.T) {
		withAssociation(t, serveFindWith(func(rq dicomtest.Message) []dicomtest.Message {
			return []dicomtest.Message{dicomtest.Response(rq, dicomnet.StatusSuccess, match("1.1"))}
		}), func(t *testing.T, a *dicomnet.Association) {
			require.Equal(t, findResult{uids: []string{"1.1"}}, runFind(t.Context(), a))
		})
	})
}

// Seen with Orthanc 1.10.
func TestFindIgnoresTheDataSetOfACancelResponse(t *testing.T) {
	withAssociation(t, serveFindWith(func(rq dicomtest.Message) []dicomtest.Message {
		return []dicomtest.Message{dicomtest.Response(rq, dicomnet.StatusCancel, match("1.1"))}
	}), func(t *testing.T, a *dicomnet.Association) {
		f := runFind(t.Context(), a)
		require.Empty(t, f.uids)
		require.EqualError(t, f.err, "find: status FE00: matching terminated due to cancel request")
		require.NoError(t, a.Close())
	})
}

// DCMTK accepts such peers as well.
func TestFindReadsADataSetThatThePendingResponseDoesNotAnnounce(t *testing.T) {
	silent := func(rq dicomtest.Message) dicomtest.Message {
		return dicomtest.Response(rq, dicomnet.StatusPending, nil)
	}
	t.Run("a data set follows", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			b := silent(rq).Append(nil)
			b = pdu.AppendMessagePart(b, findID, false, match("1.1"), 16384)
			b = silent(rq).Append(b)
			b = pdu.AppendMessagePart(b, findID, false, match("1.2"), 16384)
			p.Send(dicomtest.Response(rq, dicomnet.StatusSuccess, nil).Append(b))
			p.Release()
		}, requireTwoMatches)
	})
	t.Run("no data set follows: a match without elements", func(t *testing.T) {
		withAssociation(t, serveFindWith(func(rq dicomtest.Message) []dicomtest.Message {
			return []dicomtest.Message{silent(rq), silent(rq), dicomtest.Response(rq, dicomnet.StatusSuccess, nil)}
		}), func(t *testing.T, a *dicomnet.Association) {
			require.Equal(t, findResult{uids: []string{"", ""}}, runFind(t.Context(), a))
		})
	})
}

// See fo-dicom #648 (private statuses) and #1104 (control characters).
func TestFindReturnsTheFinalStatus(t *testing.T) {
	for _, test := range []struct {
		status dicomnet.Status
		class  dicomnet.StatusClass
		text   string
	}{
		{0xA700, dicomnet.ClassFailure, "refused: out of resources"},
		{0xA900, dicomnet.ClassFailure, "identifier does not match SOP class"},
		{0xA801, dicomnet.ClassFailure, "refused: out of resources or identifier not acceptable"},
		{0xC123, dicomnet.ClassFailure, "unable to process"},
		{0x0124, dicomnet.ClassFailure, "refused: not authorized"},
		{0x0199, dicomnet.ClassFailure, "failure"},
		{0xB000, dicomnet.ClassWarning, "warning"},
		{0xFFFE, dicomnet.ClassUnknown, "unknown status"},
		{0xFF02, dicomnet.ClassUnknown, "unknown status"},
		{0x1234, dicomnet.ClassUnknown, "unknown status"},
	} {
		t.Run(test.status.String(), func(t *testing.T) {
			withAssociation(t, serveFindWith(func(rq dicomtest.Message) []dicomtest.Message {
				m := dicomtest.Response(rq, test.status, nil)
				m.Command.Detail = dicomnet.StatusDetail{
					ErrorComment: "too\x1b[2J broad\r\n", ErrorID: 7, OffendingElements: []uint32{0x0020000D, 0x00100020},
				}
				return []dicomtest.Message{dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")), m}
			}), func(t *testing.T, a *dicomnet.Association) {
				f := runFind(t.Context(), a)
				require.Equal(t, []string{"1.1"}, f.uids)
				var failed *dicomnet.StatusError
				require.ErrorAs(t, f.err, &failed)
				require.Equal(t, test.class, failed.Status.Class())
				require.EqualError(t, failed, "status "+test.status.String()+": "+test.text)
				require.Equal(t, dicomnet.StatusDetail{
					ErrorComment: "too.[2J broad", ErrorID: 7, OffendingElements: []uint32{0x0020000D, 0x00100020},
				}, failed.Detail)
				require.True(t, a.Usable())
			})
		})
	}
}

// See pynetdicom #875.
func TestFindAbortsOnAResponseToAnotherRequest(t *testing.T) {
	for name, edit := range map[string]func(m *dicomtest.Message){
		"another message ID": func(m *dicomtest.Message) { m.Command.MessageIDBeingRespondedTo++ },
		"another command":    func(m *dicomtest.Message) { m.Command.CommandField = dicomnet.CMoveRSP },
		"a request":          func(m *dicomtest.Message) { m.Command.CommandField = dicomnet.CFindRQ },
		"another context":    func(m *dicomtest.Message) { m.ContextID = moveID },
	} {
		t.Run(name, func(t *testing.T) {
			withAssociation(t, expectAbortAfter(pdu.SourceProvider, pdu.ReasonUnexpectedParameter, func(rq dicomtest.Message) []byte {
				m := dicomtest.Response(rq, dicomnet.StatusSuccess, nil)
				edit(&m)
				return m.Append(nil)
			}), requireFindProtocolError)
		})
	}
	t.Run("without a status", func(t *testing.T) {
		withAssociation(t, expectAbortAfter(pdu.SourceProvider, pdu.ReasonInvalidParameter, func(rq dicomtest.Message) []byte {
			m := dicomtest.Response(rq, dicomnet.StatusSuccess, nil)
			b := m.Command.Append(nil)
			return pdu.AppendMessagePart(nil, findID, true, b[:len(b)-10], 16384)
		}), requireFindProtocolError)
	})
}

func TestFindEncodesItsKeysBeforeSending(t *testing.T) {
	t.Run("a range of odd length is padded with a space", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			if i := bytes.Index(rq.Data, []byte("20240101-20241231")); i < 0 || rq.Data[i+17] != ' ' || len(rq.Data)%2 != 0 {
				p.Failf("identifier %q", rq.Data)
			}
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
			p.Release()
		}, func(t *testing.T, a *dicomnet.Association) {
			q := query()
			q.Elements = append(q.Elements, dataset.Text(tag.StudyDate, "20240101-20241231"))
			for _, err := range a.Find(t.Context(), dicomnet.StudyRoot, q) {
				require.NoError(t, err)
			}
		})
	})
	t.Run("an identifier that cannot be encoded is not sent", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) { p.Release() }, func(t *testing.T, a *dicomnet.Association) {
			q := query()
			q.Elements[2] = dataset.Text(tag.PatientID, "日本")
			for _, err := range a.Find(t.Context(), dicomnet.StudyRoot, q) {
				var invalid *dicomnet.ConfigError
				require.ErrorAs(t, err, &invalid)
				require.NotContains(t, err.Error(), "日本")
			}
			require.True(t, a.Usable())
		})
	})
}

// Package qr rejects wildcards in UIDs before they reach this package.
func TestFindSendsAListOfUIDs(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		if !bytes.Contains(rq.Data, []byte(`1.2\1.3\1.4`+"\x00")) {
			p.Failf("identifier %q", rq.Data)
		}
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		q := query()
		q.Elements[3] = dataset.Text(tag.StudyInstanceUID, "1.2", "1.3", "1.4")
		for _, err := range a.Find(t.Context(), dicomnet.StudyRoot, q) {
			require.NoError(t, err)
		}
	})
}

func TestFindDecodesSequencesAndCharacterSets(t *testing.T) {
	element := func(group, number uint16, value string) string {
		b := binary.LittleEndian.AppendUint16(nil, group)
		b = binary.LittleEndian.AppendUint16(b, number)
		return string(binary.LittleEndian.AppendUint32(b, uint32(len(value)))) + value
	}
	name := func(value string) string { return element(0x0010, 0x0010, value) }
	charset := func(value string) string { return element(0x0008, 0x0005, value) }
	const item, endItem, endSequence = "\xfe\xff\x00\xe0\xff\xff\xff\xff", "\xfe\xff\x0d\xe0\x00\x00\x00\x00", "\xfe\xff\xdd\xe0\x00\x00\x00\x00"
	nested := func(depth int) string {
		open := "\x08\x00\x10\x11\xff\xff\xff\xff" + item
		return strings.Repeat(open, depth) + strings.Repeat(endItem+endSequence, depth)
	}
	for what, test := range map[string]struct {
		data, want string
		warning    dataset.Warnings
		lost       bool
	}{
		"sequences of undefined length, 3 deep": {data: nested(3) + name("DOE^JOHN"), want: "DOE^JOHN"},
		"sequences 1000 deep":                   {data: nested(1000) + name("DOE^JOHN"), lost: true},
		"a value longer than the data set":      {data: name("DOE") + "\x20\x00\x10\x00\xff\xff\x00\x00", lost: true},
		"ISO_IR 166 (Thai)":                     {data: charset("ISO_IR 166") + name("\xb9\xd2\xc1 "), want: "นาม"},
		"a binary value as character set":       {data: charset("\x01\x00") + name("DOE^JOHN"), want: "DOE^JOHN"},
		"no character set, Latin-1":             {data: name("M\xfcller"), want: "Müller", warning: dataset.CharacterSetAssumed},
		"no character set, UTF-8":               {data: name("M\xc3\xbcller "), want: "Müller", warning: dataset.CharacterSetAssumed},
		"ISO 2022 IR 149 (Korean, PS3.5 I.2)":   {data: charset(`\ISO 2022 IR 149`) + name("\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf "), want: "김희중"},
		"GB18030 (Chinese, PS3.5 J.3)":          {data: charset("GB18030 ") + name("\xcd\xf5^\xd0\xa1\xb6\xab "), want: "王^小东"},
	} {
		t.Run(what, func(t *testing.T) {
			withAssociation(t, serveFindWith(func(rq dicomtest.Message) []dicomtest.Message {
				return []dicomtest.Message{
					dicomtest.Response(rq, dicomnet.StatusPending, []byte(test.data)),
					dicomtest.Response(rq, dicomnet.StatusPending, match("1.2")),
					dicomtest.Response(rq, dicomnet.StatusSuccess, nil),
				}
			}), func(t *testing.T, a *dicomnet.Association) {
				var names []string
				var warnings dataset.Warnings
				lost := 0
				for m, err := range a.Find(t.Context(), dicomnet.StudyRoot, query()) {
					if _, undecodable := errors.AsType[*dicomnet.DataSetError](err); undecodable {
						lost++
						continue
					}
					require.NoError(t, err)
					if name := m.String(tag.PatientName); name != "" {
						names, warnings = append(names, name), m.Warnings()
					}
				}
				if test.lost {
					require.Equal(t, 1, lost)
					return
				}
				require.Zero(t, lost)
				require.Equal(t, []string{test.want}, names)
				require.Equal(t, test.warning, warnings&dataset.CharacterSetAssumed)
			})
		})
	}
}

func TestFindContinuesAfterAnUndecodableDataSet(t *testing.T) {
	withAssociation(t, serveFindWith(func(rq dicomtest.Message) []dicomtest.Message {
		broken := append(match("1.2"), 0x20, 0, 0x10, 0, 0xFF, 0xFF, 0, 0)
		return []dicomtest.Message{
			dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")),
			dicomtest.Response(rq, dicomnet.StatusPending, broken),
			dicomtest.Response(rq, dicomnet.StatusPending, match("1.3")),
			dicomtest.Response(rq, dicomnet.StatusSuccess, nil),
		}
	}), func(t *testing.T, a *dicomnet.Association) {
		require.Equal(t, findResult{uids: []string{"1.1", "1.3"}, undecodable: 1}, runFind(t.Context(), a))
	})
}

func TestFindReadsExplicitVR(t *testing.T) {
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadAssociateRQ()
		p.SendPDU(p.AC(dataset.ExplicitVRLittleEndian))
		rq := p.ReadRequest(dicomnet.CFindRQ)
		data, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{
			dataset.Text(tag.StudyInstanceUID, "1.5"),
		}}, dataset.ExplicitVRLittleEndian)
		if err != nil {
			p.Failf("%w", err)
		}
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, data), dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		p.Release()
	}, func(t *testing.T, cfg dicomnet.Config) {
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.Equal(t, findResult{uids: []string{"1.5"}}, runFind(t.Context(), a))
		require.NoError(t, a.Close())
	})
}

// TestFindDoesNotAccumulateMemory compares the heap after a few matches with the heap after
// thousands more, inside the loop.
func TestFindDoesNotAccumulateMemory(t *testing.T) {
	const matches = 20_000
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
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
				dicomtest.Wait(time.Second) // until the peer has written everything
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

// Seen with archives that keep elements of old files as they are (fo-dicom #179, #598).
func TestFindReadsAMatchWithABlankVR(t *testing.T) {
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadAssociateRQ()
		p.SendPDU(p.AC(dataset.ExplicitVRLittleEndian))
		serveFindWith(func(rq dicomtest.Message) []dicomtest.Message {
			return []dicomtest.Message{
				dicomtest.Response(rq, dicomnet.StatusPending, []byte(""+
					"\x10\x00\x20\x00LO\x02\x00P1"+
					"\x10\x00\x40\x00  \x02\x00F "+
					"\x20\x00\x0d\x00UI\x04\x001.1\x00")),
				dicomtest.Response(rq, dicomnet.StatusSuccess, nil),
			}
		})(p)
	}, func(t *testing.T, cfg dicomnet.Config) {
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.Equal(t, findResult{uids: []string{"1.1"}}, runFind(t.Context(), a))
		_ = a.Close()
	})
}

package dicomnet_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// finding plays an acceptor that answers one C-FIND with messages and is then
// released.
func finding(answer func(rq dicomtest.Message) []dicomtest.Message) func(p *dicomtest.Peer) {
	return func(p *dicomtest.Peer) {
		p.SendMessage(answer(p.ReadRequest(dicomnet.CFindRQ))...)
		p.Release()
	}
}

func TestProtocol40Echo(t *testing.T) {
	for status, want := range map[dicomnet.Status]string{
		0x0000: "",
		0x0122: "echo: status 0122: refused: SOP class not supported",
		0x0211: "echo: status 0211: unrecognized operation",
	} {
		t.Run(status.String(), func(t *testing.T) {
			associated(t, func(p *dicomtest.Peer) {
				rq := p.ReadRequest(dicomnet.CEchoRQ)
				require.Equal(t, dicomnet.VerificationSOPClass, rq.Command.AffectedSOPClassUID)
				require.EqualValues(t, 1, rq.Command.MessageID)
				require.False(t, rq.Command.HasDataSet)
				p.SendMessage(dicomtest.Response(rq, status, nil))
				p.Release()
			}, func(t *testing.T, a *dicomnet.Association) {
				err := a.Echo(t.Context())
				require.True(t, a.Usable(), "a status ends the operation, not the association")
				if want == "" {
					require.NoError(t, err)
					return
				}
				require.EqualError(t, err, want)
				var failed *dicomnet.StatusError
				require.ErrorAs(t, err, &failed)
				require.Equal(t, status, failed.Status)
			})
		})
	}
}

func TestProtocol41NoMatch(t *testing.T) {
	associated(t, finding(func(rq dicomtest.Message) []dicomtest.Message {
		return []dicomtest.Message{dicomtest.Response(rq, dicomnet.StatusSuccess, nil)}
	}), func(t *testing.T, a *dicomnet.Association) {
		require.Equal(t, found{}, find(t.Context(), a))
	})
}

func TestProtocol42MatchesAndUnsupportedOptionalKeys(t *testing.T) {
	associated(t, finding(func(rq dicomtest.Message) []dicomtest.Message {
		return []dicomtest.Message{
			dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")),
			dicomtest.Response(rq, dicomnet.StatusPendingWarning, match("1.2")),
			dicomtest.Response(rq, dicomnet.StatusPending, match("1.3")),
			dicomtest.Response(rq, dicomnet.StatusSuccess, nil),
		}
	}), func(t *testing.T, a *dicomnet.Association) {
		require.Equal(t, found{uids: []string{"1.1", "1.2", "1.3"}, unsupported: 1}, find(t.Context(), a))
	})
}

// withDataSetType sets the Command Data Set Type of an encoded command set.
func withDataSetType(command []byte, value uint16) []byte {
	_, after, _ := bytes.Cut(command, []byte("\x00\x00\x00\x08\x02\x00\x00\x00"))
	binary.LittleEndian.PutUint16(after, value)
	return command
}

// Origin: pynetdicom 571, DCMTK 1045.
func TestProtocol43FinalResponseWithADataSet(t *testing.T) {
	for _, present := range []uint16{0x0000, 0x0001, 0x0102, 0x0202} {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			m := dicomtest.Response(rq, 0xA700, nil)
			b := pdu.AppendMessagePart(nil, findID, true, withDataSetType(m.Command.Append(nil), present), 16384)
			p.Send(pdu.AppendMessagePart(b, findID, false, match("1.1"), 16384))
			p.Release()
		}, func(t *testing.T, a *dicomnet.Association) {
			f := find(t.Context(), a)
			require.Empty(t, f.uids)
			var failed *dicomnet.StatusError
			require.ErrorAs(t, f.err, &failed)
			require.NoError(t, a.Close(), "the data set is out of the way")
		})
	}
	t.Run("a match that comes with the final success counts (dicom-rs 434)", func(t *testing.T) {
		associated(t, finding(func(rq dicomtest.Message) []dicomtest.Message {
			return []dicomtest.Message{dicomtest.Response(rq, dicomnet.StatusSuccess, match("1.1"))}
		}), func(t *testing.T, a *dicomnet.Association) {
			require.Equal(t, found{uids: []string{"1.1"}}, find(t.Context(), a))
		})
	})
}

// Origin: Orthanc 1.10.
func TestProtocol44CancelStatusWithADataSet(t *testing.T) {
	associated(t, finding(func(rq dicomtest.Message) []dicomtest.Message {
		return []dicomtest.Message{dicomtest.Response(rq, dicomnet.StatusCancel, match("1.1"))}
	}), func(t *testing.T, a *dicomnet.Association) {
		f := find(t.Context(), a)
		require.Empty(t, f.uids)
		require.EqualError(t, f.err, "find: status FE00: matching terminated due to cancel request")
		require.NoError(t, a.Close())
	})
}

// Origin: a peer that DCMTK makes room for.
func TestProtocol45PendingResponseThatAnnouncesNoDataSet(t *testing.T) {
	silent := func(rq dicomtest.Message) dicomtest.Message {
		return dicomtest.Response(rq, dicomnet.StatusPending, nil)
	}
	t.Run("one follows anyway", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			b := silent(rq).Append(nil)
			b = pdu.AppendMessagePart(b, findID, false, match("1.1"), 16384)
			b = silent(rq).Append(b)
			b = pdu.AppendMessagePart(b, findID, false, match("1.2"), 16384)
			p.Send(dicomtest.Response(rq, dicomnet.StatusSuccess, nil).Append(b))
			p.Release()
		}, requireTwo)
	})
	t.Run("none follows: a match without elements", func(t *testing.T) {
		associated(t, finding(func(rq dicomtest.Message) []dicomtest.Message {
			return []dicomtest.Message{silent(rq), silent(rq), dicomtest.Response(rq, dicomnet.StatusSuccess, nil)}
		}), func(t *testing.T, a *dicomnet.Association) {
			require.Equal(t, found{uids: []string{"", ""}}, find(t.Context(), a))
		})
	})
}

// Origin: fo-dicom 648 (private statuses) and 1104 (control characters).
func TestProtocol46FinalStatuses(t *testing.T) {
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
			associated(t, finding(func(rq dicomtest.Message) []dicomtest.Message {
				m := dicomtest.Response(rq, test.status, nil)
				m.Command.Detail = dicomnet.StatusDetail{
					ErrorComment: "too\x1b[2J broad\r\n", ErrorID: 7, OffendingElements: []uint32{0x0020000D, 0x00100020},
				}
				return []dicomtest.Message{dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")), m}
			}), func(t *testing.T, a *dicomnet.Association) {
				f := find(t.Context(), a)
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

// Origin: pynetdicom 875.
func TestProtocol47ResponseThatIsNotToThisRequest(t *testing.T) {
	for name, edit := range map[string]func(m *dicomtest.Message){
		"another message ID": func(m *dicomtest.Message) { m.Command.MessageIDBeingRespondedTo++ },
		"another message":    func(m *dicomtest.Message) { m.Command.CommandField = dicomnet.CMoveRSP },
		"a request":          func(m *dicomtest.Message) { m.Command.CommandField = dicomnet.CFindRQ },
		"another context":    func(m *dicomtest.Message) { m.ContextID = moveID },
	} {
		t.Run(name, func(t *testing.T) {
			associated(t, breaking(pdu.SourceProvider, pdu.ReasonUnexpectedParameter, func(rq dicomtest.Message) []byte {
				m := dicomtest.Response(rq, dicomnet.StatusSuccess, nil)
				edit(&m)
				return m.Append(nil)
			}), requireBroken)
		})
	}
	t.Run("without a status", func(t *testing.T) {
		associated(t, breaking(pdu.SourceProvider, pdu.ReasonInvalidParameter, func(rq dicomtest.Message) []byte {
			m := dicomtest.Response(rq, dicomnet.StatusSuccess, nil)
			b := m.Command.Append(nil)
			return pdu.AppendMessagePart(nil, findID, true, b[:len(b)-10], 16384)
		}), requireBroken)
	})
}

func TestProtocol56KeysAreChecked(t *testing.T) {
	t.Run("an odd range is padded with a space", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
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
	t.Run("what cannot be encoded is not sent", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) { p.Release() }, func(t *testing.T, a *dicomnet.Association) {
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

func TestProtocol57DataSetThatCannotBeReadCostsOneMatch(t *testing.T) {
	associated(t, finding(func(rq dicomtest.Message) []dicomtest.Message {
		broken := append(match("1.2"), 0x20, 0, 0x10, 0, 0xFF, 0xFF, 0, 0)
		return []dicomtest.Message{
			dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")),
			dicomtest.Response(rq, dicomnet.StatusPending, broken),
			dicomtest.Response(rq, dicomnet.StatusPending, match("1.3")),
			dicomtest.Response(rq, dicomnet.StatusSuccess, nil),
		}
	}), func(t *testing.T, a *dicomnet.Association) {
		require.Equal(t, found{uids: []string{"1.1", "1.3"}, undecodable: 1}, find(t.Context(), a))
	})
}

func TestMessageIDsCountAndSkipZero(t *testing.T) {
	if testing.Short() {
		return
	}
	const turns = 65537
	var first, last uint16
	associated(t, func(p *dicomtest.Peer) {
		for range turns {
			rq := p.ReadRequest(dicomnet.CEchoRQ)
			if first == 0 {
				first = rq.Command.MessageID
			}
			if last = rq.Command.MessageID; last == 0 {
				p.Failf("message ID 0")
			}
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		}
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		for range turns {
			require.NoError(t, a.Echo(t.Context()))
		}
	})
	require.EqualValues(t, 1, first)
	require.EqualValues(t, 2, last)
}

func TestFindInExplicitVR(t *testing.T) {
	against(t, func(p *dicomtest.Peer) {
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
		require.Equal(t, found{uids: []string{"1.5"}}, find(t.Context(), a))
		require.NoError(t, a.Close())
	})
}

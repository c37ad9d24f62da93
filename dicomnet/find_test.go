package dicomnet_test

import (
	"context"
	"encoding/binary"
	"slices"
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
	i := strings.Index(string(command), "\x00\x00\x00\x08\x02\x00\x00\x00")
	binary.LittleEndian.PutUint16(command[i+8:], value)
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

// take reads n matches and leaves the loop.
func take(a *dicomnet.Association, n int) []string {
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

// expectCancel reads C-CANCEL-RQ for rq.
func expectCancel(p *dicomtest.Peer, rq dicomtest.Message) {
	cancel := p.ReadRequest(dicomnet.CCancelRQ)
	if cancel.Command.MessageIDBeingRespondedTo != rq.Command.MessageID || cancel.ContextID != rq.ContextID || cancel.Command.HasDataSet {
		p.Failf("C-CANCEL-RQ %+v on context %d", cancel.Command, cancel.ContextID)
	}
}

func TestProtocol48LeavingTheLoopCancelsAndTheAssociationGoesOn(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		pending := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1"))
		p.SendMessage(slices.Repeat([]dicomtest.Message{pending}, 100)...)
		expectCancel(p, rq)
		p.SendMessage(pending, pending, dicomtest.Response(rq, dicomnet.StatusCancel, match("1.1")))
		echoAndRelease(p)
	}, func(t *testing.T, a *dicomnet.Association) {
		require.Len(t, take(a, 10), 10)
		require.True(t, a.Usable())
		require.NoError(t, a.Echo(t.Context()))
	})
}

// Origin: pynetdicom 778, fo-dicom 624 and 748.
func TestProtocol49PeerThatIgnoresCancelIsAborted(t *testing.T) {
	t.Run("and goes on sending", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
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
			require.Len(t, take(a, 10), 10)
			require.Less(t, time.Since(start), 4*time.Second)
			require.False(t, a.Usable())
		})
	})
	t.Run("and is silent", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			expectCancel(p, rq)
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			start := time.Now()
			require.Len(t, take(a, 1), 1)
			require.Equal(t, 2*time.Second, time.Since(start))
		})
	})
	t.Run("and sends more than is taken", func(t *testing.T) {
		against(t, func(p *dicomtest.Peer) {
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
			require.Len(t, take(a, 1), 1)
			require.False(t, a.Usable())
		})
	})
}

// Origin: dcmqrscp and Orthanc finish with success.
func TestProtocol50CancelThatCrossesTheFinalResponse(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		pending := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1"))
		p.SendMessage(pending, pending, dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		expectCancel(p, rq)
		echoAndRelease(p)
	}, func(t *testing.T, a *dicomnet.Association) {
		require.Len(t, take(a, 1), 1)
		require.NoError(t, a.Echo(t.Context()))
	})
}

// Origin: fo-dicom 1396 and 1359.
func TestProtocol51DIMSETimeoutStartsAnewWithEachResponse(t *testing.T) {
	slow := func(pauses ...time.Duration) func(p *dicomtest.Peer) {
		return func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			for _, pause := range pauses {
				dicomtest.Wait(pause)
				p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			}
		}
	}
	almost := timeouts.DIMSE - time.Second
	associated(t, func(p *dicomtest.Peer) {
		slow(almost, almost, almost)(p)
		dicomtest.Wait(almost)
		p.SendMessage(dicomtest.Message{ContextID: findID, Command: dicomnet.CommandSet{
			CommandField: dicomnet.CFindRSP, MessageIDBeingRespondedTo: 1,
		}})
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		require.Equal(t, found{uids: []string{"1.1", "1.1", "1.1"}}, find(t.Context(), a))
	})
	associated(t, func(p *dicomtest.Peer) {
		slow(almost)(p)
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		start := time.Now()
		f := find(t.Context(), a)
		require.Equal(t, []string{"1.1"}, f.uids)
		requireTimeout(t, f.err, dicomnet.TimerDIMSE)
		require.Equal(t, almost+timeouts.DIMSE, time.Since(start))
		require.False(t, a.Usable(), "never used again")
	})
}

// Origin: pynetdicom hangs.
func TestProtocol52PeerThatStallsInsideAPDU(t *testing.T) {
	t.Run("half a PDU, then silence", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			m := dicomtest.Response(p.ReadRequest(dicomnet.CFindRQ), dicomnet.StatusSuccess, nil).Append(nil)
			p.Send(m[:len(m)/2])
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			start := time.Now()
			requireTimeout(t, find(t.Context(), a).err, dicomnet.TimerNetwork)
			require.Equal(t, timeouts.Network, time.Since(start))
		})
	})
	t.Run("a byte a second", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
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
			requireTimeout(t, find(t.Context(), a).err, dicomnet.TimerDIMSE)
			require.Equal(t, timeouts.DIMSE, time.Since(start))
		})
	})
}

// Origin: dcm4che 532.
func TestProtocol53PeerThatStopsReading(t *testing.T) {
	synctestPipe(t, 4096, func(p *dicomtest.Peer) {
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
		require.Equal(t, timeouts.Network+time.Second, time.Since(start), "the write, then A-ABORT's own second")
		require.False(t, a.Usable())
	})
}

func TestProtocol54CallerWhoGoesAway(t *testing.T) {
	t.Run("peer honours the cancel", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			expectCancel(p, rq)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusCancel, nil))
			p.Release()
		}, func(t *testing.T, a *dicomnet.Association) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(3*time.Second, cancel)
			start := time.Now()
			f := find(ctx, a)
			require.ErrorIs(t, f.err, context.Canceled)
			require.Equal(t, 3*time.Second, time.Since(start))
			require.True(t, a.Usable())
			require.NoError(t, a.Close())
		})
	})
	t.Run("peer does not", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			expectCancel(p, rq)
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errOperation)
			defer cancel()
			start := time.Now()
			f := find(ctx, a)
			require.ErrorIs(t, f.err, errOperation, "the context's cause is told")
			require.Equal(t, 5*time.Second, time.Since(start))
			require.False(t, a.Usable())
		})
	})
	t.Run("in the middle of a PDU", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
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
			require.ErrorIs(t, find(ctx, a).err, context.DeadlineExceeded)
			require.True(t, a.Usable(), "what had come of the PDU was kept")
		})
	})
}

func TestProtocol56KeysAreChecked(t *testing.T) {
	t.Run("an odd range is padded with a space", func(t *testing.T) {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			if i := strings.Index(string(rq.Data), "20240101-20241231"); i < 0 || rq.Data[i+17] != ' ' || len(rq.Data)%2 != 0 {
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

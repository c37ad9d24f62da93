package dicomnet_test

import (
	"context"
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

// withCounters returns a C-MOVE response with counters. A nil counter is absent.
func withCounters(rq dicomtest.Message, status dicomnet.Status, remaining, completed, failed, warning *uint16) dicomtest.Message {
	m := dicomtest.Response(rq, status, nil)
	m.Command.Remaining, m.Command.Completed, m.Command.Failed, m.Command.Warning = remaining, completed, failed, warning
	return m
}

// failedList returns an encoded data set with the Failed SOP Instance UID List.
func failedList(uids ...string) []byte {
	b, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{
		dataset.Text(tag.FailedSOPInstanceUIDList, uids...),
	}}, dataset.ImplicitVRLittleEndian)
	if err != nil {
		panic(err)
	}
	return b
}

// withData adds a data set to m.
func withData(m dicomtest.Message, data []byte) dicomtest.Message {
	m.Data, m.Command.HasDataSet = data, true
	return m
}

// serveMoveWith answers one C-MOVE with messages, then the release.
func serveMoveWith(answer func(rq dicomtest.Message) []dicomtest.Message) func(p *dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CMoveRQ)
		if rq.Command.MoveDestination != "DEST" || rq.ContextID != moveID {
			p.Failf("C-MOVE-RQ %+v on context %d", rq.Command, rq.ContextID)
		}
		p.SendMessage(answer(rq)...)
		p.Release()
	}
}

// See dcm4chee #3052.
func TestMoveAcceptsResponsesWithoutCounters(t *testing.T) {
	withAssociation(t, serveMoveWith(func(rq dicomtest.Message) []dicomtest.Message {
		return []dicomtest.Message{
			withCounters(rq, dicomnet.StatusPending, ptr(2), ptr(1), ptr(0), ptr(0)),
			withCounters(rq, dicomnet.StatusPending, nil, nil, nil, nil),
			withCounters(rq, dicomnet.StatusSuccess, nil, nil, nil, nil),
		}
	}), func(t *testing.T, a *dicomnet.Association) {
		m := runMove(t.Context(), a)
		require.NoError(t, m.err)
		require.Equal(t, []dicomnet.RetrieveReport{
			{Status: dicomnet.StatusPending, Remaining: ptr(2), Completed: ptr(1), Failed: ptr(0), Warning: ptr(0)},
			{Status: dicomnet.StatusPending},
		}, m.pending)
		require.Equal(t, dicomnet.RetrieveReport{Final: true}, m.final)
	})
}

// storeRQ returns the C-STORE-RQ of a peer that performs its sub-operations on the association of
// the C-MOVE.
func storeRQ(id uint16) dicomtest.Message {
	return dicomtest.Message{
		ContextID: moveID, Data: match("1.1"),
		Command: dicomnet.CommandSet{
			CommandField: dicomnet.CStoreRQ, MessageID: id, HasDataSet: true,
			AffectedSOPClassUID: "1.2.3", AffectedSOPInstanceUID: "1.2.3.4",
		},
	}
}

// expectRefusal reads the C-STORE-RSP to storeRQ(id).
func expectRefusal(p *dicomtest.ScriptedPeer, id uint16) {
	rsp := p.ReadRequest(dicomnet.CStoreRSP)
	if rsp.Command.Status != dicomnet.StatusSOPClassNotSupported || rsp.Command.MessageIDBeingRespondedTo != id {
		p.Failf("C-STORE-RSP %+v", rsp.Command)
	}
}

// See pynetdicom #382 (Sectra), #792 and #825.
func TestMoveWaitsForAPeerThatSendsOnlyTheFinalResponse(t *testing.T) {
	almost := timeouts.DIMSE - time.Second
	t.Run("while sub-operations arrive", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CMoveRQ)
			for id := range uint16(3) {
				dicomtest.Wait(almost)
				p.SendMessage(storeRQ(id + 1))
				expectRefusal(p, id+1)
			}
			dicomtest.Wait(almost)
			p.SendMessage(withCounters(rq, dicomnet.StatusSuccess, nil, ptr(3), ptr(0), ptr(0)))
			p.Release()
		}, func(t *testing.T, a *dicomnet.Association) {
			require.NoError(t, runMove(t.Context(), a).err)
		})
	})
	t.Run("after the DIMSE timeout", func(t *testing.T) {
		withAssociation(t, func(p *dicomtest.ScriptedPeer) {
			p.ReadRequest(dicomnet.CMoveRQ)
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		}, func(t *testing.T, a *dicomnet.Association) {
			requireTimeout(t, runMove(t.Context(), a).err, dicomnet.TimerDIMSE)
		})
	})
	t.Run("within the move timeout", func(t *testing.T) {
		withPeer(t, func(p *dicomtest.ScriptedPeer) {
			p.Accept()
			rq := p.ReadRequest(dicomnet.CMoveRQ)
			dicomtest.Wait(40 * time.Second)
			p.SendMessage(withCounters(rq, dicomnet.StatusPending, nil, nil, nil, nil))
			p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		}, func(t *testing.T, cfg dicomnet.Config) {
			cfg.Timeouts.Move = 50 * time.Second
			a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
			require.NoError(t, err)
			start := time.Now()
			m := runMove(t.Context(), a)
			require.Len(t, m.pending, 1)
			requireTimeout(t, m.err, dicomnet.TimerMove)
			require.Equal(t, 90*time.Second, time.Since(start))
		})
	})
}

// Seen with dcmqrscp 3.6.7 and Orthanc 1.10. See also dcm4chee #2303.
func TestMoveReportsTheFinalResponse(t *testing.T) {
	for name, test := range map[string]struct {
		status  dicomnet.Status
		counter *uint16 // completed
		list    []string
		want    string
	}{
		"destination is down (dcmqrscp)":  {0xA702, ptr(0), []string{"1.1", "1.2", "1.3"}, "move: status A702: refused: out of resources, unable to perform sub-operations"},
		"destination unknown":             {0xA801, nil, nil, "move: status A801: refused: move destination unknown"},
		"some failed":                     {0xB000, ptr(2), []string{"1.3"}, ""},
		"cancelled":                       {0xFE00, ptr(1), []string{"1.2"}, "move: status FE00: sub-operations terminated due to cancel indication"},
		"study is missing (Orthanc)":      {0xC000, ptr(0), nil, "move: status C000: unable to process"},
		"nothing matched":                 {0x0000, ptr(0), nil, ""},
		"success with a list of failures": {0x0000, ptr(1), []string{"1.9"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			withAssociation(t, serveMoveWith(func(rq dicomtest.Message) []dicomtest.Message {
				m := withCounters(rq, test.status, nil, test.counter, nil, nil)
				if test.list != nil {
					m = withData(m, failedList(test.list...))
				}
				return []dicomtest.Message{m}
			}), func(t *testing.T, a *dicomnet.Association) {
				m := runMove(t.Context(), a)
				if test.want == "" {
					require.NoError(t, m.err)
				} else {
					require.EqualError(t, m.err, test.want)
				}
				require.Equal(t, dicomnet.RetrieveReport{
					Status: test.status, Final: true, Completed: test.counter, FailedSOPInstanceUIDs: test.list,
				}, m.final)
				require.True(t, a.Usable())
				require.NoError(t, a.Close())
			})
		})
	}
}

// The MV300 sends such responses (DCMTK). See also dcm4che #199.
func TestMoveIgnoresTheDataSetOfAPendingResponse(t *testing.T) {
	withAssociation(t, serveMoveWith(func(rq dicomtest.Message) []dicomtest.Message {
		return []dicomtest.Message{
			withData(withCounters(rq, dicomnet.StatusPending, ptr(1), nil, nil, nil), failedList("1.1")),
			withCounters(rq, dicomnet.StatusSuccess, nil, ptr(1), ptr(0), ptr(0)),
		}
	}), func(t *testing.T, a *dicomnet.Association) {
		m := runMove(t.Context(), a)
		require.NoError(t, m.err)
		require.Empty(t, m.pending[0].FailedSOPInstanceUIDs)
	})
}

func TestMoveEndsEndlessPendingResponsesAtTheDeadline(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CMoveRQ)
		for {
			b := withCounters(rq, dicomnet.StatusPending, ptr(1), ptr(0), ptr(0), ptr(0)).Append(nil)
			if _, err := p.Conn.Write(b); err != nil {
				return
			}
			dicomtest.Wait(time.Second)
		}
	}, func(t *testing.T, a *dicomnet.Association) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errOperationTimeout)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, runMove(ctx, a).err, errOperationTimeout)
		require.Equal(t, time.Minute+2*time.Second, time.Since(start))
		require.False(t, a.Usable())
	})
}

func TestMoveCancelsWhenTheLoopEndsEarly(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CMoveRQ)
		p.SendMessage(withCounters(rq, dicomnet.StatusPending, ptr(9), ptr(1), ptr(0), ptr(0)))
		expectCancel(p, rq)
		p.SendMessage(withCounters(rq, dicomnet.StatusCancel, ptr(8), ptr(2), ptr(0), ptr(0)))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		for range a.Move(t.Context(), dicomnet.StudyRoot, "DEST", query()) {
			break
		}
		require.True(t, a.Usable())
	})
}

func TestMoveYieldsTheFinalResponseAfterACancel(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CMoveRQ)
		expectCancel(p, rq)
		p.SendMessage(withCounters(rq, dicomnet.StatusCancel, ptr(8), ptr(2), ptr(0), ptr(0)))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errOperationTimeout)
		defer cancel()
		m := runMove(ctx, a)
		require.ErrorIs(t, m.err, errOperationTimeout)
		require.Equal(t, dicomnet.StatusCancel, m.final.Status)
		require.Equal(t, ptr(2), m.final.Completed)
	})
}

func TestMoveDoesNotSendAnInvalidDestination(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) { p.Release() }, func(t *testing.T, a *dicomnet.Association) {
		for _, err := range a.Move(t.Context(), dicomnet.StudyRoot, `A\B`, query()) {
			var invalid *dicomnet.ConfigError
			require.ErrorAs(t, err, &invalid)
		}
	})
}

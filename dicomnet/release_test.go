package dicomnet_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// Origin: dcmqrscp and Orthanc wait for the requestor to close.
func TestProtocol20AfterReleaseTheRequestorClosesAtOnce(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		p.Release()
		p.ExpectClose() // dcmqrscp and Orthanc wait for this
	}, func(t *testing.T, a *dicomnet.Association) {
		start := time.Now()
		require.NoError(t, a.Close())
		require.Zero(t, time.Since(start))
		require.NoError(t, a.Close(), "closing again does nothing")
	})
}

// Origin: fo-dicom 337.
func TestProtocol21PeerClosesInsteadOfAnswering(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		p.Expect(pdu.TypeReleaseRQ)
	}, func(t *testing.T, a *dicomnet.Association) {
		require.NoError(t, a.Close())
	})
}

func TestProtocol22ReleaseCollision(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		p.Expect(pdu.TypeReleaseRQ)
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
		p.SendPDU(&pdu.ReleaseRP{})
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		require.NoError(t, a.Close())
	})
}

func TestReleaseCollisionWithAPeerThatClosesInsteadOfAnswering(t *testing.T) {
	var ended dicomnet.Summary
	against(t, func(p *dicomtest.Peer) {
		p.Accept()
		p.Expect(pdu.TypeReleaseRQ)
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.Trace = &dicomnet.Trace{Ended: func(_ context.Context, s dicomnet.Summary) { ended = s }}
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.NoError(t, a.Close())
	})
	require.Equal(t, "released", ended.Outcome)
}

func TestProtocol23DataWhileTheReleaseIsAwaited(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		p.Expect(pdu.TypeReleaseRQ)
		late := dicomtest.Message{ContextID: findID, Command: dicomnet.CommandSet{CommandField: dicomnet.CFindRSP}}
		p.SendMessage(late, late)
		p.SendPDU(&pdu.ReleaseRP{})
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		require.NoError(t, a.Close())
	})
}

func TestProtocol24PeerReleasesInTheMiddleOfAnOperation(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		f := find(t.Context(), a)
		require.Equal(t, []string{"1.1"}, f.uids)
		require.ErrorIs(t, f.err, dicomnet.ErrReleased)
		requireStep(t, f.err, dicomnet.StepFind)
		require.False(t, a.Usable())
	})
}

// Origin: pynetdicom 272 and 979.
func TestProtocol25ReleaseThatIsNeverAnswered(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		p.Expect(pdu.TypeReleaseRQ)
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		start := time.Now()
		err := a.Close()
		requireTimeout(t, err, dicomnet.TimerACSE)
		requireStep(t, err, dicomnet.StepRelease)
		require.Equal(t, timeouts.ACSE, time.Since(start))
	})
}

func TestProtocol26AbortInTheMiddleOfAnOperation(t *testing.T) {
	for _, abort := range []pdu.Abort{{}, {Source: 2, Reason: 1}, {Source: 1, Reason: 9}} {
		associated(t, func(p *dicomtest.Peer) {
			rq := p.ReadRequest(dicomnet.CFindRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
			p.SendPDU(&abort)
			p.ExpectClose()
		}, func(t *testing.T, a *dicomnet.Association) {
			f := find(t.Context(), a)
			require.Equal(t, []string{"1.1"}, f.uids)
			var aborted *dicomnet.AbortError
			require.ErrorAs(t, f.err, &aborted)
			require.Equal(t, &dicomnet.AbortError{Remote: true, Source: byte(abort.Source), Reason: byte(abort.Reason)}, aborted)
			requireStep(t, f.err, dicomnet.StepFind)
		})
	}
}

func TestProtocol27ResetInTheMiddleOfAPDU(t *testing.T) {
	address := loopback(t, func(p *dicomtest.Peer) {
		p.Accept()
		p.ReadRequest(dicomnet.CEchoRQ)
		p.Send([]byte{4, 0, 0, 0, 1, 0, 1, 2, 3})
		p.Reset()
	})
	a, err := dicomnet.Dial(t.Context(), address, config())
	require.NoError(t, err)
	err = a.Echo(t.Context())
	require.ErrorIs(t, err, dicomnet.ErrConnectionLost)
	require.EqualError(t, err, "echo: connection closed by the peer", "the text holds no address")
	require.False(t, a.Usable())
	require.NoError(t, a.Close())
}

func TestConnectionThatEndsInTheMiddleOfAPDU(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		p.ReadRequest(dicomnet.CEchoRQ)
		p.Send([]byte{4, 0, 0, 0, 1, 0, 1, 2, 3})
	}, func(t *testing.T, a *dicomnet.Association) {
		err := a.Echo(t.Context())
		require.ErrorIs(t, err, dicomnet.ErrConnectionLost)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}

func TestAbortEndsTheAssociationAtOnce(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		p.ExpectClose()
	}, func(t *testing.T, a *dicomnet.Association) {
		a.Abort()
		require.False(t, a.Usable())
		require.ErrorIs(t, a.Echo(t.Context()), dicomnet.ErrClosed)
	})
}

func TestPeerThatWentAwayWhileIdleShowsAtTheNextOperation(t *testing.T) {
	associated(t, func(*dicomtest.Peer) {}, func(t *testing.T, a *dicomnet.Association) {
		require.ErrorIs(t, a.Echo(t.Context()), dicomnet.ErrConnectionLost)
	})
}

func TestOperationWithADoneContextSendsNothing(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) { p.Release() }, func(t *testing.T, a *dicomnet.Association) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, a.Echo(ctx), context.Canceled)
		require.ErrorIs(t, find(ctx, a).err, context.Canceled)
		require.True(t, a.Usable())
	})
}

func TestSecondOperationInsideTheFirstIsRefused(t *testing.T) {
	associated(t, func(p *dicomtest.Peer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")),
			dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		for range a.Find(t.Context(), dicomnet.StudyRoot, query()) {
			var invalid *dicomnet.ConfigError
			require.ErrorAs(t, a.Echo(t.Context()), &invalid)
		}
	})
}

func TestTraceTellsEveryAssociationOnce(t *testing.T) {
	var ended []dicomnet.Summary
	var pdus, commands []string
	identifiers := 0
	var operations []dicomnet.OperationSummary
	trace := &dicomnet.Trace{
		Ended: func(_ context.Context, s dicomnet.Summary) { ended = append(ended, s) },
		PDU: func(_ context.Context, sent bool, name string, _ int) {
			pdus = append(pdus, map[bool]string{true: "> ", false: "< "}[sent]+name)
		},
		Command: func(_ context.Context, sent bool, c dicomnet.CommandSet) {
			commands = append(commands, c.CommandField.String())
		},
		Identifier: func(context.Context, bool, dataset.TransferSyntax, []byte) { identifiers++ },
		Operation:  func(_ context.Context, o dicomnet.OperationSummary) { operations = append(operations, o) },
	}
	against(t, func(p *dicomtest.Peer) {
		p.Accept()
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")),
			dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		p.Release()
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.Trace = trace
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.NoError(t, find(t.Context(), a).err)
		require.NoError(t, a.Close())
		require.NoError(t, a.Close())
	})
	require.Len(t, ended, 1)
	require.Equal(t, "released", ended[0].Outcome)
	require.Equal(t, []string{
		"> A-ASSOCIATE-RQ", "< A-ASSOCIATE-AC", "> P-DATA-TF", "> P-DATA-TF",
		"< P-DATA-TF", "< P-DATA-TF", "< P-DATA-TF", "> A-RELEASE-RQ", "< A-RELEASE-RP",
	}, pdus)
	require.Equal(t, []string{"C-FIND-RQ", "C-FIND-RSP", "C-FIND-RSP"}, commands)
	require.Equal(t, 2, identifiers)
	require.Len(t, operations, 1)
	require.GreaterOrEqual(t, operations[0].FirstResponse, time.Duration(0))
	operations[0].FirstResponse = 0
	require.Equal(t, dicomnet.OperationSummary{Step: dicomnet.StepFind, Matches: 1}, operations[0])
	require.Equal(t, 4, ended[0].PDUsSent)
	require.Equal(t, 5, ended[0].PDUsReceived)
	require.Positive(t, ended[0].BytesSent)
	require.Positive(t, ended[0].BytesReceived)

	ended, operations = nil, nil
	against(t, func(p *dicomtest.Peer) {
		p.Accept()
		p.ReadRequest(dicomnet.CFindRQ)
		p.Reset()
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.Trace = trace
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.Error(t, find(t.Context(), a).err)
	})
	require.Equal(t, []dicomnet.OperationSummary{{Step: dicomnet.StepFind, FirstResponse: -1}}, operations)

	ended = nil
	against(t, func(p *dicomtest.Peer) {
		p.ReadAssociateRQ()
		p.SendPDU(&pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7})
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.Trace = trace
		_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.Error(t, err)
	})
	require.Len(t, ended, 1)
	require.Equal(t, "rejected", ended[0].Outcome)
	require.Error(t, ended[0].Err)
}

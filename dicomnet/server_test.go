package dicomnet_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

const ctStorage = "1.2.840.10008.5.1.4.1.1.2"

func server() *dicomnet.Server {
	return &dicomnet.Server{
		AETitle:  "PACS",
		Timeouts: timeouts,
		Contexts: append(config().Contexts, dicomnet.Context{AbstractSyntax: ctStorage, TransferSyntaxes: littleEndian}),
	}
}

// withServer runs a server in a synctest bubble. dial opens in-memory connections to it.
func withServer(t *testing.T, s *dicomnet.Server, body func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		body(t, func() net.Conn {
			ours, theirs := dicomtest.Pipe(0)
			go s.ServeConn(theirs)
			return ours
		})
		require.NoError(t, s.Close())
	})
}

// withScriptedRequestor plays the requestor's side of an association with a server.
func withScriptedRequestor(t *testing.T, s *dicomnet.Server, play func(p *dicomtest.ScriptedPeer)) {
	t.Helper()
	withServer(t, s, func(t *testing.T, dial func() net.Conn) {
		script := &dicomtest.Script{Play: play}
		script.Go(dial())
		require.NoError(t, script.Err())
	})
}

// withServerAssociation runs body with an association to a server and releases it afterwards.
func withServerAssociation(t *testing.T, s *dicomnet.Server, body func(t *testing.T, a *dicomnet.Association)) {
	t.Helper()
	withServer(t, s, func(t *testing.T, dial func() net.Conn) {
		cfg := config()
		cfg.Contexts = s.Contexts
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return dial(), nil }
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		body(t, a)
		require.NoError(t, a.Close())
	})
}

// associateRQ returns an A-ASSOCIATE-RQ that proposes contexts to the server.
func associateRQ(contexts ...pdu.ContextRQ) *pdu.AssociateRQ {
	return &pdu.AssociateRQ{
		CalledAETitle: "PACS", CallingAETitle: "SCU", Contexts: contexts,
		User: pdu.UserInformation{MaxLength: 16384},
	}
}

var echoContext = pdu.ContextRQ{ID: 1, AbstractSyntax: dicomnet.VerificationSOPClass, TransferSyntaxes: []string{"1.2.840.10008.1.2"}}

func TestServerAnswersEachOperation(t *testing.T) {
	s := server()
	var stored []string
	s.Handler = dicomnet.Handler{
		Echo: func(context.Context, *dicomnet.Request) dicomnet.Status { return 0x0110 },
		Find: func(_ context.Context, r *dicomnet.Request, match func(*dicom.Dataset) error) dicomnet.Status {
			set, err := dataset.Parse(r.Data, r.TransferSyntax, dataset.Limits{})
			require.NoError(t, err)
			require.Equal(t, "STUDY", set.String(tag.QueryRetrieveLevel))
			for _, uid := range []string{"1.1", "1.2"} {
				require.NoError(t, match(&dicom.Dataset{Elements: []*dicom.Element{dataset.Text(tag.StudyInstanceUID, uid)}}))
			}
			return dicomnet.StatusSuccess
		},
		Move: func(_ context.Context, r *dicomnet.Request, pending func(dicomnet.RetrieveReport) error) dicomnet.RetrieveReport {
			require.Equal(t, "DEST", r.Command.MoveDestination)
			require.NoError(t, pending(dicomnet.RetrieveReport{Status: dicomnet.StatusPending, Remaining: ptr(1)}))
			return dicomnet.RetrieveReport{Status: dicomnet.StatusWarning, Failed: ptr(1), FailedSOPInstanceUIDs: []string{"1.9"}}
		},
		Store: func(_ context.Context, r *dicomnet.Request) dicomnet.Status {
			stored = append(stored, r.Command.AffectedSOPInstanceUID+" "+r.Command.MoveOriginatorAETitle)
			require.Equal(t, match("1.1"), r.Data)
			return dicomnet.StatusSuccess
		},
	}
	withServerAssociation(t, s, func(t *testing.T, a *dicomnet.Association) {
		require.EqualError(t, a.Echo(t.Context()), "echo: status 0110: processing failure")
		require.Equal(t, findResult{uids: []string{"1.1", "1.2"}}, runFind(t.Context(), a))
		m := runMove(t.Context(), a)
		require.NoError(t, m.err)
		require.Len(t, m.pending, 1)
		require.Equal(t, []string{"1.9"}, m.final.FailedSOPInstanceUIDs)
		status, err := a.Store(t.Context(), dicomnet.StoreRequest{
			SOPClassUID: ctStorage, SOPInstanceUID: "1.2.3", Data: match("1.1"), MoveOriginatorAETitle: "GW", MoveOriginatorMessageID: 3,
		})
		require.NoError(t, err)
		require.Equal(t, dicomnet.StatusSuccess, status)
		require.Equal(t, []string{"1.2.3 GW"}, stored)
	})
}

func TestServerAnswersUnrecognizedOperationWithoutAHandler(t *testing.T) {
	withServerAssociation(t, server(), func(t *testing.T, a *dicomnet.Association) {
		require.EqualError(t, a.Echo(t.Context()), "echo: status 0211: unrecognized operation")
		_, err := a.Store(t.Context(), dicomnet.StoreRequest{SOPClassUID: ctStorage, SOPInstanceUID: "1", Data: match("1")})
		require.EqualError(t, err, "store: status 0211: unrecognized operation")
	})
}

func TestServerCancelsTheHandlersContext(t *testing.T) {
	s := server()
	s.Handler.Find = func(ctx context.Context, _ *dicomnet.Request, match func(*dicom.Dataset) error) dicomnet.Status {
		for ctx.Err() == nil {
			if match(&dicom.Dataset{Elements: []*dicom.Element{dataset.Text(tag.StudyInstanceUID, "1.1")}}) != nil {
				return dicomnet.StatusUnableToProcess
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		return dicomnet.StatusCancel
	}
	withServerAssociation(t, s, func(t *testing.T, a *dicomnet.Association) {
		require.Len(t, takeMatches(a, 3), 3)
		require.True(t, a.Usable())
	})
}

func TestServerEndsTheHandlersContextWithTheAssociation(t *testing.T) {
	ended := make(chan struct{})
	s := server()
	s.Handler.Echo = func(ctx context.Context, _ *dicomnet.Request) dicomnet.Status {
		<-ctx.Done()
		close(ended)
		return 0
	}
	withScriptedRequestor(t, s, func(p *dicomtest.ScriptedPeer) {
		p.SendPDU(associateRQ(echoContext))
		p.Expect(pdu.TypeAssociateAC)
		p.SendMessage(echoRQ(1))
		p.SendPDU(&pdu.Abort{})
		<-ended
	})
}

func echoRQ(id uint16) dicomtest.Message {
	return dicomtest.Message{ContextID: 1, Command: dicomnet.CommandSet{
		CommandField: dicomnet.CEchoRQ, AffectedSOPClassUID: dicomnet.VerificationSOPClass, MessageID: id,
	}}
}

func TestServerRejectsAssociations(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(rq *pdu.AssociateRQ)
		want pdu.AssociateRJ
	}{
		"another called AE title":               {func(rq *pdu.AssociateRQ) { rq.CalledAETitle = "OTHER" }, pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7}},
		"another protocol version":              {func(rq *pdu.AssociateRQ) { rq.ProtocolVersion = 2 }, pdu.AssociateRJ{Result: 1, Source: 2, Reason: 2}},
		"another application context":           {func(rq *pdu.AssociateRQ) { rq.ApplicationContext = "1.2" }, pdu.AssociateRJ{Result: 1, Source: 1, Reason: 2}},
		"a maximum length below 8":              {func(rq *pdu.AssociateRQ) { rq.User.MaxLength = 7 }, pdu.AssociateRJ{Result: 1, Source: 1, Reason: 1}},
		"a calling AE title that Admit refuses": {func(rq *pdu.AssociateRQ) { rq.CallingAETitle = "STRANGER" }, pdu.AssociateRJ{Result: 2, Source: 3, Reason: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			s := server()
			s.Admit = func(_, calling string, _ net.Addr) *dicomnet.RejectError {
				if calling == "STRANGER" {
					return &dicomnet.RejectError{Result: 2, Source: 3, Reason: 2}
				}
				return nil
			}
			withScriptedRequestor(t, s, func(p *dicomtest.ScriptedPeer) {
				rq := associateRQ(echoContext)
				test.edit(rq)
				p.SendPDU(rq)
				require.Equal(t, &test.want, p.Expect(pdu.TypeAssociateRJ))
				p.ExpectClose()
			})
		})
	}
}

func TestServerNegotiatesEachContext(t *testing.T) {
	withScriptedRequestor(t, server(), func(p *dicomtest.ScriptedPeer) {
		p.SendPDU(associateRQ(
			pdu.ContextRQ{ID: 1, AbstractSyntax: "1.2.3", TransferSyntaxes: []string{"1.2.840.10008.1.2"}},
			pdu.ContextRQ{ID: 3, AbstractSyntax: ctStorage, TransferSyntaxes: []string{"1.2.840.10008.1.2.4.50"}},
			pdu.ContextRQ{ID: 5, AbstractSyntax: ctStorage, TransferSyntaxes: []string{"1.2.840.10008.1.2.1", "1.2.840.10008.1.2"}},
			pdu.ContextRQ{ID: 5, AbstractSyntax: "1.2.3", TransferSyntaxes: []string{"1.2.840.10008.1.2"}},
		))
		ac := p.Expect(pdu.TypeAssociateAC).(*pdu.AssociateAC)
		require.Equal(t, []pdu.ContextAC{
			{ID: 1, Result: 3}, {ID: 3, Result: 4}, {ID: 5, TransferSyntaxes: []string{"1.2.840.10008.1.2"}},
		}, ac.Contexts)
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
		p.ExpectClose()
	})
}

func TestServerAbortsRequestorsThatBreakTheProtocol(t *testing.T) {
	slow := server()
	slow.Handler.Echo = func(ctx context.Context, _ *dicomnet.Request) dicomnet.Status {
		<-ctx.Done()
		return 0
	}
	for name, test := range map[string]struct {
		send   func(p *dicomtest.ScriptedPeer)
		reason pdu.AbortReason
	}{
		"a response": {func(p *dicomtest.ScriptedPeer) {
			p.SendMessage(dicomtest.Response(echoRQ(1), 0, nil))
		}, pdu.ReasonUnexpectedParameter},
		"a second operation at once": {func(p *dicomtest.ScriptedPeer) {
			p.SendMessage(echoRQ(1), echoRQ(2))
		}, pdu.ReasonUnexpectedParameter},
		"a second A-ASSOCIATE-RQ (io-dicom #38)": {func(p *dicomtest.ScriptedPeer) {
			p.SendPDU(associateRQ(echoContext))
		}, pdu.ReasonUnexpectedPDU},
		"a context that was not accepted": {func(p *dicomtest.ScriptedPeer) {
			m := echoRQ(1)
			m.ContextID = 0
			p.SendMessage(m)
		}, pdu.ReasonUnexpectedParameter},
		"an HTTP request": {func(p *dicomtest.ScriptedPeer) { p.Send([]byte("GET / HTTP/1.1\r\n")) }, pdu.ReasonUnrecognizedPDU},
	} {
		t.Run(name, func(t *testing.T) {
			withScriptedRequestor(t, slow, func(p *dicomtest.ScriptedPeer) {
				p.SendPDU(associateRQ(echoContext))
				p.Expect(pdu.TypeAssociateAC)
				test.send(p)
				p.ExpectAbort(pdu.SourceProvider, test.reason)
				p.ExpectClose()
			})
		})
		slow = server()
		slow.Handler.Echo = func(ctx context.Context, _ *dicomnet.Request) dicomnet.Status {
			<-ctx.Done()
			return 0
		}
	}
}

func TestServerTimesOutWithoutARequest(t *testing.T) {
	withScriptedRequestor(t, server(), func(p *dicomtest.ScriptedPeer) {
		start := time.Now()
		p.ExpectClose()
		require.Equal(t, timeouts.ACSE, time.Since(start), "ARTIM closes the connection without an A-ABORT")
	})
	withScriptedRequestor(t, server(), func(p *dicomtest.ScriptedPeer) {
		p.SendPDU(associateRQ(echoContext))
		p.Expect(pdu.TypeAssociateAC)
		start := time.Now()
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		require.Equal(t, timeouts.DIMSE, time.Since(start), "the DIMSE timeout bounds the wait for a request")
	})
}

func TestServerDoesNotTimeOutASlowHandler(t *testing.T) {
	s := server()
	s.Handler.Echo = func(context.Context, *dicomnet.Request) dicomnet.Status {
		dicomtest.Wait(3 * timeouts.DIMSE)
		return 0
	}
	withScriptedRequestor(t, s, func(p *dicomtest.ScriptedPeer) {
		p.SendPDU(associateRQ(echoContext))
		p.Expect(pdu.TypeAssociateAC)
		p.SendMessage(echoRQ(1))
		p.ReadRequest(dicomnet.CEchoRSP)
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
	})
}

func TestServerCloseAbortsOpenAssociations(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := server()
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	cfg := config()
	a, err := dicomnet.Dial(t.Context(), l.Addr().String(), cfg)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-served, net.ErrClosed)
	require.Error(t, a.Echo(t.Context()))
	require.NoError(t, a.Close())

	l, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, s.Serve(l), net.ErrClosed, "a closed server does not serve")
	ours, theirs := net.Pipe()
	s.ServeConn(theirs)
	_, err = ours.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestServerTracesItsAssociations(t *testing.T) {
	var ended []dicomnet.Summary
	s := server()
	s.Trace = &dicomnet.Trace{Ended: func(_ context.Context, sum dicomnet.Summary) { ended = append(ended, sum) }}
	s.Handler.Echo = func(context.Context, *dicomnet.Request) dicomnet.Status { return 0 }
	withServerAssociation(t, s, func(t *testing.T, a *dicomnet.Association) {
		require.NoError(t, a.Echo(t.Context()))
		require.NoError(t, a.Close())
		synctest.Wait()
	})
	require.Len(t, ended, 1)
	require.Equal(t, "GATEWAY", ended[0].CallingAETitle)
	require.Equal(t, "released", ended[0].Outcome)
}

func TestServerSendsWithinTheRequestorsMaximumLength(t *testing.T) {
	s := server()
	s.Handler.Echo = func(context.Context, *dicomnet.Request) dicomnet.Status { return 0 }
	withScriptedRequestor(t, s, func(p *dicomtest.ScriptedPeer) {
		rq := associateRQ(echoContext)
		rq.User.MaxLength = 16
		p.SendPDU(rq)
		p.Expect(pdu.TypeAssociateAC)
		p.SendMessage(echoRQ(1))
		for last := false; !last; {
			kind, body := p.ReadPDU()
			require.Equal(t, pdu.TypePDataTF, kind)
			require.LessOrEqual(t, len(body), 16)
			v, _, _, err := pdu.NextPDV(body)
			require.NoError(t, err)
			last = v.Last
		}
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
	})
}

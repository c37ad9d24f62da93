package dicomnet_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// sendingServer returns a server whose C-GET is served by get.
func sendingServer(get func(ctx context.Context, s *dicomnet.SubOperations) dicomnet.RetrieveReport) *dicomnet.Server {
	s := server()
	s.Contexts = append(s.Contexts, dicomnet.Context{AbstractSyntax: dicomnet.StudyRoot.Get, TransferSyntaxes: littleEndian})
	s.AcceptSCP = func(string) bool { return true }
	s.Handler.Get = func(ctx context.Context, _ *dicomnet.Request, s *dicomnet.SubOperations) dicomnet.RetrieveReport {
		return get(ctx, s)
	}
	return s
}

// requestGet opens an association in the role of SCP for CT and sends a C-GET-RQ.
func requestGet(p *dicomtest.ScriptedPeer) dicomtest.Message {
	rq := associateRQ(
		pdu.ContextRQ{ID: getID, AbstractSyntax: dicomnet.StudyRoot.Get, TransferSyntaxes: []string{string(dataset.ImplicitVRLittleEndian)}},
		pdu.ContextRQ{ID: ctID, AbstractSyntax: ctStorage, TransferSyntaxes: []string{string(dataset.ExplicitVRLittleEndian)}},
	)
	rq.User.Roles = []pdu.RoleSelection{{SOPClassUID: ctStorage, SCP: true}}
	p.SendPDU(rq)
	ac := p.Expect(pdu.TypeAssociateAC).(*pdu.AssociateAC)
	if len(ac.User.Roles) != 1 || !ac.User.Roles[0].SCP {
		p.Failf("roles %v", ac.User.Roles)
	}
	m := dicomtest.Message{ContextID: getID, Data: match("1.1"), Command: dicomnet.CommandSet{
		CommandField: dicomnet.CGetRQ, MessageID: 4, AffectedSOPClassUID: dicomnet.StudyRoot.Get, HasDataSet: true,
	}}
	p.SendMessage(m)
	return m
}

func ctRequest(body io.Reader) dicomnet.StoreRequest {
	return dicomnet.StoreRequest{SOPClassUID: ctStorage, SOPInstanceUID: "1.2.3", Body: body}
}

func TestServerSendsInstancesOnTheAssociationOfACGet(t *testing.T) {
	lengths := []int{0, 1, 16378, 16379, 3 * 16378, 100_001}
	s := sendingServer(func(_ context.Context, s *dicomnet.SubOperations) dicomnet.RetrieveReport {
		contexts := s.Contexts()
		assert.Equal(t, []byte{getID, ctID}, []byte{contexts[0].ID, contexts[1].ID})
		assert.True(t, contexts[1].SCP)
		for i, n := range lengths {
			status, err := s.Store(ctRequest(iotest.HalfReader(bytes.NewReader(content(n)))))
			assert.NoError(t, err)
			assert.Equal(t, dicomnet.Status(i), status)
			assert.NoError(t, s.Pending(dicomnet.RetrieveReport{Status: dicomnet.StatusPending, Completed: ptr(uint16(i))}))
		}
		status, err := s.Store(dicomnet.StoreRequest{SOPClassUID: mrStorage})
		assert.NoError(t, err)
		assert.Equal(t, dicomnet.StatusSOPClassNotSupported, status)
		return dicomnet.RetrieveReport{Status: dicomnet.StatusWarning, FailedSOPInstanceUIDs: []string{"1.9"}}
	})
	withScriptedRequestor(t, s, func(p *dicomtest.ScriptedPeer) {
		requestGet(p)
		for i, n := range lengths {
			m := p.ReadRequest(dicomnet.CStoreRQ)
			if !bytes.Equal(content(n), m.Data) {
				p.Failf("%d bytes in place of %d", len(m.Data), n)
			}
			p.SendMessage(dicomtest.Response(m, dicomnet.Status(i), nil))
			p.ReadRequest(dicomnet.CGetRSP)
		}
		final := p.ReadRequest(dicomnet.CGetRSP)
		assert.Equal(t, dicomnet.StatusWarning, final.Command.Status)
		assert.Equal(t, failedList("1.9"), final.Data)
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
	})
}

func TestServerCountsAResponseToAnotherMessageAsAFailure(t *testing.T) {
	s := sendingServer(func(_ context.Context, s *dicomnet.SubOperations) dicomnet.RetrieveReport {
		status, err := s.Store(ctRequest(bytes.NewReader(content(10))))
		assert.NoError(t, err)
		return dicomnet.RetrieveReport{Status: status}
	})
	withScriptedRequestor(t, s, func(p *dicomtest.ScriptedPeer) {
		requestGet(p)
		m := p.ReadRequest(dicomnet.CStoreRQ)
		m.Command.MessageID += 7
		p.SendMessage(dicomtest.Response(m, dicomnet.StatusSuccess, nil))
		assert.Equal(t, dicomnet.StatusProcessingFailure, p.ReadRequest(dicomnet.CGetRSP).Command.Status)
		p.SendPDU(&pdu.Abort{})
	})
}

func TestServerCancelsTheHandlerOfACGetBetweenInstances(t *testing.T) {
	s := sendingServer(func(ctx context.Context, s *dicomnet.SubOperations) dicomnet.RetrieveReport {
		_, err := s.Store(ctRequest(bytes.NewReader(content(10))))
		assert.NoError(t, err)
		<-ctx.Done()
		assert.NoError(t, s.Context().Err())
		return dicomnet.RetrieveReport{Status: dicomnet.StatusCancel, Remaining: ptr(1)}
	})
	withScriptedRequestor(t, s, func(p *dicomtest.ScriptedPeer) {
		rq := requestGet(p)
		m := p.ReadRequest(dicomnet.CStoreRQ)
		p.SendMessage(dicomtest.Response(m, dicomnet.StatusSuccess, nil), dicomtest.Message{ContextID: getID, Command: dicomnet.CommandSet{
			CommandField: dicomnet.CCancelRQ, MessageIDBeingRespondedTo: rq.Command.MessageID,
		}})
		assert.Equal(t, dicomnet.StatusCancel, p.ReadRequest(dicomnet.CGetRSP).Command.Status)
		p.SendPDU(&pdu.Abort{})
	})
}

func TestServerEndsSubOperationsWithTheirAssociation(t *testing.T) {
	broken := errors.New("the data set cannot be read")
	cases := map[string]struct {
		body io.Reader
		end  func(p *dicomtest.ScriptedPeer)
		want error
	}{
		"the peer aborts": {
			bytes.NewReader(content(10)),
			func(p *dicomtest.ScriptedPeer) {
				p.ReadRequest(dicomnet.CStoreRQ)
				p.SendPDU(&pdu.Abort{})
			}, dicomnet.ErrClosed,
		},
		"the peer does not respond": {
			bytes.NewReader(content(10)),
			func(p *dicomtest.ScriptedPeer) {
				p.ReadRequest(dicomnet.CStoreRQ)
				p.ExpectAbort(pdu.SourceUser, 0)
			}, nil,
		},
		"the data set fails": {
			io.MultiReader(bytes.NewReader(content(100_000)), iotest.ErrReader(broken)),
			func(p *dicomtest.ScriptedPeer) { p.ExpectAbort(pdu.SourceUser, 0) }, broken,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got error
			s := sendingServer(func(_ context.Context, s *dicomnet.SubOperations) dicomnet.RetrieveReport {
				_, got = s.Store(ctRequest(c.body))
				return dicomnet.RetrieveReport{Status: dicomnet.StatusUnableToProcess}
			})
			withScriptedRequestor(t, s, func(p *dicomtest.ScriptedPeer) {
				requestGet(p)
				c.end(p)
			})
			require.Error(t, got)
			if c.want != nil {
				require.ErrorIs(t, got, c.want)
			} else {
				requireTimeout(t, got, dicomnet.TimerDIMSE)
			}
		})
	}
}

func TestServerAbortsAtAStoreResponseThatNothingWaitsFor(t *testing.T) {
	s := sendingServer(func(ctx context.Context, _ *dicomnet.SubOperations) dicomnet.RetrieveReport {
		<-ctx.Done()
		return dicomnet.RetrieveReport{Status: dicomnet.StatusCancel}
	})
	withScriptedRequestor(t, s, func(p *dicomtest.ScriptedPeer) {
		requestGet(p)
		m := storeRequest(1, "1.1", nil)
		p.SendMessage(dicomtest.Response(m, 0, nil), dicomtest.Response(m, 0, nil))
		p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedParameter)
	})
}

func TestStoreSendsADataSetWhileItIsRead(t *testing.T) {
	data := content(100_000)
	var received []receivedInstance
	withServerAssociation(t, receiver(&received), func(t *testing.T, a *dicomnet.Association) {
		status, err := a.Store(t.Context(), ctRequest(bytes.NewReader(data)))
		require.NoError(t, err)
		assert.Equal(t, dicomnet.StatusSuccess, status)
		_, err = a.Store(t.Context(), ctRequest(iotest.ErrReader(io.ErrNoProgress)))
		require.ErrorIs(t, err, io.ErrNoProgress)
		assert.False(t, a.Usable())
	})
	require.NotEmpty(t, received)
	assert.Equal(t, data, received[0].data)
}

func TestGetOverTLSIsCancelledInsideAnInstance(t *testing.T) {
	data := content(1 << 20)
	ca := newAuthority(t)
	gone := errors.New("the caller has gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	s := sendingServer(func(_ context.Context, s *dicomnet.SubOperations) dicomnet.RetrieveReport {
		_, err := s.Store(ctRequest(bytes.NewReader(data)))
		assert.NoError(t, err)
		status, err := s.Store(ctRequest(io.MultiReader(bytes.NewReader(data[:longData]), &pausing{ctx}, bytes.NewReader(data[longData:]))))
		assert.NoError(t, err)
		assert.Equal(t, dicomnet.StatusProcessingFailure, status)
		return dicomnet.RetrieveReport{Status: dicomnet.StatusCancel}
	})
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.issue("pacs", time.Hour)}})
	require.NoError(t, err)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, s.Close()) })

	cfg := retrievalConfig()
	cfg.TLS = &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12}
	a, err := dicomnet.Dial(t.Context(), l.Addr().String(), cfg)
	require.NoError(t, err)
	n := 0
	var last error
	for in, err := range a.Get(ctx, dicomnet.StudyRoot, query(), nil) {
		if last = err; err != nil {
			continue
		}
		if n++; n == 2 {
			_, err := io.CopyN(io.Discard, in, longData/2)
			require.NoError(t, err)
			cancel(gone)
			_, err = io.Copy(io.Discard, in)
			require.ErrorIs(t, err, gone)
			continue
		}
		b, err := io.ReadAll(in)
		require.NoError(t, err)
		assert.Equal(t, data, b)
	}
	require.ErrorIs(t, last, gone)
	assert.True(t, a.Usable())
	require.NoError(t, a.Close())
}

// pausing reads nothing before ctx is done.
type pausing struct{ ctx context.Context }

func (p *pausing) Read([]byte) (int, error) {
	<-p.ctx.Done()
	return 0, io.EOF
}

package dicomnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// receivedInstance is an instance that a server has read, with the request that it came with.
type receivedInstance struct {
	dicomnet.Instance
	request dicomnet.Request
	data    []byte
	err     error
}

// receiver returns a server that reads instances into received.
func receiver(received *[]receivedInstance) *dicomnet.Server {
	s := server()
	s.Handler.Receive = func(_ context.Context, r *dicomnet.Request, in *dicomnet.Instance) dicomnet.Status {
		b, err := io.ReadAll(in)
		*received = append(*received, receivedInstance{*in, *r, b, err})
		return dicomnet.StatusSuccess
	}
	return s
}

// storing plays the peer of a server that proposes storage of CT on the context with the ID ctID and on that with the ID ctJPEG.
func storing(play func(p *dicomtest.ScriptedPeer)) func(p *dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) {
		p.SendPDU(associateRQ(
			pdu.ContextRQ{ID: ctID, AbstractSyntax: ctStorage, TransferSyntaxes: []string{string(dataset.ExplicitVRLittleEndian)}},
			echoContext,
		))
		p.Expect(pdu.TypeAssociateAC)
		play(p)
	}
}

// serveScript lets the script play against s until both have ended.
func serveScript(t *testing.T, s *dicomnet.Server, play func(p *dicomtest.ScriptedPeer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		script := &dicomtest.Script{Play: storing(play)}
		conn, _ := script.DialContext(t.Context(), "", "")
		s.ServeConn(conn)
		require.NoError(t, s.Close())
		require.NoError(t, script.Err())
	})
}

func TestServerReceivesInstancesAsTheyArrive(t *testing.T) {
	var received []receivedInstance
	s := receiver(&received)
	serveScript(t, s, func(p *dicomtest.ScriptedPeer) {
		first := storeRequest(7, "1.2.1", content(longData))
		first.Command.MoveOriginatorAETitle, first.Command.MoveOriginatorMessageID = "GATEWAY", 12
		second := storeRequest(7, "1.2.2", content(3))
		p.SendMessage(first, second) // without waiting for the response
		assert.Equal(t, dicomnet.StatusSuccess, readStoreResponse(p, first))
		assert.Equal(t, dicomnet.StatusSuccess, readStoreResponse(p, second))
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
	})
	require.Len(t, received, 2)
	one := received[0]
	require.NoError(t, one.err)
	assert.Equal(t, content(longData), one.data)
	assert.Equal(t, "1.2.1", one.SOPInstanceUID)
	assert.Equal(t, "SCU", one.SendingAETitle)
	assert.Equal(t, "PACS", one.ReceivingAETitle)
	assert.Equal(t, "GATEWAY", one.MoveOriginatorAETitle)
	assert.Equal(t, uint16(12), one.MoveOriginatorMessageID)
	assert.Equal(t, "SCU", one.request.CallingAETitle)
	assert.Nil(t, one.request.Data)
	assert.Equal(t, content(3), received[1].data)
	assert.Zero(t, received[1].MoveOriginatorMessageID)
}

func TestServerDropsWhatItsHandlerDoesNotRead(t *testing.T) {
	s := server()
	s.Handler.Receive = func(_ context.Context, _ *dicomnet.Request, in *dicomnet.Instance) dicomnet.Status {
		_, err := io.CopyN(io.Discard, in, 10)
		assert.NoError(t, err)
		return dicomnet.StatusNotAuthorized
	}
	serveScript(t, s, func(p *dicomtest.ScriptedPeer) {
		assert.Equal(t, []dicomnet.Status{0x0124, 0x0124}, store(p, storeRequest(1, "1.1", content(longData)), storeRequest(2, "1.2", content(longData))))
		bad := storeRequest(3, "../x", content(longData))
		p.SendMessage(bad)
		assert.Equal(t, dicomnet.StatusInvalidInstance, p.ReadRequest(dicomnet.CStoreRSP).Command.Status)
		none := storeRequest(3, "1.3", nil)
		p.SendMessage(none)
		assert.Equal(t, dicomnet.StatusIdentifierMismatch, readStoreResponse(p, none))
		p.SendPDU(&pdu.Abort{})
	})
}

func TestHandlerCannotTakeAnIncompleteInstanceForAWholeOne(t *testing.T) {
	ends := map[string]func(p *dicomtest.ScriptedPeer){
		"abort":   func(p *dicomtest.ScriptedPeer) { p.SendPDU(&pdu.Abort{}) },
		"close":   func(p *dicomtest.ScriptedPeer) { _ = p.Conn.Close() },
		"reset":   func(p *dicomtest.ScriptedPeer) { p.Reset() },
		"silence": func(p *dicomtest.ScriptedPeer) { p.ExpectAbort(pdu.SourceUser, 0) },
		"release": func(p *dicomtest.ScriptedPeer) {
			p.SendPDU(&pdu.ReleaseRQ{})
			p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedPDU)
		},
		"command": func(p *dicomtest.ScriptedPeer) {
			p.SendMessage(storeRequest(2, "1.2", content(9)))
			p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedParameter)
		},
	}
	readers := map[string]func(io.Reader) ([]byte, error){
		"Read": io.ReadAll,
		"WriteTo": func(r io.Reader) ([]byte, error) {
			var b bytes.Buffer
			_, err := io.Copy(&b, r)
			return b.Bytes(), err
		},
	}
	for name, end := range ends {
		for how, read := range readers {
			t.Run(name+" "+how, func(t *testing.T) {
				var received []receivedInstance
				s := receiver(&received)
				s.Handler.Receive = func(_ context.Context, r *dicomnet.Request, in *dicomnet.Instance) dicomnet.Status {
					b, err := read(in)
					received = append(received, receivedInstance{*in, *r, b, err})
					return dicomnet.StatusSuccess
				}
				serveScript(t, s, func(p *dicomtest.ScriptedPeer) {
					b := storeRequest(1, "1.1", content(40_000)).Append(nil)
					p.Send(b[:len(b)-(40_000-2*16378)-12]) // the last PDU is missing
					end(p)
				})
				require.Len(t, received, 1)
				require.Error(t, received[0].err)
				requireStep(t, received[0].err, dicomnet.StepStore)
				require.NotErrorIs(t, received[0].err, io.EOF)
				assert.Equal(t, content(40_000)[:2*16378], received[0].data)
			})
		}
	}
}

func TestServerEndsAHandlerThatReadsWhenItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var received []receivedInstance
		s := receiver(&received)
		script := &dicomtest.Script{Play: storing(func(p *dicomtest.ScriptedPeer) {
			b := storeRequest(1, "1.1", content(40_000)).Append(nil)
			p.Send(b[:1000])
			p.ExpectAbort(pdu.SourceProvider, 0)
		})}
		conn, _ := script.DialContext(t.Context(), "", "")
		go s.ServeConn(conn)
		time.Sleep(time.Second)
		require.NoError(t, s.Close())
		synctest.Wait()
		require.NoError(t, script.Err())
		require.Len(t, received, 1)
		require.Error(t, received[0].err)
	})
}

func TestServerEndsTheContextOfAHandlerThatDoesNotReadWhenItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server()
		s.Handler.Receive = func(ctx context.Context, _ *dicomnet.Request, _ *dicomnet.Instance) dicomnet.Status {
			<-ctx.Done()
			return dicomnet.StatusSuccess
		}
		script := &dicomtest.Script{Play: storing(func(p *dicomtest.ScriptedPeer) {
			p.SendMessage(storeRequest(1, "1.1", content(9)))
			p.ExpectAbort(pdu.SourceProvider, 0)
		})}
		conn, _ := script.DialContext(t.Context(), "", "")
		go s.ServeConn(conn)
		time.Sleep(time.Second)
		require.NoError(t, s.Close())
		synctest.Wait()
		require.NoError(t, script.Err())
	})
}

func TestServerChoosesPresentationContexts(t *testing.T) {
	s := server()
	s.ChooseContext = func(abstract string, proposed []dataset.TransferSyntax) (dataset.TransferSyntax, dicomnet.ContextResult) {
		if abstract != mrStorage {
			return "", dicomnet.ContextAbstractSyntaxNotSupported
		}
		if !slices.Contains(proposed, jpegLS) {
			return "", dicomnet.ContextTransferSyntaxesNotSupported
		}
		return jpegLS, dicomnet.ContextAccepted
	}
	withScriptedRequestor(t, s, func(p *dicomtest.ScriptedPeer) {
		p.SendPDU(associateRQ(
			pdu.ContextRQ{ID: 1, AbstractSyntax: mrStorage, TransferSyntaxes: []string{"1.2.3", string(jpegLS)}},
			pdu.ContextRQ{ID: 3, AbstractSyntax: mrStorage, TransferSyntaxes: []string{"1.2.3"}},
			pdu.ContextRQ{ID: 5, AbstractSyntax: "1.2.4", TransferSyntaxes: []string{"1.2.3"}},
			pdu.ContextRQ{ID: 7, AbstractSyntax: ctStorage, TransferSyntaxes: []string{string(dataset.ImplicitVRLittleEndian)}},
		))
		ac := p.Expect(pdu.TypeAssociateAC).(*pdu.AssociateAC)
		var results []byte
		for _, pc := range ac.Contexts {
			results = append(results, pc.Result)
		}
		assert.Equal(t, []byte{0, 4, 3, 0}, results)
		assert.Equal(t, []string{string(jpegLS)}, ac.Contexts[0].TransferSyntaxes)
		p.SendPDU(&pdu.Abort{})
	})
}

func TestServerAdmitsByAddress(t *testing.T) {
	s := server()
	var admitted net.Addr
	s.Admit = func(called, calling string, remote net.Addr) *dicomnet.RejectError {
		assert.Equal(t, []string{"PACS", "SCU"}, []string{called, calling})
		admitted = remote
		return &dicomnet.RejectError{Result: 1, Source: 1, Reason: 3}
	}
	script := &dicomtest.Script{Play: func(p *dicomtest.ScriptedPeer) {
		p.SendPDU(associateRQ(echoContext))
		p.Expect(pdu.TypeAssociateRJ)
		p.ExpectClose()
	}}
	conn, _ := script.DialContext(t.Context(), "", "")
	s.ServeConn(conn)
	require.NoError(t, script.Err())
	assert.Equal(t, "pipe", admitted.String())
}

func TestServerEndsReadsOfAnInstanceWithAContextThatItsHandlerWatches(t *testing.T) {
	gone := errors.New("nothing waits for it any more")
	s := server()
	s.Handler.Receive = func(ctx context.Context, _ *dicomnet.Request, in *dicomnet.Instance) dicomnet.Status {
		ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Second, gone)
		defer cancel()
		defer in.Watch(ctx)()
		n, err := io.Copy(io.Discard, in)
		assert.ErrorIs(t, err, gone)
		assert.Equal(t, int64(30_000), n)
		return dicomnet.StatusNotAuthorized
	}
	serveScript(t, s, func(p *dicomtest.ScriptedPeer) {
		m := storeRequest(1, "1.1", content(9))
		p.Send(append(command(m), fragment(content(30_000), false)...))
		dicomtest.Wait(3 * time.Second)
		p.Send(fragment(content(30_000), true))
		assert.Equal(t, dicomnet.StatusNotAuthorized, readStoreResponse(p, m))
		p.SendPDU(&pdu.ReleaseRQ{})
		p.Expect(pdu.TypeReleaseRP)
	})
}

func TestServerBoundsTheTimeToDropAnInstance(t *testing.T) {
	s := server()
	s.Handler.Receive = func(context.Context, *dicomnet.Request, *dicomnet.Instance) dicomnet.Status {
		return dicomnet.StatusNotAuthorized
	}
	serveScript(t, s, func(p *dicomtest.ScriptedPeer) {
		p.Send(command(storeRequest(1, "1.1", content(9))))
		start := time.Now()
		for time.Since(start) < timeouts.DIMSE {
			p.Send(fragment([]byte{1, 2}, false))
			dicomtest.Wait(time.Second)
		}
		p.ExpectAbort(pdu.SourceUser, 0)
	})
}

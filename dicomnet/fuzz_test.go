package dicomnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// FuzzAssociation plays an acceptor that sends random bytes, independent of the requests. Nothing
// may panic, hang or leak, and every error must be of a known kind.
func FuzzAssociation(f *testing.F) {
	rq := &pdu.AssociateRQ{Contexts: []pdu.ContextRQ{
		{ID: findID, TransferSyntaxes: []string{string(dataset.ImplicitVRLittleEndian)}},
		{ID: moveID, TransferSyntaxes: []string{string(dataset.ImplicitVRLittleEndian)}},
		{ID: echoID, TransferSyntaxes: []string{string(dataset.ImplicitVRLittleEndian)}},
	}}
	ac := (&dicomtest.ScriptedPeer{RQ: rq}).AC("").Append(nil)
	request := func(id byte, n uint16, field dicomnet.CommandField) dicomtest.Message {
		return dicomtest.Message{ContextID: id, Command: dicomnet.CommandSet{CommandField: field, MessageID: n}}
	}
	findRQ, moveRQ := request(findID, 1, dicomnet.CFindRQ), request(moveID, 2, dicomnet.CMoveRQ)
	b := dicomtest.Response(findRQ, dicomnet.StatusPending, match("1.1")).Append(append([]byte(nil), ac...))
	b = dicomtest.Response(findRQ, dicomnet.StatusSuccess, nil).Append(b)
	b = withCounters(moveRQ, dicomnet.StatusPending, ptr(1), ptr(0), ptr(0), ptr(0)).Append(b)
	b = withData(withCounters(moveRQ, 0xB000, nil, ptr(0), ptr(1), ptr(0)), failedList("1.1", "1.2")).Append(b)
	f.Add((&pdu.ReleaseRP{}).Append(b))
	f.Add((&pdu.Abort{Source: 2, Reason: 1}).Append(append([]byte(nil), ac...)))
	f.Add((&pdu.ReleaseRQ{}).Append(append([]byte(nil), ac...)))
	announced := dicomtest.Response(findRQ, dicomnet.StatusSuccess, match("1.1")).Append(append([]byte(nil), ac...))
	f.Add(announced[:len(announced)-1]) // the data set of the final response does not arrive
	f.Add((&pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7}).Append(nil))
	f.Add([]byte("HTTP/1.1 400 Bad Request"))

	cfg := config()
	cfg.Timeouts = dicomnet.Timeouts{Connection: time.Second, ACSE: time.Second, DIMSE: time.Second, Network: time.Second}
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg := cfg
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := dicomtest.Pipe(0)
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			_, _ = theirs.Write(b)
			// The peer sends nothing more but continues to read.
			return eofConn{ours, theirs}, nil
		}
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		if err != nil {
			requireKnownError(t, err)
			return
		}
		for m, err := range a.Find(t.Context(), dicomnet.StudyRoot, query()) {
			if err != nil {
				requireKnownError(t, err)
				continue
			}
			if m.DataSetMissing {
				continue
			}
			_ = m.Strings(tag.PatientName)
			_, _ = m.Dataset()
		}
		for _, err := range a.Move(t.Context(), dicomnet.StudyRoot, "DEST", query()) {
			if err != nil {
				requireKnownError(t, err)
			}
		}
		_ = a.Close()
	})
}

// eofConn returns EOF from a Read that would wait for the peer.
type eofConn struct {
	net.Conn
	peer net.Conn
}

func (c eofConn) Read(b []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	n, err := c.Conn.Read(b)
	if n == 0 && err != nil {
		return 0, io.EOF
	}
	return n, err
}

func (c eofConn) Close() error {
	_ = c.peer.Close()
	return c.Conn.Close()
}

func requireKnownError(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*dicomnet.OpError](err); !ok {
		t.Fatalf("%T: %v", err, err)
	}
	for _, known := range []any{
		new(*dicomnet.RejectError), new(*dicomnet.AbortError), new(*dicomnet.NoContextError), new(*dicomnet.StatusError),
		new(*dicomnet.ProtocolError), new(*dicomnet.LimitError), new(*dicomnet.TimeoutError), new(*dicomnet.DataSetError),
	} {
		if errors.As(err, known) {
			return
		}
	}
	if !errors.Is(err, dicomnet.ErrConnectionLost) && !errors.Is(err, dicomnet.ErrReleased) && !errors.Is(err, dicomnet.ErrClosed) {
		t.Fatalf("unknown kind of error %T: %v", err, err)
	}
}

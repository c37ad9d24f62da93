package dicomnet_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// addInstanceSeeds adds C-STORE-RQs after the PDUs of start, and before those of end.
func addInstanceSeeds(f *testing.F, start, end []byte) {
	f.Helper()
	add := func(parts ...[]byte) { f.Add(append(bytes.Clone(start), bytes.Join(append(parts, end), nil)...)) }
	one, two := storeRequest(1, "1.1", content(40_000)), storeRequest(1, "1.2", content(10))
	add(one.Append(nil), two.Append(nil))
	add(fullPDUs(nil, two.PDVs(one.PDVs(nil, 1000), 1)))
	add(singlePDUs(nil, two.PDVs(nil, 3)))
	add(command(one), fragment(content(9000), false), fragment(nil, false), rawPData(nil), fragment(nil, true))
	add(command(one), fragment(content(9000), false)[:5000])
	add(command(one), fragment(content(9), false), (&pdu.ReleaseRQ{}).Append(nil))
	add(storeRequest(1, "", content(10)).Append(nil), storeRequest(1, "1.1", nil).Append(nil))
	add(command(one), rawPData([]byte{0, 0, 0, 9, ctID, 0, 1}))
}

// FuzzGet plays an acceptor that sends random bytes, independent of the request. Nothing may panic, hang or leak, every error must be
// of a known kind, and two ways to read the data sets give the same bytes.
func FuzzGet(f *testing.F) {
	explicit := []string{string(dataset.ExplicitVRLittleEndian)}
	rq := &pdu.AssociateRQ{Contexts: []pdu.ContextRQ{
		{ID: getID, TransferSyntaxes: []string{string(dataset.ImplicitVRLittleEndian)}},
		{ID: ctID, TransferSyntaxes: explicit},
		{ID: ctJPEG, TransferSyntaxes: []string{string(jpegLS)}},
		{ID: mrID, TransferSyntaxes: explicit},
	}}
	ac := (&dicomtest.ScriptedPeer{RQ: rq}).AC("").Append(nil)
	request := dicomtest.Message{ContextID: getID, Command: dicomnet.CommandSet{CommandField: dicomnet.CGetRQ, MessageID: 1}}
	final := getResponse(request, dicomnet.StatusPending, 1).Append(nil)
	final = dicomtest.Response(request, dicomnet.StatusWarning, failedList("1.9")).Append(final)
	addInstanceSeeds(f, ac, (&pdu.ReleaseRP{}).Append(final))

	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := fuzzGet(t, b, func(in *dicomnet.Instance) ([]byte, error) {
			var data bytes.Buffer
			_, err := in.WriteTo(&data)
			return data.Bytes(), err
		})
		direct, directErr := fuzzGet(t, b, func(in *dicomnet.Instance) ([]byte, error) {
			var data []byte
			buffer := make([]byte, 8<<10)
			for {
				n, err := in.Read(buffer)
				if data = append(data, buffer[:n]...); err != nil {
					if err == io.EOF { //nolint:errorlint // as io.Reader says
						err = nil
					}
					return data, err
				}
			}
		})
		require.Equal(t, whole, direct)
		require.Equal(t, err == nil, directErr == nil)
	})
}

// fuzzGet performs C-GET with an acceptor that sends b, and returns all that read has read of instances.
func fuzzGet(t *testing.T, b []byte, read func(in *dicomnet.Instance) ([]byte, error)) (all []byte, last error) {
	t.Helper()
	cfg := retrievalConfig()
	cfg.Timeouts = dicomnet.Timeouts{Connection: time.Second, ACSE: time.Second, DIMSE: time.Second, Network: time.Second}
	cfg.Limits = dicomnet.Limits{MaxInstance: 1 << 20, CancelGrace: time.Millisecond}
	cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return recorded{Reader: bytes.NewReader(b)}, nil
	}
	a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
	if err != nil {
		requireKnownError(t, err)
		return nil, err
	}
	defer func() { _ = a.Close() }()
	for in, err := range a.Get(t.Context(), dicomnet.StudyRoot, query(), func(dicomnet.RetrieveReport) {}) {
		if err != nil {
			requireKnownError(t, err)
			last = err
			continue
		}
		data, err := read(in)
		if err != nil {
			requireKnownError(t, err)
		}
		all = append(all, data...)
	}
	return all, last
}

// recorded is a connection whose peer sends what Reader reads, then closes it, and takes everything.
type recorded struct {
	net.Conn
	io.Reader
}

func (r recorded) Read(p []byte) (int, error)       { return r.Reader.Read(p) }
func (r recorded) Write(p []byte) (int, error)      { return len(p), nil }
func (r recorded) Close() error                     { return nil }
func (r recorded) SetDeadline(time.Time) error      { return nil }
func (r recorded) SetReadDeadline(time.Time) error  { return nil }
func (r recorded) SetWriteDeadline(time.Time) error { return nil }
func (r recorded) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// FuzzReceive plays a requestor that sends random bytes to a server that receives instances. Nothing may panic, hang or leak.
func FuzzReceive(f *testing.F) {
	start := associateRQ(
		pdu.ContextRQ{ID: ctID, AbstractSyntax: ctStorage, TransferSyntaxes: []string{string(dataset.ExplicitVRLittleEndian)}}, echoContext,
	).Append(nil)
	addInstanceSeeds(f, start, (&pdu.ReleaseRQ{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := server()
		s.Timeouts = dicomnet.Timeouts{ACSE: time.Second, DIMSE: time.Second, Network: time.Second}
		s.Limits = dicomnet.Limits{MaxInstance: 1 << 20}
		s.Handler.Receive = func(_ context.Context, _ *dicomnet.Request, in *dicomnet.Instance) dicomnet.Status {
			if _, err := io.Copy(io.Discard, in); err != nil {
				requireKnownError(t, err)
			}
			return dicomnet.StatusSuccess
		}
		s.ServeConn(recorded{Reader: bytes.NewReader(b)})
	})
}

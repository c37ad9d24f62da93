package dicomnet_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
	"go.uber.org/goleak"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// timeouts are the timers of the scripted tests. They all differ, so that the duration of a wait
// shows which one expired.
var timeouts = dicomnet.Timeouts{
	Connection: 8 * time.Second,
	ACSE:       9 * time.Second,
	DIMSE:      10 * time.Second,
	Network:    4 * time.Second,
}

var littleEndian = []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian}

func config() dicomnet.Config {
	return dicomnet.Config{
		CalledAETitle: "PACS", CallingAETitle: "GATEWAY", Timeouts: timeouts,
		Contexts: []dicomnet.Context{
			{AbstractSyntax: dicomnet.StudyRoot.Find, TransferSyntaxes: littleEndian},
			{AbstractSyntax: dicomnet.StudyRoot.Move, TransferSyntaxes: littleEndian},
			{AbstractSyntax: dicomnet.VerificationSOPClass, TransferSyntaxes: littleEndian},
		},
	}
}

// Identifiers of the presentation contexts that config proposes.
const (
	findID = 1
	moveID = 3
	echoID = 5
)

// withPeer runs body in a synctest bubble, which makes waits instant and lets no goroutine outlive
// it. cfg dials a peer that plays the script; the errors of the script are checked at the end.
func withPeer(t *testing.T, play func(p *dicomtest.ScriptedPeer), body func(t *testing.T, cfg dicomnet.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		script := &dicomtest.Script{Play: play}
		cfg := config()
		cfg.DialContext = script.DialContext
		body(t, cfg)
		require.NoError(t, script.Err(), "the script of the peer")
	})
}

// withAssociation is withPeer with an established association. It closes the association at the end
// unless body did.
func withAssociation(t *testing.T, play func(p *dicomtest.ScriptedPeer), body func(t *testing.T, a *dicomnet.Association)) {
	t.Helper()
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.Accept()
		play(p)
	}, func(t *testing.T, cfg dicomnet.Config) {
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		body(t, a)
		_ = a.Close()
	})
}

// query returns an identifier at STUDY level.
func query() *dicom.Dataset {
	return &dicom.Dataset{Elements: []*dicom.Element{
		dataset.Text(tag.SpecificCharacterSet, "ISO_IR 100"),
		dataset.Text(tag.QueryRetrieveLevel, "STUDY"),
		dataset.Text(tag.PatientID, "P1"),
		dataset.Text(tag.StudyInstanceUID, ""),
	}}
}

// match returns an encoded response identifier, in Implicit VR Little Endian.
func match(uid string) []byte {
	b, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{
		dataset.Text(tag.PatientID, "P1"),
		dataset.Text(tag.StudyInstanceUID, uid),
	}}, dataset.ImplicitVRLittleEndian)
	if err != nil {
		panic(err)
	}
	return b
}

// findResult holds all that a C-FIND yielded.
type findResult struct {
	uids        []string
	unsupported int // matches with FF01
	undecodable int
	err         error
}

func runFind(ctx context.Context, a *dicomnet.Association) findResult {
	var f findResult
	for m, err := range a.Find(ctx, dicomnet.StudyRoot, query()) {
		var undecodable *dicomnet.DataSetError
		switch {
		case errors.As(err, &undecodable):
			f.undecodable++
			continue
		case err != nil:
			f.err = err
			continue
		}
		f.uids = append(f.uids, m.String(tag.StudyInstanceUID))
		if m.OptionalKeysUnsupported {
			f.unsupported++
		}
	}
	return f
}

// moveResult holds all that a C-MOVE yielded.
type moveResult struct {
	pending []dicomnet.RetrieveReport
	final   dicomnet.RetrieveReport
	err     error
}

func runMove(ctx context.Context, a *dicomnet.Association) moveResult {
	var m moveResult
	for r, err := range a.Move(ctx, dicomnet.StudyRoot, "DEST", query()) {
		if r.Final {
			m.final = r
		} else if err == nil {
			m.pending = append(m.pending, r)
		}
		m.err = err
	}
	return m
}

func requireStep(t *testing.T, err error, step dicomnet.Step) {
	t.Helper()
	var op *dicomnet.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, step, op.Step)
}

func requireProtocolError(t *testing.T, err error, step dicomnet.Step) {
	t.Helper()
	var protocol *dicomnet.ProtocolError
	require.ErrorAs(t, err, &protocol)
	requireStep(t, err, step)
}

func requireTimeout(t *testing.T, err error, timer dicomnet.Timer) {
	t.Helper()
	var timeout *dicomnet.TimeoutError
	require.ErrorAs(t, err, &timeout)
	require.Equal(t, timer, timeout.Timer)
}

// ptr returns a pointer to a counter.
func ptr(n uint16) *uint16 { return new(n) }

// rawPDU returns a PDU of any type and body.
func rawPDU(kind byte, body []byte) []byte {
	b := append([]byte{kind, 0}, binary.BigEndian.AppendUint32(nil, uint32(len(body)))...)
	return append(b, body...)
}

// rawPData returns one P-DATA-TF with these PDVs.
func rawPData(pdvs []byte) []byte { return rawPDU(4, pdvs) }

// listenOnLoopback serves play on a TCP port of the loopback interface and returns the address.
func listenOnLoopback(t *testing.T, play func(p *dicomtest.ScriptedPeer)) string {
	t.Helper()
	script := &dicomtest.Script{Play: play}
	address, closeFn, err := script.Listen()
	require.NoError(t, err)
	t.Cleanup(func() {
		closeFn()
		require.NoError(t, script.Err(), "the script of the peer")
	})
	return address
}

// recorder is a connection that records every write.
type recorder struct {
	net.Conn
	writes [][]byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.writes = append(r.writes, append([]byte(nil), b...))
	return r.Conn.Write(b)
}

// record makes connections of cfg record what is written to them, and returns the recorder.
func record(cfg *dicomnet.Config) *recorder {
	dial, rec := cfg.DialContext, &recorder{}
	cfg.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		rec.Conn = conn
		return rec, err
	}
	return rec
}

// errOperationTimeout is the cause of a caller's deadline.
var errOperationTimeout = errors.New("operation took too long")

// withPeerBuffering is withPeer with a connection that buffers only capacity bytes.
func withPeerBuffering(t *testing.T, capacity int, play func(p *dicomtest.ScriptedPeer), body func(t *testing.T, cfg dicomnet.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		script := &dicomtest.Script{Play: play}
		ours, theirs := dicomtest.Pipe(capacity)
		script.Go(theirs)
		cfg := config()
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		body(t, cfg)
		require.NoError(t, script.Err(), "the script of the peer")
	})
}

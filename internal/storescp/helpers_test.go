package storescp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/storescp"
)

const (
	ctImage = "1.2.840.10008.5.1.4.1.1.2"
	mrImage = "1.2.840.10008.5.1.4.1.1.4"
)

var (
	sopClassUID, _    = dataset.LookupKeyword("SOPClassUID")
	sopInstanceUID, _ = dataset.LookupKeyword("SOPInstanceUID")
	patientComments   = "PatientComments"
)

// pacs returns a named PACS that stores from loopback.
func pacs(name, aeTitle string) pool.Peer {
	return pool.Peer{
		Name: name, Host: "127.0.0.1", Port: 104, CalledAETitle: aeTitle, CallingAETitle: "GATEWAY",
		Settings: &pool.Settings{},
	}
}

// events is an Observer that keeps what it observes.
type events struct {
	mu         sync.Mutex
	associated []string
	refused    []string
	failed     []string
	ended      chan int
}

func (e *events) Failed(a storescp.Association, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = append(e.failed, fmt.Sprintf("%v %v", a.Remote.Addr(), err))
}

func (e *events) Associated(a storescp.Association, rejected *dicomnet.RejectError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	line := fmt.Sprintf("%s %s to %s", a.PACS, a.CallingAETitle, a.CalledAETitle)
	if rejected != nil {
		line += fmt.Sprintf(" rejected %d/%d/%d", rejected.Result, rejected.Source, rejected.Reason)
	}
	e.associated = append(e.associated, line)
}

func (e *events) Refused(a storescp.Association, why storescp.Refusal, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused = append(e.refused, fmt.Sprintf("%s %s %d", a.PACS, why, n))
}

func (e *events) Ended(_ storescp.Association, refused int) { e.ended <- refused }

// site is an SCP that listens on loopback.
type site struct {
	*storescp.SCP
	address string
	events  *events
}

// listen starts an SCP with a title GATEWAY for the PACS a and b, unless change says otherwise.
func listen(t *testing.T, change func(*storescp.Options)) *site {
	t.Helper()
	s := &site{events: &events{ended: make(chan int, 1000)}}
	o := storescp.Options{
		AETitles:        []string{"GATEWAY"},
		PACS:            func() []pool.Peer { return []pool.Peer{pacs("a", "PACSA"), pacs("b", "PACSB")} },
		Grace:           time.Minute,
		Timeouts:        dicomnet.Timeouts{ACSE: 5 * time.Second, Network: 5 * time.Second, Connection: 5 * time.Second},
		MaxAssociations: 16,
		Observer:        s.events,
	}
	if change != nil {
		change(&o)
	}
	s.SCP = storescp.New(o)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return s
}

// dial opens an association as a PACS does.
func (s *site) dial(ctx context.Context, calling, called string, contexts ...dicomnet.Context) (*dicomnet.Association, error) {
	return s.dialFrom(ctx, "127.0.0.1", calling, called, contexts...)
}

// dialFrom is dial from a loopback address.
func (s *site) dialFrom(ctx context.Context, host, calling, called string, contexts ...dicomnet.Context) (*dicomnet.Association, error) {
	if len(contexts) == 0 {
		contexts = []dicomnet.Context{{AbstractSyntax: ctImage, TransferSyntaxes: []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian}}}
	}
	return dicomnet.Dial(ctx, s.address, dicomnet.Config{
		CalledAETitle: called, CallingAETitle: calling, Contexts: contexts,
		Timeouts:    dicomnet.Timeouts{ACSE: 10 * time.Second, DIMSE: 10 * time.Second, Network: 10 * time.Second},
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}).DialContext,
	})
}

func (s *site) mustDial(t *testing.T, calling, called string, contexts ...dicomnet.Context) *dicomnet.Association {
	t.Helper()
	assoc, err := s.dial(t.Context(), calling, called, contexts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(assoc.Abort)
	return assoc
}

// image is an instance that a PACS sends.
type image struct {
	study, series, instance string
	comment                 string
	originator              uint16
	class, commandInstance  string // other than in the data set
}

func (i image) encode() []byte {
	comments, _ := dataset.LookupKeyword(patientComments)
	elements := []*dataset.Element{dataset.Text(sopClassUID, ctImage), dataset.Text(sopInstanceUID, i.instance)}
	if i.comment != "" {
		elements = append(elements, dataset.Text(comments, i.comment))
	}
	if i.study != "" {
		elements = append(elements, dataset.Text(dataset.StudyInstanceUID, i.study))
	}
	elements = append(elements, dataset.Text(dataset.SeriesInstanceUID, i.series))
	b, err := dataset.Encode(&dataset.Dataset{Elements: elements}, dataset.ExplicitVRLittleEndian)
	if err != nil {
		panic(err)
	}
	return b
}

// send stores an instance and returns the status of the response.
func send(t *testing.T, assoc *dicomnet.Association, i image) dicomnet.Status {
	t.Helper()
	status, err := store(t.Context(), assoc, i)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func store(ctx context.Context, assoc *dicomnet.Association, i image) (dicomnet.Status, error) {
	r := dicomnet.StoreRequest{
		SOPClassUID: ctImage, SOPInstanceUID: i.instance, Data: i.encode(),
		MoveOriginatorAETitle: "SOMEBODY", MoveOriginatorMessageID: i.originator,
	}
	if i.class != "" {
		r.SOPClassUID = i.class
	}
	if i.commandInstance != "" {
		r.SOPInstanceUID = i.commandInstance
	}
	status, err := assoc.Store(ctx, r)
	if _, answered := errors.AsType[*dicomnet.StatusError](err); answered {
		err = nil
	}
	return status, err
}

// received collects what arrives for a retrieval.
type received struct {
	mu        sync.Mutex
	instances []string
	data      [][]byte
	arrived   chan struct{} // gets a value for each instance
	answer    dicomnet.Status
}

func newReceived() *received { return &received{arrived: make(chan struct{}, 10_000)} }

func (r *received) receive(_ context.Context, in *dicomnet.Instance, head stream.Head, read []byte) dicomnet.Status {
	rest, err := io.ReadAll(in)
	if err != nil {
		return dicomnet.StatusUnableToProcess
	}
	r.mu.Lock()
	r.instances = append(r.instances, head.SOPInstanceUID)
	r.data = append(r.data, append(append([]byte(nil), read...), rest...))
	r.mu.Unlock()
	r.arrived <- struct{}{}
	return r.answer
}

func (r *received) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.instances)
}

// lease takes a lease for a study, or a part of it, of a PACS.
func (s *site) lease(t *testing.T, peer pool.Peer, study string, below ...string) (*storescp.Lease, *received) {
	t.Helper()
	got := newReceived()
	e := storescp.Expectation{Peer: peer, StudyInstanceUID: study, Receive: got.receive}
	if len(below) > 0 {
		e.SeriesInstanceUID = below[0]
	}
	if len(below) > 1 {
		e.SOPInstanceUID = below[1]
	}
	lease, err := s.Lease(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lease.Release)
	return lease, got
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

package dicomtest

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// PACSConfig says what a PACS is and, by its hooks, where it behaves otherwise
// than PS3.4 annex C asks.
type PACSConfig struct {
	// AETitle is the called AE title to answer to; other associations are rejected.
	AETitle string
	// Destinations are the move destinations known: host:port by AE title.
	Destinations map[string]string
	// MaxInstances bounds what is stored, DefaultMaxInstances where zero. Beyond it
	// C-STORE is answered with A700.
	MaxInstances int
	// Timeouts are those of the associations on both sides; ten seconds each where zero.
	Timeouts dicomnet.Timeouts
	// DialContext opens connections to move destinations; nil means a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// OmitModalitiesInStudy neither matches nor returns Modalities in Study, as
	// DCMTK's dcmqrscp does.
	OmitModalitiesInStudy bool
	// IgnoreKeys are keys that are returned but never matched, so that studies
	// nobody asked for are in the answer. No C-MOVE is affected.
	IgnoreKeys []tag.Tag
	// FailStore, where set, may give a C-STORE-RQ a status other than success; the
	// instance is then not stored.
	FailStore func(sopInstanceUID string) dicomnet.Status
	// Before, where set, is called before each response and each sub-operation. It
	// may block until ctx is done.
	Before func(ctx context.Context, op dicomnet.Step)
}

// DefaultMaxInstances bounds a PACS that says nothing else.
const DefaultMaxInstances = 100_000

// maxReceived bounds the list of Received; the oldest are forgotten.
const maxReceived = 10_000

// Received is one C-STORE-RQ that was answered with success.
type Received struct {
	SOPInstanceUID, StudyInstanceUID string
	CallingAETitle                   string
	// MoveOriginatorAETitle and MoveOriginatorMessageID name the C-MOVE-RQ that
	// caused it; "" and 0 for a C-STORE of its own.
	MoveOriginatorAETitle   string
	MoveOriginatorMessageID uint16
}

// PACS is an archive in memory that speaks DICOM: C-ECHO, C-FIND at all four
// levels and C-MOVE in the Patient Root and Study Root models (hierarchical
// behaviour), and C-STORE. Safe for concurrent use.
type PACS struct {
	cfg     PACSConfig
	archive *archive
	// life ends with Close, and the sub-operations with it.
	life    context.Context //nolint:containedctx // the lifetime of a server, not of a call
	endLife context.CancelFunc

	mu           sync.Mutex
	destinations map[string]string
	received     []Received
	operations   map[dicomnet.Step]int
	listener     net.Listener
	server       *dicomnet.Server
	served       chan struct{}
}

// NewPACS makes a PACS that is empty and does not listen yet.
func NewPACS(cfg PACSConfig) *PACS {
	if cfg.MaxInstances == 0 {
		cfg.MaxInstances = DefaultMaxInstances
	}
	if cfg.Timeouts == (dicomnet.Timeouts{}) {
		const d = 10 * time.Second
		cfg.Timeouts = dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Move: d, Network: d}
	}
	destinations := map[string]string{}
	maps.Copy(destinations, cfg.Destinations)
	life, endLife := context.WithCancel(context.Background())
	return &PACS{
		cfg: cfg, archive: newArchive(cfg.MaxInstances),
		life: life, endLife: endLife,
		destinations: destinations,
		operations:   map[dicomnet.Step]int{},
	}
}

// Listen starts to accept associations on address (host:port, port 0 for any
// free one).
func (p *PACS) Listen(address string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(p.life, "tcp", address)
	if err != nil {
		return err
	}
	return p.Serve(l)
}

// Serve starts to accept associations on l, which Close closes. A PACS listens once.
func (p *PACS) Serve(l net.Listener) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil || p.life.Err() != nil {
		return errors.Join(errors.New("a PACS listens once, and not after Close"), l.Close())
	}
	p.listener, p.served = l, make(chan struct{})
	p.server = &dicomnet.Server{
		AETitle:  p.cfg.AETitle,
		Contexts: contexts(),
		Handler:  dicomnet.Handler{Echo: p.echo, Find: p.find, Move: p.move, Store: p.store},
		Timeouts: p.cfg.Timeouts,
	}
	go func() {
		defer close(p.served)
		// What ends it is Close, or a listener that no longer works: then
		// associations fail, which is what there is to see.
		_ = p.server.Serve(l)
	}()
	return nil
}

// Addr is the host:port that the PACS listens on, "" before Listen.
func (p *PACS) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return ""
	}
	return p.listener.Addr().String()
}

// Close ends all associations, those to move destinations included, and waits
// for their goroutines.
func (p *PACS) Close() error {
	p.endLife()
	p.mu.Lock()
	server, served := p.server, p.served
	p.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.Close()
	<-served
	return err
}

// SetDestination makes a move destination known, or moves it elsewhere.
func (p *PACS) SetDestination(aeTitle, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.destinations[aeTitle] = address
}

// Add stores instances; it fails where there is no room for all of them.
func (p *PACS) Add(instances ...*Instance) error {
	for _, in := range instances {
		if !p.archive.add(in) {
			return errFull
		}
	}
	return nil
}

var errFull = errors.New("the PACS is full")

// AddStudies stores the instances of studies.
func (p *PACS) AddStudies(studies ...Study) error {
	for i := range studies {
		if err := p.Add(studies[i].Instances()...); err != nil {
			return err
		}
	}
	return nil
}

// Instances counts what is stored.
func (p *PACS) Instances() int { return len(p.archive.all()) }

// Instance is the stored instance with that UID, nil where there is none.
func (p *PACS) Instance(sopInstanceUID string) *Instance { return p.archive.get(sopInstanceUID) }

// StudyInstances counts what is stored of one study.
func (p *PACS) StudyInstances(studyInstanceUID string) int {
	n := 0
	for _, in := range p.archive.all() {
		if in.Text(tag.StudyInstanceUID) == studyInstanceUID {
			n++
		}
	}
	return n
}

// Received lists the latest C-STORE-RQs that were answered with success.
func (p *PACS) Received() []Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.received)
}

// Operations counts the requests of one kind so far: StepEcho, StepFind, StepMove
// or StepStore.
func (p *PACS) Operations(op dicomnet.Step) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.operations[op]
}

func (p *PACS) begin(op dicomnet.Step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.operations[op]++
}

func (p *PACS) before(ctx context.Context, op dicomnet.Step) {
	if p.cfg.Before != nil {
		p.cfg.Before(ctx, op)
	}
}

func (p *PACS) echo(ctx context.Context, _ *dicomnet.Request) dicomnet.Status {
	p.begin(dicomnet.StepEcho)
	p.before(ctx, dicomnet.StepEcho)
	return dicomnet.StatusSuccess
}

// nativeLittleEndian are the transfer syntaxes of a PACS, for requests and for
// instances alike.
var nativeLittleEndian = []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian}

func contexts() []dicomnet.Context {
	classes := append([]string{
		dicomnet.VerificationSOPClass,
		dicomnet.StudyRoot.Find, dicomnet.StudyRoot.Move,
		dicomnet.PatientRoot.Find, dicomnet.PatientRoot.Move,
	}, StorageSOPClasses()...)
	cs := make([]dicomnet.Context, 0, len(classes))
	for _, class := range classes {
		cs = append(cs, dicomnet.Context{AbstractSyntax: class, TransferSyntaxes: nativeLittleEndian})
	}
	return cs
}

// rootOf is the topmost level of the model that a SOP class belongs to.
func rootOf(sopClass string) level {
	if sopClass == dicomnet.PatientRoot.Find || sopClass == dicomnet.PatientRoot.Move {
		return levelPatient
	}
	return levelStudy
}

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

// PACSConfig configures a PACS. Its hooks change what PS3.4 annex C requires.
type PACSConfig struct {
	// AETitle is the called AE title; associations with another are rejected.
	AETitle string
	// Destinations are the move destinations: host:port by AE title.
	Destinations map[string]string
	// MaxInstances is the largest number of stored instances, beyond which C-STORE fails with A700. Zero means
	// DefaultMaxInstances.
	MaxInstances int
	// Timeouts are those of the associations on both sides. If all are zero, each is ten seconds.
	Timeouts dicomnet.Timeouts
	// DialContext opens connections to move destinations; nil means a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// OmitModalitiesInStudy disables matching and return of Modalities in Study, as DCMTK's dcmqrscp does.
	OmitModalitiesInStudy bool
	// IgnoreKeys are keys that C-FIND returns but does not match, so that it returns other entities too.
	IgnoreKeys []tag.Tag
	// UnsupportedKeys are keys that C-FIND neither matches nor returns.
	UnsupportedKeys []tag.Tag
	// HiddenKeys are keys that C-FIND matches but does not return.
	HiddenKeys []tag.Tag
	// OptionalKeysWarning gives C-FIND responses with a match the status FF01 in place of FF00, as PixelMed does.
	OptionalKeysWarning bool
	// Relational answers C-FIND without the unique keys of higher levels (PS3.4 section C.4.1.2.2), without a negotiation, as
	// Orthanc does.
	Relational bool
	// RowPerInstance sends an equal C-FIND response for each instance of a match, as pynetdicom's qrscp does.
	RowPerInstance bool
	// AnswerLevel, if not empty, is the level of the entities that C-FIND returns, whatever level the request has.
	AnswerLevel string
	// FailStore, if not nil, returns the status of a C-STORE. With a status other than success the instance is not stored.
	FailStore func(sopInstanceUID string) dicomnet.Status
	// RefuseContexts are SOP classes for which no presentation context is accepted.
	RefuseContexts []string
	// Retrieval changes C-GET and C-MOVE.
	Retrieval Retrieval
	// Before, if not nil, is called before each response and each sub-operation. It may block until ctx is done.
	Before func(ctx context.Context, op dicomnet.Step)
}

// DefaultMaxInstances is the default of PACSConfig.MaxInstances.
const DefaultMaxInstances = 100_000

// maxReceived is the largest length of the list that Received returns; the oldest entries are dropped.
const maxReceived = 10_000

// Received is a successful C-STORE.
type Received struct {
	SOPInstanceUID, StudyInstanceUID string
	CallingAETitle                   string
	// MoveOriginatorAETitle and MoveOriginatorMessageID identify the C-MOVE-RQ that caused it, "" and 0 if there was none.
	MoveOriginatorAETitle   string
	MoveOriginatorMessageID uint16
}

// PACS is a PACS in memory. It serves C-ECHO, C-FIND at all four levels, C-GET and C-MOVE in the Patient Root and Study Root models
// (hierarchical behaviour unless configured), and C-STORE. It is safe for concurrent use.
type PACS struct {
	cfg     PACSConfig
	archive *archive
	// life ends with Close; sub-operations end with it.
	life    context.Context //nolint:containedctx // the lifetime of a server, not of a call
	endLife context.CancelFunc
	// background sends what comes after the final response of a C-MOVE.
	background sync.WaitGroup

	mu           sync.Mutex
	destinations map[string]string
	received     []Received
	operations   map[dicomnet.Step]int
	listener     net.Listener
	server       *dicomnet.Server
	served       chan struct{}
}

// NewPACS returns an empty PACS, which does not listen yet.
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

// Listen starts to accept associations on an address (host:port); port 0 means any free port.
func (p *PACS) Listen(address string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(p.life, "tcp", address)
	if err != nil {
		return err
	}
	return p.Serve(l)
}

// Serve starts to accept associations on l, which Close closes. A PACS can listen only once.
func (p *PACS) Serve(l net.Listener) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil || p.life.Err() != nil {
		return errors.Join(errors.New("a PACS can listen only once, and not after Close"), l.Close())
	}
	p.listener, p.served = l, make(chan struct{})
	p.server = &dicomnet.Server{
		AETitle: p.cfg.AETitle,
		Contexts: slices.DeleteFunc(contexts(), func(c dicomnet.Context) bool {
			return slices.Contains(p.cfg.RefuseContexts, c.AbstractSyntax)
		}),
		Handler: dicomnet.Handler{
			Echo: p.echo, Find: p.find, FindPending: p.findPending(), Move: p.move, Get: p.get, Store: p.store,
		},
		Timeouts: p.cfg.Timeouts,
		Limits:   limits,
	}
	if !p.cfg.Retrieval.UnconfirmedRoles {
		p.server.AcceptSCP = func(string) bool { return true }
	}
	go func() {
		defer close(p.served)
		// It ends by Close, or because the listener fails: then associations fail, which tests notice.
		_ = p.server.Serve(l)
	}()
	return nil
}

// Addr returns the host:port on which the PACS listens, "" before Listen.
func (p *PACS) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return ""
	}
	return p.listener.Addr().String()
}

// Close ends all associations, including those to move destinations, and waits for their goroutines.
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
	p.background.Wait()
	return err
}

// SetDestination adds or replaces a move destination.
func (p *PACS) SetDestination(aeTitle, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.destinations[aeTitle] = address
}

// Add stores instances. It returns an error if the PACS is full.
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

// Instances returns the number of stored instances.
func (p *PACS) Instances() int { return len(p.archive.all()) }

// Instance returns the stored instance with this UID, or nil.
func (p *PACS) Instance(sopInstanceUID string) *Instance { return p.archive.get(sopInstanceUID) }

// StudyInstances returns the number of stored instances of a study.
func (p *PACS) StudyInstances(studyInstanceUID string) int {
	n := 0
	for _, in := range p.archive.all() {
		if in.Text(tag.StudyInstanceUID) == studyInstanceUID {
			n++
		}
	}
	return n
}

// Received returns the latest successful C-STOREs.
func (p *PACS) Received() []Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.received)
}

// Operations returns the number of requests of one kind so far: StepEcho, StepFind, StepMove, StepGet or StepStore.
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

// nativeLittleEndian are the transfer syntaxes of a PACS for identifiers, and for instances with native pixels.
var nativeLittleEndian = []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian}

// compressed are the compressed transfer syntaxes of a PACS.
var compressed = []dataset.TransferSyntax{
	JPEGBaseline, "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70",
	"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
	"1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202",
	"1.2.840.10008.1.2.4.203", "1.2.840.10008.1.2.5",
}

// limits let a PACS send and receive P-DATA-TF PDUs of up to 128 KiB, as others do.
var limits = dicomnet.Limits{MaxPDULength: 131072}

func contexts() []dicomnet.Context {
	var cs []dicomnet.Context
	for _, class := range []string{
		dicomnet.VerificationSOPClass,
		dicomnet.StudyRoot.Find, dicomnet.StudyRoot.Move, dicomnet.StudyRoot.Get,
		dicomnet.PatientRoot.Find, dicomnet.PatientRoot.Move, dicomnet.PatientRoot.Get,
	} {
		cs = append(cs, dicomnet.Context{AbstractSyntax: class, TransferSyntaxes: nativeLittleEndian})
	}
	storable := append(slices.Clone(nativeLittleEndian), compressed...)
	for _, class := range StorageSOPClasses() {
		cs = append(cs, dicomnet.Context{AbstractSyntax: class, TransferSyntaxes: storable})
	}
	return cs
}

// rootOf returns the highest level of the model of a SOP class.
func rootOf(sopClass string) level {
	switch sopClass {
	case dicomnet.PatientRoot.Find, dicomnet.PatientRoot.Move, dicomnet.PatientRoot.Get:
		return levelPatient
	}
	return levelStudy
}

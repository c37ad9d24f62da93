package crossing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

const (
	secondaryCapture = "1.2.840.10008.5.1.4.1.1.7"
	seriesPerStudy   = 2
	imagesPerSeries  = 2
)

var (
	sopClassUID     = mustTag("SOPClassUID")
	sopInstanceUID  = mustTag("SOPInstanceUID")
	modality        = mustTag("Modality")
	patientComments = mustTag("PatientComments")
	seriesNumber    = mustTag("SeriesNumber")
	instanceNumber  = mustTag("InstanceNumber")
)

func mustTag(keyword string) dataset.Tag {
	t, known := dataset.LookupKeyword(keyword)
	if !known {
		panic(keyword)
	}
	return t
}

// target is a study, a series or an instance, with empty UIDs below its level.
type target struct{ study, series, instance string }

// instances returns the instances of a target. Every archive has every study.
func (t target) instances() []target {
	var all []target
	for s := range seriesPerStudy {
		for i := range imagesPerSeries {
			series := fmt.Sprintf("%s.%d", t.study, s+1)
			one := target{t.study, series, fmt.Sprintf("%s.%d", series, i+1)}
			if (t.series == "" || t.series == one.series) && (t.instance == "" || t.instance == one.instance) {
				all = append(all, one)
			}
		}
	}
	return all
}

// archive is a PACS that has every study, and sends other bytes for each C-MOVE. Several have the same studies.
type archive struct {
	name, aeTitle, host string
	senders             *senders
	address             string
}

// move is one C-MOVE.
type move struct {
	id          int // of the test, which every instance carries
	archive     *archive
	destination string
	messageID   uint16
	target      target

	// Guarded by the lock of the senders:
	left      []target
	remaining int
	sent      chan struct{} // closed when all have been sent
}

// comment is what each instance of the move carries.
func (m *move) comment() string { return fmt.Sprintf("move %d of archive %s", m.id, m.archive.name) }

// image returns the data set of an instance, which no other move sends.
func (m *move) image(t target) []byte {
	last, _ := strconv.Atoi(t.instance[strings.LastIndexByte(t.instance, '.')+1:])
	return encode(
		dataset.Text(sopClassUID, secondaryCapture), dataset.Text(sopInstanceUID, t.instance), dataset.Text(modality, "OT"),
		dataset.Text(dataset.PatientID, "PATIENT "+t.study),
		dataset.Text(patientComments, m.comment()+strings.Repeat(" ", 2000*last)+"."),
		dataset.Text(dataset.StudyInstanceUID, t.study), dataset.Text(dataset.SeriesInstanceUID, t.series))
}

func encode(elements ...*dataset.Element) []byte {
	b, err := dataset.Encode(&dataset.Dataset{Elements: elements}, dataset.ExplicitVRLittleEndian)
	if err != nil {
		panic(err)
	}
	return b
}

// listen starts the archive.
func (a *archive) listen(t *testing.T) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(a.host, "0"))
	require.NoError(t, err)
	a.address = l.Addr().String()
	explicit := []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian}
	s := &dicomnet.Server{
		AETitle: a.aeTitle,
		Contexts: []dicomnet.Context{
			{AbstractSyntax: dicomnet.StudyRoot.Find, TransferSyntaxes: explicit}, {AbstractSyntax: dicomnet.StudyRoot.Move, TransferSyntaxes: explicit},
		},
		Handler:  dicomnet.Handler{Find: a.find, Move: a.move},
		Timeouts: dicomnet.Timeouts{ACSE: time.Minute, DIMSE: time.Minute, Network: time.Minute},
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
}

// query reads an identifier.
func query(r *dicomnet.Request) (level string, t target) {
	set, err := dataset.Parse(r.Data, r.TransferSyntax, dataset.Limits{})
	if err != nil {
		return "", target{}
	}
	return set.String(dataset.QueryRetrieveLevel),
		target{set.String(dataset.StudyInstanceUID), set.String(dataset.SeriesInstanceUID), set.String(sopInstanceUID)}
}

func (a *archive) find(_ context.Context, r *dicomnet.Request, match func(*dataset.Dataset) error) dicomnet.Status {
	level, asked := query(r)
	if asked.study == "" {
		return dicomnet.StatusUnableToProcess
	}
	seen := map[string]bool{}
	for _, one := range asked.instances() {
		elements := []*dataset.Element{
			dataset.Text(dataset.QueryRetrieveLevel, level), dataset.Text(dataset.PatientID, "PATIENT "+one.study), dataset.Text(dataset.StudyInstanceUID, one.study),
		}
		key := one.study
		if level != "STUDY" {
			key = one.series
			elements = append(elements, dataset.Text(dataset.SeriesInstanceUID, one.series), dataset.Text(modality, "OT"), dataset.Text(seriesNumber, "1"))
		}
		if level == "IMAGE" {
			key = one.instance
			elements = append(elements, dataset.Text(sopInstanceUID, one.instance), dataset.Text(sopClassUID, secondaryCapture), dataset.Text(instanceNumber, "1"))
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		if err := match(&dataset.Dataset{Elements: elements}); err != nil {
			return dicomnet.StatusUnableToProcess
		}
	}
	return dicomnet.StatusSuccess
}

// move has the senders send. One final response in four comes before the first instance.
func (a *archive) move(ctx context.Context, r *dicomnet.Request, _ func(dicomnet.RetrieveReport) error) dicomnet.RetrieveReport {
	_, asked := query(r)
	m := a.senders.begin(a, r, asked)
	final := dicomnet.RetrieveReport{
		Final: true, Completed: new(uint16(len(asked.instances()))), Failed: new(uint16), Warning: new(uint16),
	}
	if m.id%4 == 0 {
		return final
	}
	select {
	case <-m.sent:
	case <-ctx.Done():
		final.Status = dicomnet.StatusCancel
	}
	return final
}

// senders send the instances of all moves of all archives, in any order and on any association that can be.
type senders struct {
	scp string // address of the gateway

	mu    sync.Mutex
	moves []*move
}

func (s *senders) begin(a *archive, r *dicomnet.Request, asked target) *move {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &move{
		id: len(s.moves), archive: a, destination: r.Command.MoveDestination, messageID: r.Command.MessageID, target: asked,
		left: asked.instances(), remaining: len(asked.instances()), sent: make(chan struct{}),
	}
	s.moves = append(s.moves, m)
	return m
}

// of returns the move with the comment of an instance, or nil.
func (s *senders) of(comment string) *move {
	s.mu.Lock()
	defer s.mu.Unlock()
	var id int
	if _, err := fmt.Sscanf(comment, "move %d of archive", &id); err != nil || id >= len(s.moves) {
		return nil
	}
	return s.moves[id]
}

// next takes an instance of a move that is under way, and the Move Originator Message ID that it gets: none, the right one, that of
// another move, or one of nobody.
func (s *senders) next(random *rand.Rand) (m *move, instance target, originator uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []*move
	for _, m := range s.moves[max(0, len(s.moves)-64):] {
		if len(m.left) > 0 {
			open = append(open, m)
		}
	}
	if len(open) == 0 {
		return nil, target{}, 0
	}
	m = open[random.IntN(len(open))]
	at := random.IntN(len(m.left))
	instance = m.left[at]
	m.left = slices.Delete(m.left, at, at+1)
	switch random.IntN(4) {
	case 0:
		return m, instance, m.messageID
	case 1:
		return m, instance, open[random.IntN(len(open))].messageID
	case 2:
		return m, instance, 65535
	}
	return m, instance, 0
}

// run sends as one of several senders until ctx is done.
func (s *senders) run(ctx context.Context, random *rand.Rand) error {
	var assoc *dicomnet.Association
	var last *move
	for ctx.Err() == nil {
		m, instance, originator := s.next(random)
		if m == nil {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		if assoc != nil && (m.archive.aeTitle != last.archive.aeTitle || m.archive.host != last.archive.host ||
			m.destination != last.destination || random.IntN(4) == 0) {
			_ = assoc.Close()
			assoc = nil
		}
		if assoc == nil {
			var err error
			if assoc, err = s.dial(m); err != nil {
				return err
			}
			last = m
		}
		_, err := assoc.Store(context.WithoutCancel(ctx), dicomnet.StoreRequest{
			SOPClassUID: secondaryCapture, SOPInstanceUID: instance.instance, Data: m.image(instance),
			MoveOriginatorAETitle: []string{m.archive.aeTitle, "GATEWAY", ""}[random.IntN(3)], MoveOriginatorMessageID: originator,
		})
		if _, refused := errors.AsType[*dicomnet.StatusError](err); err != nil && !refused {
			return err
		}
		s.mu.Lock()
		if m.remaining--; m.remaining == 0 {
			close(m.sent)
		}
		s.mu.Unlock()
	}
	if assoc != nil {
		_ = assoc.Close()
	}
	return nil
}

func (s *senders) dial(m *move) (*dicomnet.Association, error) {
	return dicomnet.Dial(context.Background(), s.scp, dicomnet.Config{
		CallingAETitle: m.archive.aeTitle, CalledAETitle: m.destination,
		Contexts:    []dicomnet.Context{{AbstractSyntax: secondaryCapture, TransferSyntaxes: []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian}}},
		Timeouts:    dicomnet.Timeouts{ACSE: time.Minute, DIMSE: time.Minute, Network: time.Minute},
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(m.archive.host)}}).DialContext,
	})
}

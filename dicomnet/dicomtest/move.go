package dicomtest

import (
	"context"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
)

// move serves C-MOVE (PS3.4 section C.4.2): it sends each instance to the destination by C-STORE, on one association per request.
func (p *PACS) move(ctx context.Context, r *dicomnet.Request, pending func(dicomnet.RetrieveReport) error) dicomnet.RetrieveReport {
	p.begin(dicomnet.StepMove)
	root := rootOf(r.AbstractSyntax)
	q, status := readQuery(r, root)
	if status == dicomnet.StatusSuccess {
		status = q.hierarchical(root)
	}
	if status == dicomnet.StatusSuccess && !q.selects() {
		status = dicomnet.StatusIdentifierMismatch
	}
	if status != dicomnet.StatusSuccess {
		return dicomnet.RetrieveReport{Status: status, Final: true}
	}
	address, known := p.destination(r.Command.MoveDestination)
	if !known {
		return dicomnet.RetrieveReport{Status: dicomnet.StatusMoveDestination, Final: true}
	}
	m := &retrieve{pacs: p, request: r, pending: pending}
	for _, e := range p.archive.search(q) {
		m.left = append(m.left, e...)
	}
	if len(m.left) > 0 {
		m.run(ctx, address)
	}
	return m.final()
}

// selects reports whether the identifier says what to move: the unique key of its level has a value (PS3.4 section C.4.2.1.4.1).
// It removes all keys that are not unique keys.
func (q *query) selects() bool {
	for _, key := range q.keys {
		if !isUniqueKey(key.Tag) {
			q.drop(key.Tag)
		}
	}
	key := q.key(uniqueKey[q.level])
	return key != nil && !universal(key) && !wild(key)
}

func isUniqueKey(t tag.Tag) bool {
	for _, key := range uniqueKey {
		if t == key {
			return true
		}
	}
	return false
}

func (p *PACS) destination(aeTitle string) (address string, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	address, known = p.destinations[strings.TrimSpace(aeTitle)]
	return address, known
}

// retrieve is one running C-MOVE.
type retrieve struct {
	pacs      *PACS
	request   *dicomnet.Request
	pending   func(dicomnet.RetrieveReport) error
	left      []*Instance // not yet sent
	completed int
	warned    int
	failed    []string // SOP Instance UIDs
	lost      bool     // the association of the request is gone
}

// run sends what is left. A C-CANCEL-RQ ends it after the current sub-operation, which is completed.
func (m *retrieve) run(ctx context.Context, address string) {
	p := m.pacs
	stores, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(p.life, stop)()

	assoc, err := dicomnet.Dial(stores, address, dicomnet.Config{
		CalledAETitle: strings.TrimSpace(m.request.Command.MoveDestination), CallingAETitle: p.cfg.AETitle,
		Contexts: StorageContexts(m.left), Timeouts: p.cfg.Timeouts, DialContext: p.cfg.DialContext,
	})
	if err != nil {
		for _, in := range m.left {
			m.failed = append(m.failed, in.Text(tag.SOPInstanceUID))
		}
		m.left = nil
		return
	}
	defer func() { _ = assoc.Close() }()
	for len(m.left) > 0 && !m.lost {
		p.before(ctx, dicomnet.StepMove)
		if ctx.Err() != nil {
			return
		}
		in := m.left[0]
		m.left = m.left[1:]
		m.count(in, m.send(stores, assoc, in))
		m.lost = m.pending(m.report(dicomnet.StatusPending)) != nil
	}
}

func (m *retrieve) send(ctx context.Context, assoc *dicomnet.Association, in *Instance) dicomnet.StatusClass {
	request, err := in.StoreRequest(assoc)
	if err != nil {
		return dicomnet.ClassFailure
	}
	request.MoveOriginatorAETitle = m.request.CallingAETitle
	request.MoveOriginatorMessageID = m.request.Command.MessageID
	status, err := assoc.Store(ctx, request)
	if err != nil {
		return dicomnet.ClassFailure
	}
	return status.Class()
}

func (m *retrieve) count(in *Instance, outcome dicomnet.StatusClass) {
	switch outcome {
	case dicomnet.ClassSuccess:
		m.completed++
	case dicomnet.ClassWarning:
		m.warned++
	default:
		m.failed = append(m.failed, in.Text(tag.SOPInstanceUID))
	}
}

// report returns a response with all four counters (PS3.7 sections 9.1.4.1.7 to 9.1.4.1.10).
func (m *retrieve) report(status dicomnet.Status) dicomnet.RetrieveReport {
	return dicomnet.RetrieveReport{
		Status: status, Remaining: counter(len(m.left)), Completed: counter(m.completed),
		Failed: counter(len(m.failed)), Warning: counter(m.warned),
	}
}

func counter(n int) *uint16 {
	c := uint16(min(n, 0xFFFF))
	return &c
}

// final returns the final response (PS3.4 table C.4-2).
func (m *retrieve) final() dicomnet.RetrieveReport {
	status := dicomnet.StatusSuccess
	switch sent := m.completed + m.warned; {
	case len(m.left) > 0:
		status = dicomnet.StatusCancel
	case len(m.failed) > 0 && sent == 0:
		status = dicomnet.StatusCannotPerform
	case len(m.failed) > 0 || m.warned > 0:
		status = dicomnet.StatusWarning
	}
	report := m.report(status)
	if status != dicomnet.StatusCancel {
		// The standard forbids it in a response other than pending and cancel.
		report.Remaining = nil
	}
	report.Final = true
	report.FailedSOPInstanceUIDs = m.failed
	return report
}

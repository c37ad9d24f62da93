package dicomtest

import (
	"context"
	"io"
	"slices"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// Retrieval changes how a PACS performs C-GET and C-MOVE. The zero value is what PS3.4 sections C.4.2 and C.4.3 require.
type Retrieval struct {
	// Plan, if not nil, returns what to send in place of the instances that match: fewer, more, others, the same more than once, in
	// another order.
	Plan func(op dicomnet.Step, matches []*Instance) []*Instance
	// Body, if not nil, returns the reader of a data set in place of r. It may block until ctx, that of the association, is done.
	Body func(ctx context.Context, in *Instance, r io.Reader) io.Reader
	// Final, if not nil, changes the final response.
	Final func(op dicomnet.Step, r *dicomnet.RetrieveReport)
	// FirstContext sends each instance on the first accepted presentation context of its SOP class, as dcmqrscp does, and fails if it
	// cannot be encoded for that. Otherwise the one of its transfer syntax is used.
	FirstContext bool
	// NativeSyntaxes are the transfer syntaxes for instances with native pixels, in order of preference. Empty means Explicit, then
	// Implicit VR Little Endian.
	NativeSyntaxes []dataset.TransferSyntax
	// StopAtFailure ends with C000, without counters and list, at the first instance that cannot be sent, as Orthanc does.
	StopAtFailure bool
	// OmitPending sends no pending responses.
	OmitPending bool
	// IgnoreCancel goes on after C-CANCEL-RQ, as PixelMed does.
	IgnoreCancel bool

	// UnconfirmedRoles leaves the roles that the requestor of a C-GET proposes unanswered.
	UnconfirmedRoles bool

	// AfterFinal is the number of instances that a C-MOVE sends after the final response, which counts them as completed: the last
	// ones, all if it is large enough. Orthanc sends all of them so if its C-MOVE is asynchronous.
	AfterFinal int
	// PerAssociation is the number of instances after which a C-MOVE opens another association; 0: never.
	PerAssociation int
	// OwnOriginator puts the AE title of the PACS into Move Originator AE Title, as pynetdicom and PixelMed do.
	OwnOriginator bool
}

// retrieve is one running C-GET or C-MOVE.
type retrieve struct {
	pacs      *PACS
	op        dicomnet.Step
	pending   func(dicomnet.RetrieveReport) error
	left      []*Instance // not yet sent
	completed int
	warned    int
	failed    []string // SOP Instance UIDs
	lost      bool     // the association of the request is gone
	stopped   bool     // by a failure
}

// newRetrieve returns the operation for the request, or the status of the final response if the request is refused.
func (p *PACS) newRetrieve(op dicomnet.Step, r *dicomnet.Request) (*retrieve, dicomnet.Status) {
	root := rootOf(r.AbstractSyntax)
	q, status := readQuery(r, root)
	if status == dicomnet.StatusSuccess {
		status = q.hierarchical(root)
	}
	if status == dicomnet.StatusSuccess && !q.selects() {
		status = dicomnet.StatusIdentifierMismatch
	}
	if status != dicomnet.StatusSuccess {
		return nil, status
	}
	m := &retrieve{pacs: p, op: op}
	for _, e := range p.archive.search(q) {
		m.left = append(m.left, e...)
	}
	if plan := p.cfg.Retrieval.Plan; plan != nil {
		m.left = plan(op, slices.Clone(m.left))
	}
	return m, dicomnet.StatusSuccess
}

// selects reports whether the identifier says what to retrieve: the unique key of its level has a value (PS3.4 section
// C.4.2.1.4.1). It removes all keys that are not unique keys.
func (q *query) selects() bool {
	for _, key := range q.keys {
		if !isUniqueKey(key.Tag) {
			q.drop(key.Tag)
		}
	}
	key := q.key(uniqueKey[q.level])
	return key != nil && !universal(key) && !wild(key)
}

func isUniqueKey(t tag.Tag) bool { return slices.Contains(uniqueKey[:], t) }

// next returns the next instance to send, or nil if there is none, or if the operation is cancelled.
func (m *retrieve) next(ctx context.Context) *Instance {
	if len(m.left) == 0 || m.lost || m.stopped {
		return nil
	}
	m.pacs.before(ctx, m.op)
	if ctx.Err() != nil && !m.pacs.cfg.Retrieval.IgnoreCancel {
		return nil
	}
	in := m.left[0]
	m.left = m.left[1:]
	return in
}

// sent counts an instance and sends a pending response.
func (m *retrieve) sent(in *Instance, outcome dicomnet.StatusClass) {
	switch outcome {
	case dicomnet.ClassSuccess:
		m.completed++
	case dicomnet.ClassWarning:
		m.warned++
	default:
		m.failed = append(m.failed, in.Text(tag.SOPInstanceUID))
		m.stopped = m.pacs.cfg.Retrieval.StopAtFailure
	}
	if !m.pacs.cfg.Retrieval.OmitPending && !m.stopped && m.pending != nil {
		m.lost = m.pending(m.report(dicomnet.StatusPending)) != nil
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

// final returns the final response (PS3.4 tables C.4-2 and C.4-3).
func (m *retrieve) final() dicomnet.RetrieveReport {
	report := m.outcome()
	report.Final = true
	if change := m.pacs.cfg.Retrieval.Final; change != nil {
		change(m.op, &report)
	}
	return report
}

func (m *retrieve) outcome() dicomnet.RetrieveReport {
	if m.stopped {
		return dicomnet.RetrieveReport{Status: dicomnet.StatusUnableToProcess}
	}
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
	report.FailedSOPInstanceUIDs = m.failed
	return report
}

// refused returns the final response to a request that is refused.
func refused(status dicomnet.Status) dicomnet.RetrieveReport {
	return dicomnet.RetrieveReport{Status: status, Final: true}
}

// request returns the request that stores the instance on one of the presentation contexts, or an error if there is none for it.
func (m *retrieve) request(ctx context.Context, in *Instance, contexts []dicomnet.NegotiatedContext) (dicomnet.StoreRequest, error) {
	r := m.pacs.cfg.Retrieval
	request, err := in.storeRequest(contexts, r.NativeSyntaxes, r.FirstContext)
	if err == nil && r.Body != nil {
		request.Body = r.Body(ctx, in, request.Body)
	}
	return request, err
}

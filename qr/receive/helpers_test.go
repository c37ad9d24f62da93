package receive_test

import (
	"cmp"
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/internal/storescp"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/qr/receive"
)

// study has two CT instances in one series, a report and an ultrasound image.
func study() dicomtest.Study {
	return dicomtest.Study{
		PatientID: "P1", PatientName: "Test^Receive", AccessionNumber: "A1",
		Series: []dicomtest.Series{{Modality: "CT", Instances: 3}, {Modality: "SR"}, {Modality: "US"}},
	}
}

// rig is a PACS, and a Receiver for it.
type rig struct {
	*receive.Receiver
	pacs *dicomtest.PACS
	peer qr.Peer
	pool *pool.Pool
}

type rigOptions struct {
	pacs     dicomtest.PACSConfig
	settings pool.Settings
	studies  []dicomtest.Study // nil: that of study
	spool    spool.Settings
	scp      bool
	grace    time.Duration // of the storage SCP
	timeouts dicomnet.Timeouts
	max      int           // associations
	timeout  time.Duration // of the operation
	queue    time.Duration // zero: five seconds
}

const title = "GATEWAY"

// newRig starts the PACS and, if asked for, a storage SCP that it knows as a move destination.
func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	if o.studies == nil {
		o.studies = []dicomtest.Study{study()}
	}
	if o.timeouts == (dicomnet.Timeouts{}) {
		const d = 10 * time.Second
		o.timeouts = dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Move: d, Network: d}
	}
	o.pacs.AETitle = "PACS"
	r := &rig{}
	r.pacs, r.peer = qrtest.Archive(t, o.pacs, o.studies...)
	r.peer.Name, r.peer.Settings = "main", &o.settings
	r.pool = pool.New(pool.Options{Timeouts: o.timeouts, MaxAssociationsPerPeer: o.max, QueueTimeout: cmp.Or(o.queue, 5*time.Second)})
	s, err := spool.New(o.spool)
	require.NoError(t, err)
	options := receive.Options{Gateway: qr.New(qr.Options{Pool: r.pool, MaxMatches: 1, OperationTimeout: o.timeout}), Pool: r.pool, Spool: s}
	if o.scp {
		if o.grace == 0 {
			o.grace = 10 * time.Second
		}
		options.SCP = storescp.New(storescp.Options{
			AETitles: []string{title}, PACS: func() []pool.Peer { return []pool.Peer{r.peer} }, Grace: o.grace,
			Timeouts: o.timeouts, MaxAssociations: 20,
		})
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = options.SCP.Serve(listener)
		}()
		t.Cleanup(func() {
			options.SCP.Close()
			<-served
		})
		r.pacs.SetDestination(title, listener.Addr().String())
	}
	r.Receiver = receive.New(options)
	t.Cleanup(func() {
		r.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, r.pool.Wait(ctx))
		assert.Zero(t, r.pool.InUse())
		assert.Zero(t, s.Stats().Memory)
		assert.NoError(t, s.Close())
	})
	return r
}

// uids returns the SOP Instance UIDs of a study, sorted.
func uids(s dicomtest.Study) []string {
	var all []string
	for _, in := range s.Instances() {
		all = append(all, in.Text(tag.SOPInstanceUID))
	}
	slices.Sort(all)
	return all
}

func (r *rig) request(s dicomtest.Study) receive.Request {
	return receive.Request{Target: receive.Target{StudyInstanceUID: s.UID()}, Peer: r.peer}
}

// result is what a caller gets.
type result struct {
	uids     []string // sorted
	syntaxes map[string]dataset.TransferSyntax
	bytes    map[string][]byte
	err      error // of a data set
	outcome  receive.Outcome
}

// retrieve reads everything.
func (r *rig) retrieve(t *testing.T, q receive.Request) (*result, error) {
	t.Helper()
	x, err := r.Retrieve(t.Context(), q)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	got := &result{syntaxes: map[string]dataset.TransferSyntax{}, bytes: map[string][]byte{}}
	for in, err := range x.All() {
		if err != nil {
			got.err = err
			break
		}
		b, err := io.ReadAll(in)
		if err != nil {
			got.err = err
			break
		}
		assert.NotContains(t, got.uids, in.SOPInstanceUID, "each instance comes once")
		got.uids = append(got.uids, in.SOPInstanceUID)
		got.syntaxes[in.SOPInstanceUID], got.bytes[in.SOPInstanceUID] = in.TransferSyntax, b
	}
	slices.Sort(got.uids)
	got.outcome = x.Outcome()
	return got, nil
}

// whole reads everything, which must be all of the study.
func (r *rig) whole(t *testing.T, s dicomtest.Study) *result {
	t.Helper()
	got, err := r.retrieve(t, r.request(s))
	require.NoError(t, err)
	require.NoError(t, got.err)
	assert.Equal(t, uids(s), got.uids)
	assert.True(t, got.outcome.Complete)
	assert.Equal(t, qr.RetrievalOK, got.outcome.Status)
	assert.Empty(t, got.outcome.Missing)
	assert.Zero(t, got.outcome.MissingCount)
	assert.NoError(t, got.outcome.Err)
	assert.Equal(t, len(got.uids), got.outcome.Received)
	return got
}

// without returns the instances but those at the indices.
func without(list []*dicomtest.Instance, indices ...int) []*dicomtest.Instance {
	var rest []*dicomtest.Instance
	for i, in := range list {
		if !slices.Contains(indices, i) {
			rest = append(rest, in)
		}
	}
	return rest
}

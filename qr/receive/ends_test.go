package receive_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
)

// none is a plan that sends nothing.
func none([]*dicomtest.Instance) []*dicomtest.Instance { return nil }

func finally(status dicomnet.Status) func(dicomnet.Step, *dicomnet.RetrieveReport) {
	return func(_ dicomnet.Step, r *dicomnet.RetrieveReport) {
		*r = dicomnet.RetrieveReport{Status: status, Final: true}
	}
}

func TestARetrievalWithoutAnInstanceIsAnError(t *testing.T) {
	s := study()
	t.Run("the PACS sends nothing and says success", func(t *testing.T) {
		r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{Plan: plan(always, none)}}})
		_, err := r.retrieve(t, r.request(s))
		var incomplete *receive.IncompleteError
		require.ErrorAs(t, err, &incomplete)
		assert.Equal(t, 5, incomplete.Missing)
		assert.Equal(t, 1+2*5, r.pacs.Operations(dicomnet.StepGet), "each is asked for again, with two orders of transfer syntaxes")
	})
	t.Run("not every instance is asked for again if nothing comes", func(t *testing.T) {
		many := dicomtest.Study{PatientID: "P1", AccessionNumber: "A3", Series: []dicomtest.Series{{Modality: "CT", Instances: 20}}}
		r := newRig(t, rigOptions{studies: []dicomtest.Study{many}, pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{Plan: plan(always, none)}}})
		_, err := r.retrieve(t, r.request(many))
		require.EqualError(t, err, "0 instances arrived, 20 are missing")
		assert.Equal(t, 1+2*5, r.pacs.Operations(dicomnet.StepGet))
	})
	t.Run("the PACS does not have the study", func(t *testing.T) {
		r := newRig(t, rigOptions{})
		_, err := r.retrieve(t, receive.Request{Target: receive.Target{StudyInstanceUID: "1.2.3"}, Peer: r.peer})
		var notFound *receive.NotFoundError
		require.ErrorAs(t, err, &notFound)
		assert.Zero(t, r.pacs.Operations(dicomnet.StepGet))
	})
	t.Run("the PACS lists nothing and sends nothing", func(t *testing.T) {
		r := newRig(t, rigOptions{
			settings: pool.Settings{Profile: pool.Profile{Known: true}},
			pacs:     dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{Plan: plan(always, none)}},
		})
		_, err := r.retrieve(t, r.request(s))
		require.EqualError(t, err, "no instance arrived")
	})
	t.Run("the target is malformed", func(t *testing.T) {
		r := newRig(t, rigOptions{})
		_, err := r.retrieve(t, receive.Request{Peer: r.peer})
		var target *receive.TargetError
		require.ErrorAs(t, err, &target)
		assert.Zero(t, r.pacs.Operations(dicomnet.StepFind))
	})
	for _, status := range []dicomnet.Status{0xA701, 0xA702, 0xA900, 0xC123, 0x0122, 0x0124, 0xAA00, 0xFE00} {
		t.Run("status "+status.String(), func(t *testing.T) {
			r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{Plan: plan(always, none), Final: finally(status)}}})
			_, err := r.retrieve(t, r.request(s))
			var final *dicomnet.StatusError
			require.ErrorAs(t, err, &final)
			assert.Equal(t, status, final.Status)
			assert.Equal(t, dicomnet.StepGet, final.Op)
		})
	}
}

// A PACS without C-FIND at IMAGE level is believed if its counters agree with what arrives.
func TestWithoutAnInventoryTheStatusDecides(t *testing.T) {
	s := study()
	for name, test := range map[string]struct {
		retrieval dicomtest.Retrieval
		complete  bool
		missing   int // at least
	}{
		"success and counters that agree": {dicomtest.Retrieval{}, true, 0},
		"success without counters":        {dicomtest.Retrieval{Final: withoutCounters}, true, 0},
		"success and more than arrived": {dicomtest.Retrieval{Final: func(_ dicomnet.Step, r *dicomnet.RetrieveReport) {
			*r.Completed += 2
		}}, false, 2},
		"a warning without counters": {dicomtest.Retrieval{Final: finally(dicomnet.StatusWarning)}, false, 0},
		"a warning and counters that agree": {dicomtest.Retrieval{Final: func(_ dicomnet.Step, r *dicomnet.RetrieveReport) {
			r.Status, *r.Completed, *r.Warning = dicomnet.StatusWarning, 3, 2
		}}, true, 0},
		"a failure": {dicomtest.Retrieval{Final: finally(0xC000)}, false, 0},
		"failed sub-operations": {dicomtest.Retrieval{Final: func(_ dicomnet.Step, r *dicomnet.RetrieveReport) {
			r.Status, *r.Failed = dicomnet.StatusWarning, 1
		}}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: test.retrieval}, settings: pool.Settings{Profile: pool.Profile{Known: true}}})
			got, err := r.retrieve(t, r.request(s))
			require.NoError(t, err)
			assert.Equal(t, uids(s), got.uids)
			assert.Equal(t, test.complete, got.outcome.Complete, "%+v", got.outcome)
			assert.Equal(t, test.missing, got.outcome.MissingCount)
			assert.Equal(t, receive.BasisStatus, got.outcome.Basis)
			assert.Equal(t, test.complete, got.outcome.Err == nil)
		})
	}
}

// Counters may say that there are instances that the inventory lacks.
func TestCountersThatContradictTheInventory(t *testing.T) {
	s := study()
	t.Run("nothing explains them", func(t *testing.T) {
		r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{Final: func(_ dicomnet.Step, r *dicomnet.RetrieveReport) {
			r.Status, *r.Failed = dicomnet.StatusWarning, 2
		}}}})
		got, err := r.retrieve(t, r.request(s))
		require.NoError(t, err)
		assert.Equal(t, uids(s), got.uids)
		assert.False(t, got.outcome.Complete)
		assert.Equal(t, 2, got.outcome.MissingCount)
		assert.Empty(t, got.outcome.Missing)
	})
	t.Run("the study has grown", func(t *testing.T) {
		more := s
		more.Series = append(more.Series[:3:3], dicomtest.Series{Modality: "MR"})
		r := newRig(t, rigOptions{})
		config := dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
			Plan: plan(1, func(list []*dicomtest.Instance) []*dicomtest.Instance {
				assert.NoError(t, r.pacs.AddStudies(more))
				return list
			}),
			Final: func(_ dicomnet.Step, report *dicomnet.RetrieveReport) {
				if report.Completed != nil && *report.Completed == 5 {
					report.Status, *report.Failed = dicomnet.StatusWarning, 1
				}
			},
		}}
		r = newRig(t, rigOptions{pacs: config})
		got, err := r.retrieve(t, r.request(s))
		require.NoError(t, err)
		assert.Len(t, got.uids, 6)
		assert.True(t, got.outcome.Complete, "%+v", got.outcome)
	})
	t.Run("a list of failed instances with odd data", func(t *testing.T) {
		for _, list := range [][]string{{}, {""}, {"x", "1..2"}, make([]string, 10_000)} {
			r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{Final: func(_ dicomnet.Step, r *dicomnet.RetrieveReport) {
				r.Status, r.FailedSOPInstanceUIDs, r.Failed = dicomnet.StatusWarning, list, nil
			}}}})
			got, err := r.retrieve(t, r.request(s))
			require.NoError(t, err)
			assert.Equal(t, uids(s), got.uids)
		}
	})
}

// broken ends after n bytes, as the association does.
type broken struct {
	io.Reader
	n int
}

func (b *broken) Read(p []byte) (int, error) {
	if b.n == 0 {
		return 0, errors.New("broken")
	}
	n, err := b.Reader.Read(p[:min(len(p), b.n)])
	b.n -= n
	return n, err
}

// Large instances are handed on while they arrive.
func large(instances int) dicomtest.Study { return dicomtest.GeneratedStudy("BIG", instances, 3<<20) }

func TestAnAssociationThatEndsWithinAnInstance(t *testing.T) {
	t.Run("is replaced if no caller has a part of the instance", func(t *testing.T) {
		s := study()
		times := 0
		r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
			Body: func(_ context.Context, in *dicomtest.Instance, body io.Reader) io.Reader {
				if in.Text(tag.SOPInstanceUID) == s.Instances()[1].Text(tag.SOPInstanceUID) {
					if times++; times == 1 {
						return &broken{body, 700}
					}
				}
				return body
			},
		}}})
		r.whole(t, s)
		assert.Equal(t, 2, times)
	})
	t.Run("breaks the answer off otherwise", func(t *testing.T) {
		s := large(2)
		r := newRig(t, rigOptions{studies: []dicomtest.Study{s}, pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
			Body: func(ctx context.Context, in *dicomtest.Instance, body io.Reader) io.Reader {
				return &broken{io.MultiReader(io.LimitReader(body, 2<<20), waiting(ctx, 50*time.Millisecond), body), 5 << 19}
			},
		}}})
		got, err := r.retrieve(t, r.request(s))
		require.NoError(t, err)
		require.Error(t, got.err)
		assert.Empty(t, got.uids)
		assert.False(t, got.outcome.Complete)
		assert.Error(t, got.outcome.Err)
		assert.Equal(t, 2, got.outcome.MissingCount)
	})
}

// waiting returns a reader of nothing that takes a while.
func waiting(ctx context.Context, d time.Duration) io.Reader {
	return readerFunc(func([]byte) (int, error) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
		return 0, io.EOF
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestACallerThatLeavesCancelsTheRetrieval(t *testing.T) {
	for name, ignore := range map[string]bool{"at once": false, "after the PACS is aborted": true} {
		t.Run(name, func(t *testing.T) {
			s := large(12)
			cancelled := make(chan struct{}, 1)
			r := newRig(t, rigOptions{studies: []dicomtest.Study{s}, pacs: dicomtest.PACSConfig{
				Before: func(ctx context.Context, op dicomnet.Step) {
					if op != dicomnet.StepGet {
						return
					}
					select {
					case <-ctx.Done():
						select {
						case cancelled <- struct{}{}:
						default:
						}
					case <-time.After(20 * time.Millisecond):
					}
				},
				Retrieval: dicomtest.Retrieval{IgnoreCancel: ignore},
			}})
			x, err := r.Retrieve(t.Context(), r.request(s))
			require.NoError(t, err)
			for in, err := range x.All() {
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, in)
				require.NoError(t, err)
				break
			}
			x.Close()
			o := x.Outcome()
			assert.Equal(t, qr.RetrievalCancelled, o.Status)
			assert.False(t, o.Complete)
			assert.Error(t, o.Err)
			assert.Less(t, o.Received, 12)
			<-cancelled
			x.Close()
		})
	}
}

func TestTheEndOfTheCallersContextCancelsTheRetrieval(t *testing.T) {
	s := study()
	ctx, cancel := context.WithCancel(t.Context())
	r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Before: func(ctx context.Context, op dicomnet.Step) {
		if op == dicomnet.StepGet {
			cancel()
			<-ctx.Done()
		}
	}}})
	_, err := r.Retrieve(ctx, r.request(s))
	require.ErrorIs(t, err, context.Canceled)
	var op *dicomnet.OpError
	require.ErrorAs(t, err, &op)
}

func TestTheOperationTimeoutEndsARetrieval(t *testing.T) {
	s := study()
	r := newRig(t, rigOptions{timeout: 300 * time.Millisecond, pacs: dicomtest.PACSConfig{Before: func(ctx context.Context, op dicomnet.Step) {
		if op == dicomnet.StepGet {
			<-ctx.Done()
		}
	}}})
	_, err := r.retrieve(t, r.request(s))
	var timeout *qr.OperationTimeoutError
	require.ErrorAs(t, err, &timeout)
}

// Without a file the spool holds little; a caller that takes nothing is cut off, and the PACS hears C-CANCEL.
func TestACallerThatTakesNothingIsCutOff(t *testing.T) {
	s := large(10)
	r := newRig(t, rigOptions{
		studies: []dicomtest.Study{s},
		spool:   spool.Settings{MemoryEach: 1 << 20, Memory: 2 << 20, Patience: 100 * time.Millisecond},
	})
	x, err := r.Retrieve(t.Context(), r.request(s))
	require.NoError(t, err)
	defer x.Close()
	cut := make(chan error, 1)
	x.OnCutOff(func(err error) { cut <- err })
	o := x.Outcome()
	var full *spool.FullError
	require.ErrorAs(t, o.Err, &full)
	require.ErrorAs(t, <-cut, &full)
	assert.Positive(t, x.Stalled())
	assert.Equal(t, qr.RetrievalFailed, o.Status)
	for _, err := range x.All() {
		require.ErrorAs(t, err, &full)
	}
	assert.Len(t, x.Inventory().Instances, 10)
}

package receive_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
)

func withoutTheSecond(list []*dicomtest.Instance) []*dicomtest.Instance { return without(list, 1) }

// oneFailed makes a final response say that one more sub-operation failed.
func oneFailed(_ dicomnet.Step, r *dicomnet.RetrieveReport) {
	one := uint16(1)
	r.Status, r.Failed = dicomnet.StatusWarning, &one
}

// Without an inventory, what an earlier request brought does not make up for what a later one counts as failed, or does not send.
func TestTheStatusOfARequestIsComparedWithWhatItBrought(t *testing.T) {
	s := study()
	for name, retrieval := range map[string]dicomtest.Retrieval{
		"the same fails both ways": {Plan: plan(always, withoutTheSecond), Final: oneFailed},
		"the other way sends nothing and says success": {
			Plan: func(op dicomnet.Step, list []*dicomtest.Instance) []*dicomtest.Instance {
				if op == dicomnet.StepMove {
					return nil
				}
				return withoutTheSecond(list)
			},
			Final: func(op dicomnet.Step, r *dicomnet.RetrieveReport) {
				if op == dicomnet.StepGet {
					oneFailed(op, r)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{
				scp: true, grace: time.Millisecond, settings: pool.Settings{Profile: pool.Profile{Known: true}},
				pacs: dicomtest.PACSConfig{Retrieval: retrieval},
			})
			got, err := r.retrieve(t, r.request(s))
			require.NoError(t, err)
			assert.Len(t, got.uids, 4)
			assert.False(t, got.outcome.Complete, "%+v", got.outcome)
		})
	}
}

// An instance that cannot be read may be one of the target, so that it does not explain a failed sub-operation.
func TestAnInstanceThatCannotBeReadIsMissing(t *testing.T) {
	s := study()
	bad := s.Instances()[1].Text(tag.SOPInstanceUID)
	r := newRig(t, rigOptions{
		settings: pool.Settings{Profile: pool.Profile{Known: true}},
		pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
			Body: func(_ context.Context, in *dicomtest.Instance, body io.Reader) io.Reader {
				if in.Text(tag.SOPInstanceUID) == bad {
					return strings.NewReader(strings.Repeat("x", 4000))
				}
				return body
			},
		}},
	})
	got, err := r.retrieve(t, r.request(s))
	require.NoError(t, err)
	assert.Len(t, got.uids, 4)
	assert.False(t, got.outcome.Complete, "%+v", got.outcome)
	assert.Equal(t, 1, got.outcome.Refused)
}

// The final response counts instances that neither the inventory lists nor anybody received.
func TestCountersThatExceedWhatArrivedContradictTheInventory(t *testing.T) {
	s := study()
	tests := map[string]func(dicomnet.Step, *dicomnet.RetrieveReport){
		"as completed": func(_ dicomnet.Step, r *dicomnet.RetrieveReport) { *r.Completed += 3 },
		"as failed, by name": func(op dicomnet.Step, r *dicomnet.RetrieveReport) {
			oneFailed(op, r)
			r.FailedSOPInstanceUIDs = []string{"1.2.3.4.5"}
		},
	}
	for way, settings := range map[string]pool.Settings{"C-GET": {}, "C-MOVE": moving()} {
		for name, final := range tests {
			t.Run(way+" "+name, func(t *testing.T) {
				r := newRig(t, rigOptions{
					scp: settings.Retrieve == pool.RetrieveMove, grace: time.Millisecond, settings: settings,
					pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{Final: final}},
				})
				got, err := r.retrieve(t, r.request(s))
				require.NoError(t, err)
				assert.Equal(t, uids(s), got.uids)
				assert.False(t, got.outcome.Complete, "%+v", got.outcome)
			})
		}
	}
}

// The storage SCP refuses an instance of another study before the retrieval sees it, and reports it to the retrieval.
func TestAForeignInstanceThatTheStorageSCPRefusesIsNotMissing(t *testing.T) {
	s := study()
	other := dicomtest.Study{PatientID: "P9", AccessionNumber: "A9", Series: []dicomtest.Series{{Modality: "CT"}}}
	r := newRig(t, rigOptions{
		scp: true, grace: time.Millisecond, settings: moving(), studies: []dicomtest.Study{s, other},
		pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
			Plan: plan(always, func(list []*dicomtest.Instance) []*dicomtest.Instance { return append(other.Instances(), list...) }),
		}},
	})
	got := r.whole(t, s)
	assert.Equal(t, 1, got.outcome.Refused)
}

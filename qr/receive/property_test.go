package receive_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr/receive"
)

// attempt is what a PACS does with one request.
type attempt struct {
	skip, twice []int // of the instances of the study
	foreign     bool  // it also sends an instance of another study
	reverse     bool
	breakAt     int // the index of the instance in which the association breaks; -1: none
	status      dicomnet.Status
	noCounters  bool
}

// TestARetrievalThatReportsCompleteIsComplete lets a PACS do anything. A retrieval that reports that it is complete must have handed on every
// instance once, byte for byte, and none of another study. One that lacks an instance must say which.
func TestARetrievalThatReportsCompleteIsComplete(t *testing.T) {
	s := study()
	other := dicomtest.Study{PatientID: "P9", AccessionNumber: "A9", Series: []dicomtest.Series{{Modality: "CT"}}}
	all := s.Instances()
	var (
		mu       sync.Mutex // the goroutines of associations that have ended may still run
		attempts []attempt
		now      attempt
	)
	next := func() attempt {
		mu.Lock()
		defer mu.Unlock()
		now = attempt{breakAt: -1}
		if len(attempts) > 0 {
			now, attempts = attempts[0], attempts[1:]
		}
		return now
	}
	current := func() attempt {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	config := dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
		Plan: func(_ dicomnet.Step, list []*dicomtest.Instance) []*dicomtest.Instance {
			now := next()
			var plan []*dicomtest.Instance
			for _, in := range list {
				i := slices.IndexFunc(all, func(a *dicomtest.Instance) bool { return a.Text(tag.SOPInstanceUID) == in.Text(tag.SOPInstanceUID) })
				if !slices.Contains(now.skip, i) {
					plan = append(plan, in)
				}
				if slices.Contains(now.twice, i) {
					plan = append(plan, in)
				}
			}
			if now.foreign {
				plan = append(other.Instances(), plan...)
			}
			if now.reverse {
				slices.Reverse(plan)
			}
			return plan
		},
		Body: func(_ context.Context, in *dicomtest.Instance, body io.Reader) io.Reader {
			if now := current(); now.breakAt >= 0 && in.Text(tag.SOPInstanceUID) == all[now.breakAt].Text(tag.SOPInstanceUID) {
				return &broken{body, 600}
			}
			return body
		},
		Final: func(_ dicomnet.Step, r *dicomnet.RetrieveReport) {
			now := current()
			if now.status != 0 {
				r.Status = now.status
			}
			if now.noCounters {
				withoutCounters(dicomnet.StepGet, r)
			}
		},
	}}
	rigs := map[string]*rig{
		"get":    newRig(t, rigOptions{studies: []dicomtest.Study{s, other}, pacs: config}),
		"move":   newRig(t, rigOptions{studies: []dicomtest.Study{s, other}, pacs: config, scp: true, settings: moving(), grace: time.Millisecond}),
		"both":   newRig(t, rigOptions{studies: []dicomtest.Study{s, other}, pacs: config, scp: true, grace: time.Millisecond}),
		"status": newRig(t, rigOptions{studies: []dicomtest.Study{s, other}, pacs: config, settings: pool.Settings{Profile: pool.Profile{Known: true}}}),
	}
	some := rapid.SliceOfN(rapid.IntRange(0, len(all)-1), 0, 3)
	rapid.Check(t, func(rt *rapid.T) {
		drawn := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) attempt {
			return attempt{
				skip: some.Draw(rt, "skip"), twice: some.Draw(rt, "twice"),
				foreign: rapid.Bool().Draw(rt, "foreign"), reverse: rapid.Bool().Draw(rt, "reverse"),
				breakAt:    rapid.SampledFrom([]int{-1, -1, -1, 0, 2}).Draw(rt, "break"),
				status:     rapid.SampledFrom([]dicomnet.Status{0, 0, 0, dicomnet.StatusWarning, 0xA702, 0xC000}).Draw(rt, "status"),
				noCounters: rapid.Bool().Draw(rt, "no counters"),
			}
		}), 0, 4).Draw(rt, "attempts")
		mu.Lock()
		attempts = drawn
		mu.Unlock()
		way := rapid.SampledFrom([]string{"get", "move", "both", "status"}).Draw(rt, "way")
		r := rigs[way]
		got, err := r.retrieve(t, r.request(s))
		if err != nil {
			return // it says so
		}
		require.NoError(rt, got.err)
		for uid, b := range got.bytes {
			i := slices.IndexFunc(all, func(in *dicomtest.Instance) bool { return in.Text(tag.SOPInstanceUID) == uid })
			require.GreaterOrEqual(rt, i, 0, "an instance of another study")
			want, err := all[i].Encode(got.syntaxes[uid])
			require.NoError(rt, err)
			require.True(rt, bytes.Equal(want, b))
		}
		if got.outcome.Complete && (way != "status" || saysAll(drawn)) {
			require.Equal(rt, uids(s), got.uids)
		}
		if got.outcome.Basis == receive.BasisInventory {
			require.Equal(rt, len(got.uids) == len(all), len(got.outcome.Missing) == 0)
			require.Len(rt, got.outcome.Missing, len(all)-len(got.uids))
		}
		require.Equal(rt, got.outcome.Complete, got.outcome.Err == nil)
	})
}

// saysAll reports whether a PACS without an inventory sent what its counters and status say.
func saysAll(attempts []attempt) bool {
	return !slices.ContainsFunc(attempts, func(a attempt) bool { return len(a.skip) > 0 })
}

package pool_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// endings are what a PACS does with an association after it has answered a C-FIND.
var endings = []string{"", "", "", "", "release", "abort", "close", "stray data", "close when idle", "release when idle"}

// Operations of several kinds and patients run while the PACS ends their associations in many ways. Each gets its own answer,
// the limit of associations holds, and no slot stays in use.
func TestCallersGetTheirOwnAnswersWhileThePACSEndsAssociations(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 3).Draw(rt, "limit")
		idle := time.Duration(rapid.SampledFrom([]int{1, 60, 500, 5000}).Draw(rt, "idle ms")) * time.Millisecond
		ends := rapid.SliceOfN(rapid.SampledFrom(endings), 1, 20).Draw(rt, "endings")
		type caller struct {
			start     time.Duration
			title     string
			retrieves bool
		}
		callers := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) caller {
			return caller{
				time.Duration(rapid.IntRange(0, 3000).Draw(rt, "start ms")) * time.Millisecond,
				rapid.SampledFrom([]string{"A", "B"}).Draw(rt, "title"), rapid.Bool().Draw(rt, "retrieves"),
			}
		}), 1, 30).Draw(rt, "callers")
		synctest.Test(t, func(t *testing.T) {
			var open openCounter
			var n atomic.Int32
			p := &dicomtest.ScriptedPACS{}
			p.Find = func(a *association, _ string) {
				patient := a.Keys().String(dataset.PatientID)
				dicomtest.Wait(10 * time.Millisecond)
				assert.Equal(t, a.RQ.CalledAETitle, patient[:1], "the association is of the kind of the operation")
				a.Match(study(patient, "1."+patient[1:]))
				a.Finish(dicomnet.StatusSuccess)
				if a.RQ.Contexts[len(a.RQ.Contexts)-1].AbstractSyntax == dicomnet.StudyRoot.Move {
					return // the ending would meet the C-MOVE
				}
				switch ends[int(n.Add(1))%len(ends)] {
				case "release":
					a.SendPDU(&pdu.ReleaseRQ{})
				case "abort":
					a.Abort()
					a.Close()
				case "close":
					a.Close()
				case "stray data":
					a.Match(study(patient, "1.666"))
				case "close when idle":
					dicomtest.Wait(200 * time.Millisecond)
					a.Close()
				case "release when idle":
					dicomtest.Wait(200 * time.Millisecond)
					a.SendPDU(&pdu.ReleaseRQ{})
				}
			}
			o := reusing(idle)
			o.MaxAssociationsPerPeer, o.QueueTimeout = limit, time.Hour
			o.DialContext = open.count(p.DialContext)
			g := qrtest.For(p, o)
			var wait sync.WaitGroup
			for i, c := range callers {
				wait.Go(func() {
					dicomtest.Wait(c.start)
					patient, want := c.title+strconv.Itoa(i+1), []string{"1." + strconv.Itoa(i+1)}
					if c.retrieves {
						result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.Called(c.title), qr.Filter{PatientID: patient}, "DEST")
						if assert.NoError(t, err) {
							assert.Equal(t, want, qrtest.UIDs(result.Studies))
							assert.Equal(t, 1, result.Succeeded(), result.Err)
						}
						return
					}
					result, err := g.Query(t.Context(), qr.Call{}, qrtest.Called(c.title), qr.Filter{PatientID: patient})
					if assert.NoError(t, err) {
						assert.Equal(t, want, qrtest.UIDs(result.Studies))
						assert.Empty(t, result.Warnings)
					}
				})
			}
			wait.Wait()
			g.Drain()
			require.NoError(t, g.Wait(context.Background()))
			_ = p.Err()
			assert.LessOrEqual(t, open.most, limit)
			assert.Zero(t, g.InUse())
			assert.Zero(t, g.Idle())
		})
	})
}

// Runs over TCP and in real time, for the race detector.
func TestManyCallersShareFewAssociations(t *testing.T) {
	studies := demo.Studies()
	p, peer := qrtest.Archive(t, dicomtest.PACSConfig{AETitle: "PACS"}, studies...)
	var want []string
	for i := range studies {
		if studies[i].PatientID == demo.PatientID {
			want = append(want, studies[i].UID())
		}
	}
	slices.Sort(want)
	g := qrtest.New(qrtest.Options{AssociationIdle: time.Minute, MaxAssociationsPerPeer: 4, QueueTimeout: time.Minute})
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			for range 25 {
				result, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: demo.PatientID})
				if !assert.NoError(t, err) {
					return
				}
				got := qrtest.UIDs(result.Studies)
				slices.Sort(got)
				assert.Equal(t, want, got)
			}
		})
	}
	wait.Wait()
	assert.LessOrEqual(t, g.Idle(), 4)
	assert.Equal(t, 400, p.Operations(dicomnet.StepFind))
	g.Drain()
	require.NoError(t, g.Wait(t.Context()))
}

func BenchmarkQueryReused(b *testing.B) {
	_, peer := qrtest.Archive(b, dicomtest.PACSConfig{AETitle: "PACS"}, demo.Studies()...)
	g := qrtest.New(qrtest.Options{AssociationIdle: time.Minute})
	b.ReportAllocs()
	for b.Loop() {
		result, err := g.Query(b.Context(), qr.Call{}, peer, qr.Filter{PatientID: demo.PatientID})
		if err != nil || len(result.Studies) == 0 {
			b.Fatal(len(result.Studies), err)
		}
	}
	g.Drain()
	require.NoError(b, g.Wait(b.Context()))
}

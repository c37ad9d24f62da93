package qr

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/demo"
)

// called is the peer under another AE title, so that an association with the PACS is of another kind.
func called(aeTitle string) Peer {
	p := thePACS
	p.CalledAETitle = aeTitle
	return p
}

// lateRelease is C-FIND after which the A-RELEASE-RQ is answered only so late.
func lateRelease(d time.Duration) func(*association, string) {
	return func(a *association, _ string) {
		a.done(dicomnet.StatusSuccess)
		if next, err := a.Conn.(peeking).Peek(1); err == nil && pdu.Type(next[0]) == pdu.TypeReleaseRQ {
			a.ReadPDU()
			dicomtest.Wait(d)
			a.SendPDU(&pdu.ReleaseRP{})
			a.ReadPDU()
		}
	}
}

func TestAnIdleAssociationMakesRoomForWhoeverNeedsItsPlace(t *testing.T) {
	for name, patience := range map[string]time.Duration{"who waits in line": time.Minute, "who would not wait for others": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open most
				p := &pacs{find: lateRelease(3 * time.Second)}
				o := reusing(time.Hour)
				o.MaxAssociationsPerPeer, o.QueueTimeout = 2, patience
				g := p.gateway(t, o)
				g.options.DialContext = open.dialling(p.script.DialContext)
				for _, title := range []string{"A", "B"} {
					_, err := g.Query(t.Context(), called(title), Filter{PatientID: "P1"})
					require.NoError(t, err)
					dicomtest.Wait(time.Second)
				}
				start := time.Now()
				_, err := g.Query(t.Context(), called("C"), Filter{PatientID: "P1"})
				require.NoError(t, err)
				assert.Equal(t, 3*time.Second, time.Since(start), "until the connection of the oldest is closed")
				assert.Equal(t, 2, open.ever)

				start = time.Now()
				_, err = g.Query(t.Context(), called("B"), Filter{PatientID: "P1"})
				require.NoError(t, err)
				assert.Zero(t, time.Since(start), "the other one was left alone")
				report := g.Echo(t.Context(), thePACS)
				assert.Equal(t, "associate ok", outcomes(report)[3], "the doctor gets a place too")
				g.Drain()
				require.NoError(t, g.Wait(t.Context()))
				_ = p.script.Err() // C-ECHO is beyond this PACS
				assert.Empty(t, g.places.peers)
			})
		})
	}
}

// A caller of another kind waits while those of one kind come and come.
func TestNobodyStarvesBehindAssociationsThatAreReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{find: answersAfter(time.Second)}
		o := reusing(time.Hour)
		o.MaxAssociationsPerPeer, o.QueueTimeout = 2, time.Minute
		g := p.gateway(t, o)
		ctx, stop := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		for range 6 {
			wait.Go(func() {
				for ctx.Err() == nil {
					_, err := g.Query(t.Context(), called("A"), Filter{PatientID: "P1"})
					assert.NoError(t, err)
				}
			})
		}
		dicomtest.Wait(10500 * time.Millisecond)
		start := time.Now()
		_, err := g.Query(t.Context(), called("B"), Filter{PatientID: "P1"})
		require.NoError(t, err)
		// Two operations run, and four wait in front.
		assert.LessOrEqual(t, time.Since(start), 4*time.Second)
		stop()
		wait.Wait()
		p.drained(t, g)
	})
}

func TestAnAssociationGoesFromHandToHandInTheOrderOfAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{find: answersAfter(time.Second)}
		o := reusing(time.Hour)
		o.MaxAssociationsPerPeer, o.QueueTimeout = 1, time.Minute
		g := p.gateway(t, o)
		var mu sync.Mutex
		var order []int
		var wait sync.WaitGroup
		start := time.Now()
		for i := range 10 {
			wait.Go(func() {
				assert.NoError(t, query(t.Context(), g))
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			synctest.Wait()
		}
		wait.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, order)
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.Equal(t, slices.Concat([]string{"associate FIND"}, times(10, "find STUDY "), []string{"release"}), p.drained(t, g))
	})
}

// What was handed over to a caller in the moment in which it left is neither lost nor spoilt.
func TestAnAssociationHandedToACallerWhoLeavesIsKept(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			p := &pacs{find: answersAfter(time.Second)}
			o := reusing(time.Hour)
			o.MaxAssociationsPerPeer, o.QueueTimeout = 1, time.Second
			g := p.gateway(t, o)
			var wait sync.WaitGroup
			for range 4 {
				wait.Go(func() { _ = query(t.Context(), g) })
			}
			wait.Wait()
			dicomtest.Wait(time.Minute)
			synctest.Wait()
			assert.Equal(t, 1, g.Idle())
			require.NoError(t, query(t.Context(), g))
			p.drained(t, g)
			assert.Len(t, p.rqs, 1)
		})
	}
}

// PACS that take one association, and show it in their own ways.
func TestAPACSThatTakesFewerAssociationsThanAreKept(t *testing.T) {
	for name, refuse := range map[string]func(a *dicomtest.Peer){
		"rejected-transient": func(a *dicomtest.Peer) { a.SendPDU(&pdu.AssociateRJ{Result: 2, Source: 3, Reason: 2}) },
		"rejected-permanent": func(a *dicomtest.Peer) { a.SendPDU(&pdu.AssociateRJ{Result: 1, Source: 3, Reason: 2}) },
		"abort":              func(a *dicomtest.Peer) { a.SendPDU(&pdu.Abort{}) },
		"close":              func(*dicomtest.Peer) {},
		"silence":            func(a *dicomtest.Peer) { a.ExpectAbort(pdu.SourceUser, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open atomic.Int32
				p := &pacs{}
				g := p.gateway(t, reusing(time.Hour))
				p.script.Play = func(peer *dicomtest.Peer) {
					dicomtest.Wait(time.Millisecond) // whatever is over has been counted as over
					defer open.Add(-1)
					if open.Add(1) > 1 {
						peer.ReadAssociateRQ()
						refuse(peer)
						return
					}
					p.play(peer)
				}
				for _, title := range []string{"A", "B", "A", "A", "B"} {
					_, err := g.Query(t.Context(), called(title), Filter{PatientID: "P1"})
					require.NoError(t, err)
				}
				p.drained(t, g)
				assert.Len(t, p.rqs, 4)
			})
		})
	}
}

func TestAMistakenCallerCostsOthersNoAssociation(t *testing.T) {
	p := &pacs{rejects: func(nth int) bool { return nth == 2 }} // called AE title not recognized
	g := p.gateway(t, reusing(time.Minute))
	require.NoError(t, query(t.Context(), g))
	_, err := g.Query(t.Context(), called("WRONG"), Filter{PatientID: "P1"})
	var reject *dicomnet.RejectError
	require.ErrorAs(t, err, &reject)
	assert.Equal(t, 1, g.Idle())
	p.drained(t, g)
}

func TestDrainEndsWhatIsKeptAndKeepsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{find: lateRelease(3 * time.Second)}
		g := p.gateway(t, reusing(time.Hour))
		for _, title := range []string{"A", "B", "C"} {
			_, err := g.Query(t.Context(), called(title), Filter{PatientID: "P1"})
			require.NoError(t, err)
		}
		dicomtest.Wait(time.Second) // some are watched
		require.Equal(t, 3, g.Idle())
		start := time.Now()
		g.Drain()
		assert.Zero(t, time.Since(start), "nobody waits")
		assert.Zero(t, g.Idle())
		require.NoError(t, g.Wait(t.Context()))
		assert.Equal(t, 3*time.Second, time.Since(start), "but for whom it matters; all at once")
		require.NoError(t, query(t.Context(), g), "operations that still run are served")
		assert.Zero(t, g.Idle())
		require.NoError(t, g.Wait(t.Context()))
		assert.Empty(t, g.places.peers)
		_ = p.script.Err()
	})
}

func TestTheReleaseOfAKeptAssociationIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{find: func(a *association, _ string) {
			a.done(dicomnet.StatusSuccess)
			a.Expect(pdu.TypeReleaseRQ)
			a.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			a.ReadPDU()
		}}
		g := p.gateway(t, reusing(time.Hour))
		require.NoError(t, query(t.Context(), g))
		start := time.Now()
		g.Drain()
		require.NoError(t, g.Wait(t.Context()))
		assert.Equal(t, g.options.Timeouts.ACSE, time.Since(start))
		_ = p.script.Err()
		assert.Empty(t, g.places.peers)
	})
}

// whims are what a PACS may do to an association after it has answered.
var whims = []string{"", "", "", "", "release", "abort", "close", "stray data", "close while idle", "late release"}

// Callers of several kinds and patients come and go while a PACS with whims ends their associations. Nobody sees another's
// answer, or none; never are more associations open than may be; and in the end nothing is left.
func TestWhateverAPACSDoesToAssociationsEachCallerHasItsOwnAnswer(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 3).Draw(rt, "limit")
		idle := time.Duration(rapid.SampledFrom([]int{1, 60, 500, 5000}).Draw(rt, "idle ms")) * time.Millisecond
		acts := rapid.SliceOfN(rapid.SampledFrom(whims), 1, 20).Draw(rt, "whims")
		type caller struct {
			comes     time.Duration
			title     string
			retrieves bool
		}
		callers := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) caller {
			return caller{
				time.Duration(rapid.IntRange(0, 3000).Draw(rt, "comes ms")) * time.Millisecond,
				rapid.SampledFrom([]string{"A", "B"}).Draw(rt, "title"), rapid.Bool().Draw(rt, "retrieves"),
			}
		}), 1, 30).Draw(rt, "callers")
		synctest.Test(t, func(t *testing.T) {
			var open most
			var n atomic.Int32
			p := &pacs{}
			p.find = func(a *association, _ string) {
				patient := a.keys().String(tag.PatientID)
				dicomtest.Wait(10 * time.Millisecond)
				assert.Equal(t, a.RQ.CalledAETitle, patient[:1], "an association of its own kind")
				a.match(study(patient, "1."+patient[1:]))
				a.done(dicomnet.StatusSuccess)
				if a.RQ.Contexts[len(a.RQ.Contexts)-1].AbstractSyntax == dicomnet.StudyRoot.Move {
					return // its whims would hit the C-MOVE
				}
				switch acts[int(n.Add(1))%len(acts)] {
				case "release":
					a.SendPDU(&pdu.ReleaseRQ{})
				case "abort":
					a.abort()
					_ = a.Conn.Close()
				case "close":
					_ = a.Conn.Close()
				case "stray data":
					a.match(study(patient, "1.666"))
				case "close while idle":
					dicomtest.Wait(200 * time.Millisecond)
					_ = a.Conn.Close()
				case "late release":
					dicomtest.Wait(200 * time.Millisecond)
					a.SendPDU(&pdu.ReleaseRQ{})
				}
			}
			o := reusing(idle)
			o.MaxAssociationsPerPeer, o.QueueTimeout = limit, time.Hour
			g := p.gateway(t, o)
			g.options.DialContext = open.dialling(p.script.DialContext)
			var wait sync.WaitGroup
			for i, c := range callers {
				wait.Go(func() {
					dicomtest.Wait(c.comes)
					patient, want := c.title+strconv.Itoa(i+1), []string{"1." + strconv.Itoa(i+1)}
					if c.retrieves {
						result, err := g.Retrieve(t.Context(), called(c.title), Filter{PatientID: patient}, "DEST", Progress{})
						if assert.NoError(t, err) {
							assert.Equal(t, want, picked(result.Studies))
							assert.Equal(t, 1, result.Succeeded(), result.Err)
						}
						return
					}
					result, err := g.Query(t.Context(), called(c.title), Filter{PatientID: patient})
					if assert.NoError(t, err) {
						assert.Equal(t, want, picked(result.Studies))
						assert.Empty(t, result.Warnings)
					}
				})
			}
			wait.Wait()
			g.Drain()
			require.NoError(t, g.Wait(context.Background()))
			_ = p.script.Err()
			assert.LessOrEqual(t, open.ever, limit)
			assert.Empty(t, g.places.peers)
			assert.Zero(t, g.Idle())
		})
	})
}

// The same over TCP, in real time, for the race detector.
func TestManyCallersShareFewAssociations(t *testing.T) {
	studies := demo.Studies()
	p, peer := archive(t, dicomtest.PACSConfig{AETitle: "PACS"}, studies...)
	var want []string
	for i := range studies {
		if studies[i].PatientID == demo.PatientID {
			want = append(want, studies[i].UID())
		}
	}
	slices.Sort(want)
	g := New(Options{AssociationIdle: time.Minute, MaxAssociationsPerPeer: 4, QueueTimeout: time.Minute})
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			for range 25 {
				result, err := g.Query(t.Context(), peer, Filter{PatientID: demo.PatientID})
				if !assert.NoError(t, err) {
					return
				}
				got := picked(result.Studies)
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
	p := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "PACS"})
	require.NoError(b, p.AddStudies(demo.Studies()...))
	require.NoError(b, p.Listen("127.0.0.1:0"))
	defer func() { require.NoError(b, p.Close()) }()
	addr, err := net.ResolveTCPAddr("tcp", p.Addr())
	require.NoError(b, err)
	peer := Peer{Host: addr.IP.String(), Port: addr.Port, CalledAETitle: "PACS", CallingAETitle: "GATEWAY"}
	g := New(Options{AssociationIdle: time.Minute})
	b.ReportAllocs()
	for b.Loop() {
		result, err := g.Query(b.Context(), peer, Filter{PatientID: demo.PatientID})
		if err != nil || len(result.Studies) == 0 {
			b.Fatal(len(result.Studies), err)
		}
	}
	g.Drain()
	require.NoError(b, g.Wait(b.Context()))
}

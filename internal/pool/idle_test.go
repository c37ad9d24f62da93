package pool_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

func TestIdleAssociationServesTheNextOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Studies: threeStudies()}
		g := qrtest.For(p, reusing(time.Minute))
		for range 3 {
			result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
			require.NoError(t, err)
			assert.Len(t, result.Studies, 3)
			assert.Equal(t, 1, g.Idle())
			dicomtest.Wait(59 * time.Second)
		}
		assert.Equal(t, slices.Concat([]string{"associate FIND"}, repeat(3, "find STUDY"), []string{"release"}), qrtest.Drain(t, p, g))
	})
}

func TestZeroAssociationIdleReleasesAtOnce(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	g := qrtest.For(p, qrtest.Options{})
	for range 2 {
		require.NoError(t, qrtest.Query(t.Context(), g))
		assert.Zero(t, g.Idle())
		require.NoError(t, g.Wait(t.Context()))
	}
	assert.Equal(t, repeat(2, "associate FIND", "find STUDY", "release"), qrtest.Events(t, p, g))
}

func TestIdleAssociationIsReleasedAfterAssociationIdle(t *testing.T) {
	for _, idle := range []time.Duration{10 * time.Millisecond, 150 * time.Millisecond, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{}
			g := qrtest.For(p, reusing(idle))
			require.NoError(t, qrtest.Query(t.Context(), g))
			dicomtest.Wait(idle * 9 / 10)
			require.NoError(t, qrtest.Query(t.Context(), g), "each use starts the time again")
			dicomtest.Wait(idle * 9 / 10)
			synctest.Wait()
			assert.Equal(t, 1, g.Idle())
			dicomtest.Wait(idle/10 + min(idle, pool.WatchAfter))
			synctest.Wait()
			assert.Zero(t, g.Idle())
			assert.Equal(t, []string{"associate FIND", "find STUDY", "find STUDY", "release"}, qrtest.Events(t, p, g))
			assert.Zero(t, g.InUse())
			require.NoError(t, qrtest.Query(t.Context(), g))
			qrtest.Drain(t, p, g)
		})
	}
}

func TestIdleAssociationServesOnlyOperationsOfItsKind(t *testing.T) {
	retrieve := func(t *testing.T, g *qrtest.Gateway, peer qr.Peer) {
		_, err := g.Retrieve(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"}, "DEST")
		assert.NoError(t, err)
	}
	query := func(t *testing.T, g *qrtest.Gateway, peer qr.Peer) {
		_, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"})
		assert.NoError(t, err)
	}
	with := func(change func(p *qr.Peer)) qr.Peer {
		p := qrtest.PACS
		change(&p)
		return p
	}
	for name, test := range map[string]struct {
		peer   qr.Peer
		second func(t *testing.T, g *qrtest.Gateway, peer qr.Peer)
		reused bool
	}{
		"the same peer":               {qrtest.PACS, query, true},
		"host in another letter case": {with(func(p *qr.Peer) { p.Host = "PACS.Example" }), query, true},
		"another name of the host":    {with(func(p *qr.Peer) { p.Host = "pacs2.example" }), query, false},
		"another port":                {with(func(p *qr.Peer) { p.Port = 105 }), query, false},
		"called AE title":             {with(func(p *qr.Peer) { p.CalledAETitle = "pacs" }), query, false},
		"calling AE title":            {with(func(p *qr.Peer) { p.CallingAETitle = "GATEWAY2" }), query, false},
		"C-FIND and C-MOVE":           {qrtest.PACS, retrieve, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("P1", "1.1")}}
			g := qrtest.For(p, reusing(time.Minute))
			query(t, g, qrtest.PACS)
			test.second(t, g, test.peer)
			assert.Equal(t, map[bool]int{true: 1, false: 2}[test.reused], g.Idle())
			qrtest.Drain(t, p, g)
			assert.Equal(t, map[bool]int{true: 1, false: 2}[test.reused], len(p.Requests()))
		})
	}
}

func TestRetrieveReusesAnIdleAssociation(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: threeStudies()}
	g := qrtest.For(p, reusing(time.Minute))
	for range 2 {
		result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1", MaxResults: 1}, "DEST")
		require.NoError(t, err)
		require.Equal(t, 1, result.Succeeded())
	}
	assert.Equal(t, slices.Concat(
		[]string{"associate FIND MOVE"}, repeat(2, "find STUDY", "move 1.1 to DEST"), []string{"release"},
	), qrtest.Drain(t, p, g))
}

func TestAssociationWithoutCFindIsNotKept(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Negotiate: func(a *association) bool {
		if a.Number%2 == 1 {
			return a.Refuse(dicomnet.StudyRoot.Move)
		}
		return a.Refuse(dicomnet.StudyRoot.Find)
	}}
	g := qrtest.For(p, reusing(time.Minute))
	for range 2 {
		result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1", MaxResults: 1}, "DEST")
		require.NoError(t, err)
		require.Equal(t, 1, result.Succeeded())
		assert.Zero(t, g.Idle())
		require.NoError(t, g.Wait(t.Context()))
	}
	assert.Equal(t, repeat(2,
		"associate FIND MOVE", "find STUDY", "release", "associate MOVE", "move 1.1 to DEST", "release",
	), qrtest.Drain(t, p, g))
}

func TestAssociationIsNotKeptAfterAFaultyFind(t *testing.T) {
	for name, find := range map[string]func(a *association){
		"A700":             func(a *association) { a.Finish(0xa700) },
		"A900":             func(a *association) { a.Finish(0xa900) },
		"C000":             func(a *association) { a.Finish(0xc000) },
		"FE00":             func(a *association) { a.Finish(dicomnet.StatusCancel) },
		"too many matches": func(a *association) { a.Match(threeStudies()...); a.AwaitCancel(); a.Finish(dicomnet.StatusCancel) },
		"undecodable":      func(a *association) { a.Pending(dicomtest.Undecodable); a.Finish(dicomnet.StatusSuccess) },
		"final response sent twice": func(a *association) {
			final := dicomtest.Response(a.Request, dicomnet.StatusSuccess, nil)
			a.SendMessage(final, final)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
					if a.Number == 1 {
						find(a)
						return
					}
					a.Finish(dicomnet.StatusSuccess)
				}}
				o := reusing(time.Minute)
				o.MaxMatches = 2
				g := qrtest.For(p, o)
				first := qrtest.Query(t.Context(), g)
				assert.Zero(t, g.Idle(), first)
				require.NoError(t, qrtest.Query(t.Context(), g))
				qrtest.Drain(t, p, g)
				assert.Len(t, p.Requests(), 2, "the next operation opens an association of its own")
			})
		})
	}
}

func TestEchoNeitherUsesNorLeavesAnIdleAssociation(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	g := qrtest.For(p, reusing(time.Minute))
	require.NoError(t, qrtest.Query(t.Context(), g))
	report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
	require.NoError(t, report.Err)
	assert.Equal(t, []string{"resolve ok", "connect ok", "tls skipped", "associate ok", "echo ok"}, qrtest.Outcomes(report))
	assert.Equal(t, 1, g.Idle())
	assert.Equal(t, []string{
		"associate FIND", "find STUDY", "associate ECHO FIND MOVE", "echo", "release", "release",
	}, qrtest.Drain(t, p, g))
}

func TestAllowlistAppliesToIdleAssociations(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	o := reusing(time.Minute)
	address := "192.0.2.1"
	o.LookupHost = func(context.Context, string) ([]string, error) { return []string{address}, nil }
	o.Allow = parseAllowlist(t, "192.0.2.0/24")
	var dialled []string
	o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return p.DialContext(ctx, network, address)
	}
	g := qrtest.For(p, o)
	require.NoError(t, qrtest.Query(t.Context(), g))
	require.NoError(t, qrtest.Query(t.Context(), g))
	address = "203.0.113.1"
	var refused *pool.NotAllowedError
	require.ErrorAs(t, qrtest.Query(t.Context(), g), &refused, "the name has an idle association, but now another address")
	address = "192.0.2.2"
	require.NoError(t, qrtest.Query(t.Context(), g))
	assert.Equal(t, []string{"192.0.2.1:104", "192.0.2.2:104"}, dialled)
	assert.Equal(t, 2, g.Idle())
	qrtest.Drain(t, p, g)
}

func TestIdleAssociationAtAnyAddressOfTheNameIsReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{}
		o := reusing(time.Minute)
		o.LookupHost = qrtest.Lookup("192.0.2.1", "192.0.2.2")
		o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "192.0.2.1:104" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return p.DialContext(ctx, network, address)
		}
		g := qrtest.For(p, o)
		require.NoError(t, qrtest.Query(t.Context(), g))
		start := time.Now()
		require.NoError(t, qrtest.Query(t.Context(), g))
		assert.Zero(t, time.Since(start), "the silent address is not tried again")
		qrtest.Drain(t, p, g)
	})
}

func TestAssociationsAreReplacedAfterMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{}
		g := qrtest.For(p, reusing(2*time.Minute))
		for range 12 {
			require.NoError(t, qrtest.Query(t.Context(), g))
			dicomtest.Wait(time.Minute)
		}
		qrtest.Drain(t, p, g)
		assert.Len(t, p.Requests(), 2, "MaxAge passed once in 12 minutes")
	})
}

func TestNumberOfIdleAssociationsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{}
		g := qrtest.For(p, reusing(time.Hour))
		at := func(port int) qr.Peer {
			peer := qrtest.PACS
			peer.Port = port
			return peer
		}
		for port := 1; port <= pool.MaxIdle+20; port++ {
			_, err := g.Query(t.Context(), qr.Call{}, at(port), qr.Filter{PatientID: "P1"})
			require.NoError(t, err)
			dicomtest.Wait(time.Millisecond)
		}
		require.NoError(t, g.Wait(t.Context()))
		assert.Equal(t, pool.MaxIdle, g.Idle())
		assert.Equal(t, pool.MaxIdle, g.InUse())
		opened := len(p.Requests())
		for _, kept := range []int{21, pool.MaxIdle + 20} {
			_, err := g.Query(t.Context(), qr.Call{}, at(kept), qr.Filter{PatientID: "P1"})
			require.NoError(t, err)
		}
		assert.Equal(t, opened, len(p.Requests()), "the oldest associations were evicted")
		qrtest.Drain(t, p, g)
	})
}

// stepObserver calls a function at the start of each step.
type stepObserver struct {
	qr.Unobserved
	f func(context.Context, pool.PeerStep)
}

func (o stepObserver) Step(ctx context.Context, s pool.PeerStep) (context.Context, func(error)) {
	o.f(ctx, s)
	return ctx, func(error) {}
}

type operationKey struct{}

func TestTraceReceivesTheContextOfTheOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		traced := map[any][]string{}
		trace := func(ctx context.Context, what string) {
			mu.Lock()
			defer mu.Unlock()
			traced[ctx.Value(operationKey{})] = append(traced[ctx.Value(operationKey{})], what)
		}
		named := func(name string) context.Context { return context.WithValue(t.Context(), operationKey{}, name) }
		p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("P1", "1.1")}}
		o := reusing(time.Minute)
		o.Background = named("background")
		o.Trace = func(qr.Peer) *dicomnet.Trace {
			return &dicomnet.Trace{
				Ended: func(ctx context.Context, s dicomnet.Summary) { trace(ctx, s.Outcome) },
				PDU:   func(ctx context.Context, _ bool, name string, _ int) { trace(ctx, name) },
			}
		}
		call := qr.Call{Observer: stepObserver{f: func(ctx context.Context, s pool.PeerStep) { trace(ctx, "step "+string(s.Name)) }}}
		g := qrtest.For(p, o)
		for _, name := range []string{"A", "B"} {
			_, err := g.Query(named(name), call, qrtest.PACS, qr.Filter{PatientID: "P1"})
			require.NoError(t, err)
			dicomtest.Wait(time.Second)
		}
		dicomtest.Wait(time.Hour)
		synctest.Wait()
		qrtest.Drain(t, p, g)
		const data = "P-DATA-TF"
		assert.Equal(t, map[any][]string{
			"A": {
				"step resolve", "step queue", "step connect", "step associate", "A-ASSOCIATE-RQ", "A-ASSOCIATE-AC",
				"step find", data, data, data, data, data,
			},
			"B":          {"step resolve", "step reuse", "step find", data, data, data, data, data},
			"background": {"A-RELEASE-RQ", "A-RELEASE-RP", "released"},
		}, traced)
	})
}

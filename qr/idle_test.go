package qr

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// reusing is Options with associations kept for so long.
func reusing(idle time.Duration) Options { return Options{AssociationIdle: idle} }

// drained ends what is kept and gives what the PACS saw.
func (p *pacs) drained(t *testing.T, g *Gateway) []string {
	t.Helper()
	g.Drain()
	events := p.seen(t, g)
	assert.Zero(t, g.Idle())
	assert.Empty(t, g.places.peers, "no place is lost")
	return events
}

// times are events, repeated.
func times(n int, events ...string) []string { return slices.Repeat(events, n) }

func TestAnAssociationIsKeptForTheNextOperationOfItsKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{studies: threeStudies()}
		g := p.gateway(t, reusing(time.Minute))
		for range 3 {
			result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
			require.NoError(t, err)
			assert.Len(t, result.Studies, 3)
			assert.Equal(t, 1, g.Idle())
			dicomtest.Wait(59 * time.Second)
		}
		assert.Equal(t, slices.Concat([]string{"associate FIND"}, times(3, "find STUDY "), []string{"release"}), p.drained(t, g))
	})
}

func TestNothingIsKeptUnlessAskedFor(t *testing.T) {
	p := &pacs{}
	g := p.gateway(t, Options{})
	for range 2 {
		require.NoError(t, query(t.Context(), g))
		assert.Zero(t, g.Idle())
		require.NoError(t, g.Wait(t.Context()))
	}
	assert.Equal(t, times(2, "associate FIND", "find STUDY ", "release"), p.seen(t, g))
}

func TestAKeptAssociationIsReleasedWhenItsTimeIsOver(t *testing.T) {
	for _, idle := range []time.Duration{10 * time.Millisecond, 150 * time.Millisecond, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p := &pacs{}
			g := p.gateway(t, reusing(idle))
			require.NoError(t, query(t.Context(), g))
			dicomtest.Wait(idle * 9 / 10)
			require.NoError(t, query(t.Context(), g), "the time begins anew with each use")
			dicomtest.Wait(idle * 9 / 10)
			synctest.Wait()
			assert.Equal(t, 1, g.Idle())
			dicomtest.Wait(idle/10 + min(idle, watchAfter))
			synctest.Wait()
			assert.Zero(t, g.Idle())
			assert.Equal(t, []string{"associate FIND", "find STUDY ", "find STUDY ", "release"}, p.seen(t, g))
			assert.Empty(t, g.places.peers)
			require.NoError(t, query(t.Context(), g))
			p.drained(t, g)
		})
	}
}

func TestAnAssociationIsKeptForItsKindAlone(t *testing.T) {
	retrieve := func(t *testing.T, g *Gateway, peer Peer) {
		_, err := g.Retrieve(t.Context(), peer, Filter{PatientID: "P1"}, "DEST", Progress{})
		assert.NoError(t, err)
	}
	queryOf := func(t *testing.T, g *Gateway, peer Peer) {
		_, err := g.Query(t.Context(), peer, Filter{PatientID: "P1"})
		assert.NoError(t, err)
	}
	with := func(change func(p *Peer)) Peer {
		p := thePACS
		change(&p)
		return p
	}
	for name, test := range map[string]struct {
		peer   Peer
		second func(t *testing.T, g *Gateway, peer Peer)
		reused bool
	}{
		"the same":                 {thePACS, queryOf, true},
		"host in other letters":    {with(func(p *Peer) { p.Host = "PACS.Example" }), queryOf, true},
		"another name of the host": {with(func(p *Peer) { p.Host = "pacs2.example" }), queryOf, false},
		"another port":             {with(func(p *Peer) { p.Port = 105 }), queryOf, false},
		"called AE title":          {with(func(p *Peer) { p.CalledAETitle = "pacs" }), queryOf, false},
		"calling AE title":         {with(func(p *Peer) { p.CallingAETitle = "GATEWAY2" }), queryOf, false},
		"C-MOVE too":               {thePACS, retrieve, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pacs{studies: []attributes{study("P1", "1.1")}}
			g := p.gateway(t, reusing(time.Minute))
			queryOf(t, g, thePACS)
			test.second(t, g, test.peer)
			assert.Equal(t, map[bool]int{true: 1, false: 2}[test.reused], g.Idle())
			p.drained(t, g)
			assert.Equal(t, map[bool]int{true: 1, false: 2}[test.reused], len(p.rqs))
		})
	}
}

func TestARetrieveBeginsWithCFindOnAKeptAssociation(t *testing.T) {
	p := &pacs{studies: threeStudies()}
	g := p.gateway(t, reusing(time.Minute))
	for range 2 {
		result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1", MaxResults: 1}, "DEST", Progress{})
		require.NoError(t, err)
		require.Equal(t, 1, result.Succeeded())
	}
	assert.Equal(t, slices.Concat(
		[]string{"associate FIND MOVE"}, times(2, "find STUDY ", "move 1.1 to DEST"), []string{"release"},
	), p.drained(t, g))
}

func TestAnAssociationForCMoveAloneIsNotKept(t *testing.T) {
	p := &pacs{studies: threeStudies(), accepts: func(nth int, sopClass string) bool {
		return (nth%2 == 1) == (sopClass == dicomnet.StudyRoot.Find)
	}}
	g := p.gateway(t, reusing(time.Minute))
	for range 2 {
		result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1", MaxResults: 1}, "DEST", Progress{})
		require.NoError(t, err)
		require.Equal(t, 1, result.Succeeded())
		assert.Zero(t, g.Idle())
		require.NoError(t, g.Wait(t.Context()))
	}
	assert.Equal(t, times(2,
		"associate FIND MOVE", "find STUDY ", "release", "associate MOVE", "move 1.1 to DEST", "release",
	), p.drained(t, g))
}

// What ended otherwise than with 0000 is not met again.
func TestWhatDidNotEndInOrderIsNotKept(t *testing.T) {
	for name, find := range map[string]func(a *association){
		"A700":        func(a *association) { a.done(0xa700) },
		"A900":        func(a *association) { a.done(0xa900) },
		"C000":        func(a *association) { a.done(0xc000) },
		"FE00":        func(a *association) { a.done(dicomnet.StatusCancel) },
		"too many":    func(a *association) { a.match(threeStudies()...); a.awaitCancel(); a.done(dicomnet.StatusCancel) },
		"undecodable": func(a *association) { a.undecodable(); a.done(dicomnet.StatusSuccess) },
		"said twice": func(a *association) {
			final := dicomtest.Response(a.rq, dicomnet.StatusSuccess, nil)
			a.SendMessage(final, final)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pacs{find: func(a *association, _ string) {
					if a.nth == 1 {
						find(a)
						return
					}
					a.done(dicomnet.StatusSuccess)
				}}
				o := reusing(time.Minute)
				o.MaxMatches = 2
				g := p.gateway(t, o)
				first := query(t.Context(), g)
				assert.Zero(t, g.Idle(), first)
				require.NoError(t, query(t.Context(), g))
				p.drained(t, g)
				assert.Len(t, p.rqs, 2, "the next operation has an association of its own")
			})
		})
	}
}

// A peer that ends an association which nobody uses. The next caller notices nothing.
func TestAStaleAssociationIsReplaced(t *testing.T) {
	for name, ends := range map[string]func(a *association){
		"A-RELEASE": func(a *association) { a.SendPDU(&pdu.ReleaseRQ{}); a.Expect(pdu.TypeReleaseRP) },
		"A-ABORT":   func(a *association) { a.abort() },
		"close":     func(a *association) { _ = a.Conn.Close() },
		"P-DATA": func(a *association) {
			a.match(study("P1", "1.666"))
			a.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedPDU)
		},
		"junk": func(a *association) { a.Send([]byte("HTTP/1.1 408 Request Timeout\r\n")) },
	} {
		for _, after := range []time.Duration{time.Microsecond, 50 * time.Millisecond, time.Second} {
			t.Run(name+" after "+after.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := &pacs{}
					p.find = func(a *association, _ string) {
						a.match(study("P1", "1."+strconv.Itoa(a.nth)))
						a.done(dicomnet.StatusSuccess)
						if a.nth == 1 {
							dicomtest.Wait(after)
							ends(a)
							_ = a.Conn.Close()
						}
					}
					g := p.gateway(t, reusing(time.Minute))
					for i := range 2 {
						result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
						require.NoError(t, err)
						assert.Equal(t, []string{"1." + strconv.Itoa(i+1)}, picked(result.Studies))
						dicomtest.Wait(after)
						synctest.Wait()
						if i == 0 && after > watchAfter {
							assert.Zero(t, g.Idle(), "it is found out before anybody wants it")
							assert.Empty(t, g.places.peers)
						}
					}
					g.Drain()
					require.NoError(t, g.Wait(t.Context()))
					_ = p.script.Err() // a request may meet a peer that is gone
					assert.Len(t, p.rqs, 2)
					assert.Empty(t, g.places.peers)
				})
			})
		}
	}
}

// The script of a peer that ends the association when it has the request, before it answers.
func TestARequestIsSentAgainOnlyWhereNothingWasAnswered(t *testing.T) {
	for name, test := range map[string]struct {
		second func(a *association) // answers the second request on the first association
		err    string
	}{
		"close":                      {func(a *association) { _ = a.Conn.Close() }, ""},
		"abort":                      {func(a *association) { a.abort(); _ = a.Conn.Close() }, ""},
		"release":                    {func(a *association) { a.SendPDU(&pdu.ReleaseRQ{}); a.Expect(pdu.TypeReleaseRP) }, ""},
		"an answer to the first one": {func(a *association) { a.rq.Command.MessageID--; a.match(study("P1", "1.666")) }, ""},
		"PDUs without anything":      {func(a *association) { a.Send(bytes.Repeat([]byte{byte(pdu.TypePDataTF), 0, 0, 0, 0, 0}, 100)) }, ""},
		"a match, then close":        {func(a *association) { a.match(study("P1", "1.1")); _ = a.Conn.Close() }, "find: connection closed by the peer"},
		"a match, then abort":        {func(a *association) { a.match(study("P1", "1.1")); a.abort() }, "find: aborted by the peer: service-provider, reason-not-specified"},
		"a failure":                  {func(a *association) { a.done(0xa700) }, "find: status A700: refused: out of resources"},
		"silence":                    {func(a *association) { a.ReadPDU() }, "find: dimse timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				p := &pacs{}
				p.find = func(a *association, _ string) {
					if n++; n == 2 {
						test.second(a)
						return
					}
					a.match(study("P1", "1."+strconv.Itoa(n)))
					a.done(dicomnet.StatusSuccess)
				}
				g := p.gateway(t, reusing(time.Minute))
				require.NoError(t, query(t.Context(), g))
				result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
				if test.err == "" {
					require.NoError(t, err)
					assert.Equal(t, []string{"1.3"}, picked(result.Studies))
				} else {
					assert.EqualError(t, err, test.err)
					assert.Equal(t, 2, n)
				}
				g.Drain()
				require.NoError(t, g.Wait(t.Context()))
				_ = p.script.Err()
				assert.Empty(t, g.places.peers)
			})
		})
	}
}

func TestTheNewAssociationInPlaceOfAStaleOneIsNotReplacedAgain(t *testing.T) {
	n := 0
	p := &pacs{find: func(a *association, _ string) {
		if n++; n == 1 {
			a.done(dicomnet.StatusSuccess)
			return
		}
		a.abort()
	}}
	g := p.gateway(t, reusing(time.Minute))
	require.NoError(t, query(t.Context(), g))
	var aborted *dicomnet.AbortError
	require.ErrorAs(t, query(t.Context(), g), &aborted)
	assert.Equal(t, 3, n)
	g.Drain()
	require.NoError(t, g.Wait(t.Context()))
	assert.Empty(t, g.places.peers)
}

func TestAMoveIsNeverSentAgain(t *testing.T) {
	moves := 0
	p := &pacs{studies: threeStudies(), move: func(a *association, _ string) {
		if moves++; moves == 2 {
			_ = a.Conn.Close()
			return
		}
		a.final(dicomnet.StatusSuccess, count(1, 0, 0, -1))
	}}
	g := p.gateway(t, reusing(time.Minute))
	f := Filter{PatientID: "P1", MaxResults: 1}
	_, err := g.Retrieve(t.Context(), thePACS, f, "DEST", Progress{})
	require.NoError(t, err)
	result, err := g.Retrieve(t.Context(), thePACS, f, "DEST", Progress{})
	require.NoError(t, err)
	require.ErrorIs(t, result.Err, dicomnet.ErrConnectionLost)
	assert.Equal(t, 2, moves)
	g.Drain()
	require.NoError(t, g.Wait(t.Context()))
	assert.Empty(t, g.places.peers)
}

// A retrieve whose kept association is stale goes on with a new one, C-MOVE included.
func TestARetrieveWhoseAssociationIsStaleNoticesNothing(t *testing.T) {
	n := 0
	p := &pacs{}
	p.find = func(a *association, _ string) {
		if n++; n == 2 {
			_ = a.Conn.Close()
			return
		}
		a.match(study("P1", "1.1"))
		a.done(dicomnet.StatusSuccess)
	}
	g := p.gateway(t, reusing(time.Minute))
	for range 2 {
		result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1"}, "DEST", Progress{})
		require.NoError(t, err)
		assert.Equal(t, 1, result.Succeeded())
	}
	assert.Equal(t, []string{
		"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST", "find STUDY ",
		"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST", "release",
	}, p.drained(t, g))
}

func TestEchoOpensAnAssociationOfItsOwn(t *testing.T) {
	p := &pacs{}
	g := p.gateway(t, reusing(time.Minute))
	require.NoError(t, query(t.Context(), g))
	report := g.Echo(t.Context(), thePACS)
	require.Error(t, report.Err, "this PACS knows C-FIND and C-MOVE alone")
	assert.Equal(t, []string{"resolve ok", "connect ok", "tls skipped", "associate ok", "echo failed"}, outcomes(report))
	assert.Equal(t, 1, g.Idle(), "and leaves none")
	g.Drain()
	require.NoError(t, g.Wait(t.Context()))
	_ = p.script.Err()
}

func TestTheAllowlistIsHeededAtEachUse(t *testing.T) {
	p := &pacs{}
	o := reusing(time.Minute)
	address := "192.0.2.1"
	o.LookupHost = func(context.Context, string) ([]string, error) { return []string{address}, nil }
	var err error
	o.Allow, err = ParseAllowlist("192.0.2.0/24")
	require.NoError(t, err)
	var dialled []string
	o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return p.script.DialContext(ctx, network, address)
	}
	g := p.gateway(t, o)
	require.NoError(t, query(t.Context(), g))
	require.NoError(t, query(t.Context(), g))
	address = "203.0.113.1"
	var refused *NotAllowedError
	require.ErrorAs(t, query(t.Context(), g), &refused, "an association with the name is open, but to another address")
	address = "192.0.2.2"
	require.NoError(t, query(t.Context(), g))
	assert.Equal(t, []string{"192.0.2.1:104", "192.0.2.2:104"}, dialled)
	assert.Equal(t, 2, g.Idle())
	p.drained(t, g)
}

func TestAKeptAssociationAtAnyAddressOfTheNameWillDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{}
		o := reusing(time.Minute)
		o.LookupHost = func(context.Context, string) ([]string, error) { return []string{"192.0.2.1", "192.0.2.2"}, nil }
		o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "192.0.2.1:104" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return p.script.DialContext(ctx, network, address)
		}
		g := p.gateway(t, o)
		require.NoError(t, query(t.Context(), g))
		start := time.Now()
		require.NoError(t, query(t.Context(), g))
		assert.Zero(t, time.Since(start), "the silent one is not tried before")
		p.drained(t, g)
	})
}

func TestNoAssociationGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{}
		g := p.gateway(t, reusing(2*time.Minute))
		for range 12 {
			require.NoError(t, query(t.Context(), g))
			dicomtest.Wait(time.Minute)
		}
		p.drained(t, g)
		assert.Len(t, p.rqs, 2, "ten minutes are over once")
	})
}

func TestNoMoreThanSoManyAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{}
		g := p.gateway(t, reusing(time.Hour))
		at := func(port int) Peer {
			peer := thePACS
			peer.Port = port
			return peer
		}
		for port := 1; port <= maxIdle+20; port++ {
			_, err := g.Query(t.Context(), at(port), Filter{PatientID: "P1"})
			require.NoError(t, err)
			dicomtest.Wait(time.Millisecond)
		}
		require.NoError(t, g.Wait(t.Context()))
		assert.Equal(t, maxIdle, g.Idle())
		assert.Len(t, g.places.peers, maxIdle)
		opened := len(p.rqs)
		for _, kept := range []int{21, maxIdle + 20} {
			_, err := g.Query(t.Context(), at(kept), Filter{PatientID: "P1"})
			require.NoError(t, err)
		}
		assert.Equal(t, opened, len(p.rqs), "the oldest went first")
		p.drained(t, g)
	})
}

type caller struct{}

func TestWhatIsTracedIsOfTheOperationInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := map[any][]string{}
		tell := func(ctx context.Context, what string) {
			mu.Lock()
			defer mu.Unlock()
			told[ctx.Value(caller{})] = append(told[ctx.Value(caller{})], what)
		}
		as := func(name string) context.Context { return context.WithValue(t.Context(), caller{}, name) }
		p := &pacs{find: func(a *association, _ string) { a.match(study("P1", "1.1")); a.done(dicomnet.StatusSuccess) }}
		o := reusing(time.Minute)
		o.Background = as("nobody")
		o.Trace = &dicomnet.Trace{
			Ended: func(ctx context.Context, s dicomnet.Summary) { tell(ctx, s.Outcome) },
			PDU:   func(ctx context.Context, _ bool, name string, _ int) { tell(ctx, name) },
		}
		o.Observe = func(ctx context.Context, s Step) (context.Context, func(error)) {
			tell(ctx, "step "+string(s.Name))
			return ctx, func(error) {}
		}
		g := p.gateway(t, o)
		for _, name := range []string{"A", "B"} {
			require.NoError(t, query(as(name), g))
			dicomtest.Wait(time.Second)
		}
		dicomtest.Wait(time.Hour)
		synctest.Wait()
		p.drained(t, g)
		const data = "P-DATA-TF"
		assert.Equal(t, map[any][]string{
			"A": {
				"step resolve", "step queue", "step connect", "step associate", "A-ASSOCIATE-RQ", "A-ASSOCIATE-AC",
				"step find", data, data, data, data, data,
			},
			"B":      {"step resolve", "step reuse", "step find", data, data, data, data, data},
			"nobody": {"A-RELEASE-RQ", "A-RELEASE-RP", "released"},
		}, told)
	})
}

package pool_test

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// Over TCP, where data that was not read yet waits in the kernel: the peer sends more after its final response, some of it like
// an answer to the next request. The next operation gets an answer of its own.
func TestUnsolicitedDataIsNotTakenForAnAnswer(t *testing.T) {
	next := func(a *association) { a.Request.Command.MessageID++ }
	pdvs := func(n int, pdv ...byte) []byte {
		b := []byte{byte(pdu.TypePDataTF), 0, 0, 0, 0, byte(n * len(pdv))}
		for range n {
			b = append(b, pdv...)
		}
		return b
	}
	for name, unasked := range map[string]func(a *association){
		"final response":           func(a *association) { next(a); a.Finish(dicomnet.StatusSuccess) },
		"match and final response": func(a *association) { next(a); a.Match(study("P1", "1.666")); a.Finish(dicomnet.StatusSuccess) },
		"match of another patient": func(a *association) { next(a); a.Match(study("P2", "1.666")); a.Finish(dicomnet.StatusSuccess) },
		"empty P-DATA-TF":          func(a *association) { a.Send(pdvs(1)) },
		"half a header":            func(a *association) { a.Send([]byte{byte(pdu.TypeAbort), 0, 0}) },
		"half a P-DATA-TF":         func(a *association) { a.Send(pdvs(20, 0, 0, 0, 2, 1, 0)[:50]) },
		"A-RELEASE-RQ":             func(a *association) { a.SendPDU(&pdu.ReleaseRQ{}) },
		"A-ABORT":                  func(a *association) { a.Abort() },
		"HTTP request":             func(a *association) { a.Send([]byte("GET / HTTP/1.1\r\n\r\n")) },
	} {
		for _, watched := range []bool{false, true} {
			t.Run(name+", watched "+strconv.FormatBool(watched), func(t *testing.T) {
				sent := make(chan struct{})
				p := &dicomtest.ScriptedPACS{}
				p.Find = func(a *association, _ string) {
					a.Match(study("P1", "1."+strconv.Itoa(a.Number)))
					a.Finish(dicomnet.StatusSuccess)
					if a.Number > 1 {
						return
					}
					if watched {
						dicomtest.Wait(2 * pool.WatchAfter)
					} else {
						dicomtest.Wait(pool.WatchAfter / 10) // after the answer, before the watch
					}
					defer close(sent) // the gateway may have closed the association meanwhile
					unasked(a)
				}
				var address string
				o := reusing(time.Minute)
				o.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, "tcp", address)
				}
				g := qrtest.For(p, o)
				at, closeFn, err := p.Listen()
				require.NoError(t, err)
				address = at
				for i := range 2 {
					result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
					require.NoError(t, err)
					assert.Equal(t, []string{"1." + strconv.Itoa(i+1)}, qrtest.UIDs(result.Studies))
					assert.Empty(t, result.Warnings)
					if i == 0 {
						<-sent
						dicomtest.Wait(time.Millisecond)
					}
				}
				g.Drain()
				require.NoError(t, g.Wait(t.Context()))
				closeFn()
				_ = p.Err() // the first association does not end as the script says
				assert.Len(t, p.Requests(), 2)
			})
		}
	}
}

func TestRequireSeesThatThePeerHasEndedTheAssociation(t *testing.T) {
	for name, end := range map[string]func(*association){
		"release": func(a *association) { a.SendPDU(&pdu.ReleaseRQ{}); a.Expect(pdu.TypeReleaseRP) },
		"abort":   func(a *association) { a.Abort(); a.Close() },
		"close":   func(a *association) { a.Close() },
		"stray": func(a *association) {
			a.Finish(dicomnet.StatusSuccess)
			a.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedPDU)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Echo: func(a *association) {
				a.Finish(dicomnet.StatusSuccess)
				if a.Number == 1 {
					end(a)
				}
			}}
			address, stop, err := p.Listen()
			require.NoError(t, err)
			defer stop()
			g := qrtest.New(qrtest.Options{})
			s := g.Session(qrtest.At(t, address), principal.Identity{}, nil)
			require.NoError(t, s.Open(t.Context(), dicomnet.VerificationSOPClass))
			echo := func() error { return s.Association().Echo(t.Context()) }
			require.NoError(t, s.Once(t.Context(), dicomnet.VerificationSOPClass, echo))
			time.Sleep(20 * time.Millisecond) // the end arrives
			require.NoError(t, s.Require(t.Context(), dicomnet.VerificationSOPClass))
			assert.Len(t, p.Requests(), 2)
			require.NoError(t, s.Once(t.Context(), dicomnet.VerificationSOPClass, echo))
			s.End(t.Context())
			stop()
			qrtest.Events(t, p, g)
		})
	}
}

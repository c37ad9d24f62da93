package qr

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
)

// Over TCP, where the kernel has what nobody has read: a peer that goes on after its final response, in a way that may
// pass for an answer to the next request. The next caller has an answer of its own.
func TestWhatCameUnaskedIsNoAnswer(t *testing.T) {
	next := func(a *association) { a.rq.Command.MessageID++ }
	pdvs := func(n int, pdv ...byte) []byte {
		b := []byte{byte(pdu.TypePDataTF), 0, 0, 0, 0, byte(n * len(pdv))}
		for range n {
			b = append(b, pdv...)
		}
		return b
	}
	for name, unasked := range map[string]func(a *association){
		"a final response":        func(a *association) { next(a); a.done(dicomnet.StatusSuccess) },
		"a match and a final":     func(a *association) { next(a); a.match(study("P1", "1.666")); a.done(dicomnet.StatusSuccess) },
		"another patient's":       func(a *association) { next(a); a.match(study("P2", "1.666")); a.done(dicomnet.StatusSuccess) },
		"PDUs without anything":   func(a *association) { a.Send(pdvs(1)) },
		"half a header":           func(a *association) { a.Send([]byte{byte(pdu.TypeAbort), 0, 0}) },
		"half a PDU":              func(a *association) { a.Send(pdvs(20, 0, 0, 0, 2, 1, 0)[:50]) },
		"A-RELEASE-RQ":            func(a *association) { a.SendPDU(&pdu.ReleaseRQ{}) },
		"A-ABORT":                 func(a *association) { a.abort() },
		"a request of the peer's": func(a *association) { a.Send([]byte("GET / HTTP/1.1\r\n\r\n")) },
	} {
		for _, watched := range []bool{false, true} {
			t.Run(name+", watched "+strconv.FormatBool(watched), func(t *testing.T) {
				sent := make(chan struct{})
				p := &pacs{}
				p.find = func(a *association, _ string) {
					a.match(study("P1", "1."+strconv.Itoa(a.nth)))
					a.done(dicomnet.StatusSuccess)
					if a.nth > 1 {
						return
					}
					if watched {
						dicomtest.Wait(2 * watchAfter)
					} else {
						dicomtest.Wait(watchAfter / 10) // the caller has its answer
					}
					defer close(sent) // the gateway may have ended it meanwhile
					unasked(a)
				}
				var address string
				o := reusing(time.Minute)
				o.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, "tcp", address)
				}
				g := p.gateway(t, o)
				at, closeFn, err := p.script.Listen()
				require.NoError(t, err)
				address = at
				for i := range 2 {
					result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
					require.NoError(t, err)
					assert.Equal(t, []string{"1." + strconv.Itoa(i+1)}, picked(result.Studies))
					assert.Empty(t, result.Warnings)
					if i == 0 {
						<-sent
						dicomtest.Wait(time.Millisecond)
					}
				}
				g.Drain()
				require.NoError(t, g.Wait(t.Context()))
				closeFn()
				_ = p.script.Err() // the first association ended otherwise than it said
				assert.Len(t, p.rqs, 2)
			})
		}
	}
}

package pool_test

import (
	"bytes"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// The peer ends an idle association. The next operation does not fail.
func TestStaleAssociationIsReplaced(t *testing.T) {
	for name, end := range map[string]func(a *association){
		"A-RELEASE": func(a *association) { a.SendPDU(&pdu.ReleaseRQ{}); a.Expect(pdu.TypeReleaseRP) },
		"A-ABORT":   func(a *association) { a.Abort() },
		"close":     func(a *association) { a.Close() },
		"P-DATA": func(a *association) {
			a.Match(study("P1", "1.666"))
			a.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedPDU)
		},
		"bytes that are no PDU": func(a *association) { a.Send([]byte("HTTP/1.1 408 Request Timeout\r\n")) },
	} {
		for _, after := range []time.Duration{time.Microsecond, 50 * time.Millisecond, time.Second} {
			t.Run(name+" after "+after.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := &dicomtest.ScriptedPACS{}
					p.Find = func(a *association, _ string) {
						a.Match(study("P1", "1."+strconv.Itoa(a.Number)))
						a.Finish(dicomnet.StatusSuccess)
						if a.Number == 1 {
							dicomtest.Wait(after)
							end(a)
							a.Close()
						}
					}
					g := qrtest.For(p, reusing(time.Minute))
					for i := range 2 {
						result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
						require.NoError(t, err)
						assert.Equal(t, []string{"1." + strconv.Itoa(i+1)}, qrtest.UIDs(result.Studies))
						dicomtest.Wait(after)
						synctest.Wait()
						if i == 0 && after > pool.WatchAfter {
							assert.Zero(t, g.Idle(), "the watch sees the end")
							assert.Zero(t, g.InUse())
						}
					}
					g.Drain()
					require.NoError(t, g.Wait(t.Context()))
					_ = p.Err() // a request may meet a closed connection
					assert.Len(t, p.Requests(), 2)
					assert.Zero(t, g.InUse())
				})
			})
		}
	}
}

// The association ends between the second request and its answer.
func TestFindIsSentAgainOnlyIfNothingWasAnswered(t *testing.T) {
	for name, test := range map[string]struct {
		second func(a *association) // answers the second request on the first association
		err    string
	}{
		"close":                     {func(a *association) { a.Close() }, ""},
		"abort":                     {func(a *association) { a.Abort(); a.Close() }, ""},
		"release":                   {func(a *association) { a.SendPDU(&pdu.ReleaseRQ{}); a.Expect(pdu.TypeReleaseRP) }, ""},
		"response to the first one": {func(a *association) { a.Request.Command.MessageID--; a.Match(study("P1", "1.666")) }, ""},
		"empty P-DATA-TF PDUs":      {func(a *association) { a.Send(bytes.Repeat([]byte{byte(pdu.TypePDataTF), 0, 0, 0, 0, 0}, 100)) }, ""},
		"match, then close":         {func(a *association) { a.Match(study("P1", "1.1")); a.Close() }, "find: connection closed by the peer"},
		"match, then abort":         {func(a *association) { a.Match(study("P1", "1.1")); a.Abort() }, "find: aborted by the peer: service-provider, reason-not-specified"},
		"failure status":            {func(a *association) { a.Finish(0xa700) }, "find: status A700: refused: out of resources"},
		"silence":                   {func(a *association) { a.ReadPDU() }, "find: dimse timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				p := &dicomtest.ScriptedPACS{}
				p.Find = func(a *association, _ string) {
					if n++; n == 2 {
						test.second(a)
						return
					}
					a.Match(study("P1", "1."+strconv.Itoa(n)))
					a.Finish(dicomnet.StatusSuccess)
				}
				g := qrtest.For(p, reusing(time.Minute))
				require.NoError(t, qrtest.Query(t.Context(), g))
				result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
				if test.err == "" {
					require.NoError(t, err)
					assert.Equal(t, []string{"1.3"}, qrtest.UIDs(result.Studies))
				} else {
					assert.EqualError(t, err, test.err)
					assert.Equal(t, 2, n)
				}
				g.Drain()
				require.NoError(t, g.Wait(t.Context()))
				_ = p.Err()
				assert.Zero(t, g.InUse())
			})
		})
	}
}

func TestAssociationThatReplacesAStaleOneIsNotReplaced(t *testing.T) {
	n := 0
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		if n++; n == 1 {
			a.Finish(dicomnet.StatusSuccess)
			return
		}
		a.Abort()
	}}
	g := qrtest.For(p, reusing(time.Minute))
	require.NoError(t, qrtest.Query(t.Context(), g))
	var aborted *dicomnet.AbortError
	require.ErrorAs(t, qrtest.Query(t.Context(), g), &aborted)
	assert.Equal(t, 3, n)
	g.Drain()
	require.NoError(t, g.Wait(t.Context()))
	assert.Zero(t, g.InUse())
}

func TestMoveIsNeverSentAgain(t *testing.T) {
	moves := 0
	p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: func(a *association, _ string) {
		if moves++; moves == 2 {
			a.Close()
			return
		}
		a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1))
	}}
	g := qrtest.For(p, reusing(time.Minute))
	f := qr.Filter{PatientID: "P1", MaxResults: 1}
	_, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, f, "DEST")
	require.NoError(t, err)
	result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, f, "DEST")
	require.NoError(t, err)
	require.ErrorIs(t, result.Err, dicomnet.ErrConnectionLost)
	assert.Equal(t, 2, moves)
	g.Drain()
	require.NoError(t, g.Wait(t.Context()))
	assert.Zero(t, g.InUse())
}

func TestRetrieveReplacesAStaleAssociation(t *testing.T) {
	n := 0
	p := &dicomtest.ScriptedPACS{}
	p.Find = func(a *association, _ string) {
		if n++; n == 2 {
			a.Close()
			return
		}
		a.Match(study("P1", "1.1"))
		a.Finish(dicomnet.StatusSuccess)
	}
	g := qrtest.For(p, reusing(time.Minute))
	for range 2 {
		result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
		require.NoError(t, err)
		assert.Equal(t, 1, result.Succeeded())
	}
	assert.Equal(t, []string{
		"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "find STUDY",
		"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "release",
	}, qrtest.Drain(t, p, g))
}

package pool_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr/qrtest"
)

var errNotReceived = &dicomnet.OpError{Step: dicomnet.StepMove, Err: &dicomnet.NotReceivedError{Err: dicomnet.ErrReleased}}

// A request that the peer has not received is sent again, once, on a new association, but only if an operation ran on the
// association before: a peer that never serves an operation is not asked again.
func TestRequestThatWasNotReceivedIsSentAgain(t *testing.T) {
	lost := &dicomnet.OpError{Step: dicomnet.StepMove, Err: dicomnet.ErrConnectionLost}
	status := &dicomnet.OpError{Step: dicomnet.StepMove, Err: &dicomnet.StatusError{Op: dicomnet.StepMove, Status: 0xA700}}
	for name, test := range map[string]struct {
		repeatable bool
		used       bool
		answered   bool
		outcomes   []error // of the requests
		requests   int
	}{
		"not received":                      {false, true, false, []error{errNotReceived, nil}, 2},
		"not received, repeatable":          {true, true, false, []error{errNotReceived, nil}, 2},
		"not received twice":                {false, true, false, []error{errNotReceived, errNotReceived}, 2},
		"not received, new association":     {false, false, false, []error{errNotReceived}, 1},
		"lost":                              {false, true, false, []error{lost}, 1},
		"lost, repeatable":                  {true, true, false, []error{lost, nil}, 2},
		"lost, repeatable, new association": {true, false, false, []error{lost}, 1},
		"lost after an answer, repeatable":  {true, true, true, []error{lost}, 1},
		"failure status":                    {true, true, false, []error{status}, 1},
		"not received after an answer":      {false, true, true, []error{errNotReceived}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &dicomtest.ScriptedPACS{}
				g := qrtest.For(p, qrtest.Options{})
				s := g.Session(qrtest.PACS, principal.Identity{}, nil)
				require.NoError(t, s.Open(t.Context(), dicomnet.StudyRoot.Find, dicomnet.StudyRoot.Move))
				if test.used {
					require.NoError(t, s.Once(t.Context(), dicomnet.StudyRoot.Move, func() error { return nil }))
				}
				requests := 0
				run := s.Once
				if test.repeatable {
					run = s.Repeatable
				}
				err := run(t.Context(), dicomnet.StudyRoot.Move, func() error {
					assert.True(t, s.Usable())
					if test.answered {
						s.Answered()
					}
					requests++
					return test.outcomes[requests-1]
				})
				assert.Equal(t, test.outcomes[len(test.outcomes)-1], err)
				assert.Equal(t, test.requests, requests)
				s.End(t.Context())
				events := qrtest.Events(t, p, g)
				associations := slices.DeleteFunc(events, func(e string) bool { return e != "associate FIND MOVE" })
				assert.Len(t, associations, test.requests)
			})
		})
	}
}

func TestErrorOfTheNewAssociationIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
			return a.Number == 1 || a.Reject(dicomtest.CalledAETitleNotRecognized)
		}}
		g := qrtest.For(p, qrtest.Options{})
		s := g.Session(qrtest.PACS, principal.Identity{}, nil)
		require.NoError(t, s.Open(t.Context(), dicomnet.StudyRoot.Move))
		require.NoError(t, s.Once(t.Context(), dicomnet.StudyRoot.Move, func() error { return nil }))
		err := s.Once(t.Context(), dicomnet.StudyRoot.Move, func() error { return errNotReceived })
		_, rejected := errors.AsType[*dicomnet.RejectError](err)
		assert.True(t, rejected, "%v", err)
		s.End(t.Context())
		qrtest.Events(t, p, g)
	})
}

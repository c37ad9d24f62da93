package server

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/qr"
)

func TestDisconnectAbortsAnAssociationThatIsBeingOpened(t *testing.T) {
	for _, c := range cancellableCalls {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
					a.ReadPDU() // an A-ABORT
					return false
				}}
				r := startInMemory(t, gatewayTo(t, p, gatewayOptions{}))
				ctx, leave := context.WithTimeout(t.Context(), 5*time.Second)
				defer leave()
				require.ErrorIs(t, c.call(t, ctx, r), context.DeadlineExceeded)
				left := time.Now()
				assert.LessOrEqual(t, p.AwaitEnd().Sub(left), cancelWithin)
			})
		})
	}
}

func TestOperationTimeoutCancelsAtThePACS(t *testing.T) {
	const timeout = 30 * time.Second
	busy := func(studies int) *dicomtest.ScriptedPACS {
		return pacsWith(studies+2, func(a *association, n int) {
			if n <= studies {
				movedAll(a, 1)
				return
			}
			for range 14 {
				dicomtest.Wait(2 * time.Second)
				a.Moving(count(0, 0, 0, 9))
			}
			a.AwaitCancel()
			a.Moved(dicomnet.StatusCancel, count(0, 0, 0, 9))
		})
	}
	call := func(t *testing.T, p *dicomtest.ScriptedPACS) *goclient.RetrieveReply {
		t.Helper()
		r := startInMemory(t, gatewayTo(t, p, gatewayOptions{qr: qr.Options{OperationTimeout: timeout}}))
		begin := time.Now()
		reply, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
		require.NoError(t, err)
		assert.LessOrEqual(t, p.When("cancel").Sub(begin), timeout+cancelWithin)
		return reply
	}
	synctest.Test(t, func(t *testing.T) {
		reply := call(t, busy(0))
		require.Equal(t, http.StatusBadGateway, reply.StatusCode())
		assert.Equal(t, goclient.ProblemCodeOperationTimeout, reply.ApplicationProblemJSON502.Code)
		assert.Equal(t, goclient.DICOMFaultStepMove, reply.ApplicationProblemJSON502.DICOM.Step)
	})
	synctest.Test(t, func(t *testing.T) {
		reply := call(t, busy(1))
		require.Equal(t, http.StatusMultiStatus, reply.StatusCode())
		assert.Equal(t, []string{"1 ok 0000 1/0/0", "2 cancelled FE00 0/0/0", "3 not_attempted  -/-/-"}, linesOf(reply.JSON207.Retrievals))
	})
}

// A PACS that accepts C-FIND and refuses C-MOVE is detected before the first event.
func TestPACSWithoutMoveAnswers502BeforeAnyEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pacsWith(1, nil)
		p.Negotiate = func(a *association) bool {
			a.Refuse(dicomnet.PatientRoot.Move)
			return a.Refuse(dicomnet.StudyRoot.Move)
		}
		r := startInMemory(t, gatewayTo(t, p, gatewayOptions{}))
		plain, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
		require.NoError(t, err)
		require.Equal(t, http.StatusBadGateway, plain.StatusCode(), "%s", plain.Body)
		assert.Equal(t, goclient.ProblemCodeNoPresentationContext, plain.ApplicationProblemJSON502.Code)
		response := r.stream(t, t.Context())
		defer response.Body.Close()
		assert.Equal(t, http.StatusBadGateway, response.StatusCode)
		query, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, query.StatusCode(), "%s", query.Body)
	})
}

// The deadlines of one request must not affect the next request on the connection.
func TestConnectionServesALongRetrieveAfterALongPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pacsWith(1, slowly(45, 2*time.Second))
		r := startInMemory(t, gatewayTo(t, p, gatewayOptions{}))
		for range 2 {
			query, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, query.StatusCode())
			time.Sleep(time.Minute)
			plain, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, plain.StatusCode())
			time.Sleep(time.Minute)
			response := r.stream(t, t.Context())
			all := events(t, response.Body)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, "result", all[len(all)-1].name)
		}
	})
}

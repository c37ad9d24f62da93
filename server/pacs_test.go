package server

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

type (
	association = dicomtest.ScriptedAssociation
	attributes  = dicomtest.Attributes
	counters    = dicomtest.Counters
)

var count = dicomtest.Count

// pacsWith returns a PACS with this number of studies of the patient, numbered from 1. move responds to the C-MOVE of study n; if
// it is nil, one instance is moved.
func pacsWith(studies int, move func(a *association, n int)) *dicomtest.ScriptedPACS {
	p := &dicomtest.ScriptedPACS{}
	for n := range studies {
		p.Studies = append(p.Studies, match(n+1))
	}
	if move != nil {
		p.Move = func(a *association, uid string) {
			n, err := number(uid)
			if err != nil {
				a.Failf("study: %w", err)
			}
			move(a, n)
		}
	}
	return p
}

// gatewayTo returns a gateway each of whose peers is the PACS. At the end of the test the PACS must have seen nothing that goes
// against the protocol.
func gatewayTo(t *testing.T, p *dicomtest.ScriptedPACS, o gatewayOptions) realGateway {
	t.Helper()
	p.AllowLateCancel = true
	const d = 10 * time.Second
	o.pool.Timeouts.Connection, o.pool.Timeouts.ACSE, o.pool.Timeouts.DIMSE, o.pool.Timeouts.Network = d, d, d, d
	if o.pool.DialContext == nil {
		o.pool.DialContext = p.DialContext
	}
	g := newGateway(o)
	t.Cleanup(func() {
		assert.NoError(t, g.Wait(context.Background()))
		assert.NoError(t, p.Err())
	})
	return g
}

// seen returns the names of the events at the PACS, with the number of the study for a C-MOVE.
func seen(p *dicomtest.ScriptedPACS) []string {
	var events []string
	for _, e := range p.Events() {
		name := e.Name
		if uid, _, isMove := strings.Cut(e.Detail, " to "); isMove {
			name += " " + strings.TrimPrefix(uid, studyUID+".")
		}
		events = append(events, name)
	}
	return events
}

func uidOf(n int) string { return studyUID + "." + strconv.Itoa(n) }

// number returns n of uidOf(n).
func number(uid string) (int, error) { return strconv.Atoi(strings.TrimPrefix(uid, studyUID+".")) }

// match returns study n of the patient. A study with a larger number is older.
func match(n int) attributes {
	return attributes{
		tag.PatientID: patientID, tag.PatientName: patientName, tag.StudyInstanceUID: uidOf(n),
		tag.ModalitiesInStudy: "CT", tag.StudyDate: strconv.Itoa(20250131 - n),
	}
}

// movedAll sends a final C-MOVE response: success, with n completed sub-operations.
func movedAll(a *association, n int) { a.Moved(dicomnet.StatusSuccess, count(n, 0, 0, -1)) }

// reject rejects an association permanently: the gateway retries after a transient rejection.
func reject(a *association) bool { return a.Reject(dicomtest.CalledAETitleNotRecognized) }

package problem

import (
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/dicomnet"
)

// remoteAlert returns the fault that crypto/tls reports for an alert of the peer.
func remoteAlert(a tls.AlertError) *stepFault {
	return &stepFault{err: &dicomnet.TLSError{Err: &net.OpError{Op: "remote error", Err: a}}}
}

func TestEachAlertHasItsHint(t *testing.T) {
	for a, want := range map[tls.AlertError]string{
		40: "found no TLS settings in common", 42: "refuses the gateway's certificate", 43: "refuses the gateway's certificate",
		44: "refuses the gateway's certificate", 45: "has expired", 46: "refuses the gateway's certificate",
		48: "does not trust the authority of the gateway's certificate", 49: "refuses the gateway's certificate",
		70: "no version of TLS in common", 71: "found no TLS settings in common", 80: "could not agree on TLS",
		112: "Set DICOM_TLS_SERVER_NAME", 116: "requires a certificate from the gateway",
	} {
		assert.Contains(t, hintFor(dicomnet.StepTLS, remoteAlert(a)), want, strconv.Itoa(int(a)))
	}
	local := &stepFault{err: &net.OpError{Op: "local error", Err: tls.AlertError(48)}}
	assert.Contains(t, hintFor(dicomnet.StepTLS, local), "could not agree on TLS", "an alert of the gateway says nothing about its certificate")
}

func TestUnknownStepHasAHint(t *testing.T) {
	assert.NotEmpty(t, hintFor(dicomnet.StepStore, &stepFault{err: errors.New("something")}))
}

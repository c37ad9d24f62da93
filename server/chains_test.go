package server

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr/qrtest"
)

func TestLongChainOfAPACSIsRefusedUnverified(t *testing.T) {
	peer := qrtest.Listen(t, &tls.Config{Certificates: []tls.Certificate{*chainOf(t, 60)}}, qrtest.AnswerEcho)
	r := start(t, fromSettings(t, pool.Options{}))
	request := echoRequest(peer.Port)
	request.PACSTLS = new(true)
	const requests = 20
	began := cpuTime(t)
	for range requests {
		reply, err := r.api.EchoWithResponse(t.Context(), nil, request)
		require.NoError(t, err)
		p := problemIn(t, string(reply.Body))
		require.Equal(t, goclient.ProblemCodeTLSFailed, p.Code)
		assert.Contains(t, *p.Hint, "The PACS presents more certificates than the gateway verifies: at most 6")
		assert.Equal(t, "CN=Hospital CA", *p.Steps[2].CertificateSubject)
	}
	took := cpuTime(t) - began
	t.Logf("%v of CPU for each handshake", took/requests)
	// Signing with the key of this PACS is a part of it; a verification without limits adds 8 ms.
	assert.Less(t, took, requests*12*time.Millisecond, "CPU of both sides")
}

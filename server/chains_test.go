package server

import (
	"crypto/tls"
	"testing"

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
	reply, err := r.api.EchoWithResponse(t.Context(), nil, request)
	require.NoError(t, err)
	p := problemIn(t, string(reply.Body))
	require.Equal(t, goclient.ProblemCodeTLSFailed, p.Code)
	assert.Contains(t, *p.Hint, "The PACS presents more certificates than the gateway verifies: at most 6", "not the hint of a verification")
	assert.Equal(t, "CN=Hospital CA", *p.Steps[2].CertificateSubject)
}

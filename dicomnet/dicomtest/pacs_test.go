package dicomtest_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

func TestPACSRespondsToEcho(t *testing.T) {
	pacs := listen(t, dicomtest.PACSConfig{})
	require.NoError(t, dial(t, pacs).Echo(t.Context()))
	assert.Equal(t, 1, pacs.Operations(dicomnet.StepEcho))
}

func TestPACSRejectsAnotherCalledAETitle(t *testing.T) {
	pacs := listen(t, dicomtest.PACSConfig{AETitle: "OTHER"})
	_, err := dicomnet.Dial(t.Context(), pacs.Addr(), dicomnet.Config{
		CalledAETitle: aeTitle, CallingAETitle: "TEST",
		Contexts: []dicomnet.Context{{AbstractSyntax: dicomnet.VerificationSOPClass, TransferSyntaxes: nativeLittleEndian}},
	})
	var rejected *dicomnet.RejectError
	require.ErrorAs(t, err, &rejected)
	assert.Equal(t, dicomnet.RejectError{Result: 1, Source: 1, Reason: 7}, *rejected)
}

func TestPACSListensOnce(t *testing.T) {
	pacs := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: aeTitle})
	assert.Empty(t, pacs.Addr())
	require.NoError(t, pacs.Listen("127.0.0.1:0"))
	require.Error(t, pacs.Listen("127.0.0.1:0"))
	require.NoError(t, pacs.Close())
	require.NoError(t, pacs.Close())
}

func TestCloseBeforeListen(t *testing.T) {
	pacs := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: aeTitle})
	require.NoError(t, pacs.Close())
	require.Error(t, pacs.Listen("127.0.0.1:0"), "after Close")
}

func TestListenFailsIfThePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, l.Close()) }()
	require.Error(t, dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: aeTitle}).Listen(l.Addr().String()))
}

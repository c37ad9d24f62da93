package dicomtest_test

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

func TestTheDemonstrationPACSKnowEachOther(t *testing.T) {
	demo, err := dicomtest.StartDemo("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, demo.Close()) }()
	assert.Equal(t, 34, demo.A.Instances())
	assert.Zero(t, demo.B.Instances())

	for _, way := range []struct {
		from            *dicomtest.PACS
		called, towards string
	}{{demo.A, dicomtest.DemoAETitleA, dicomtest.DemoAETitleB}, {demo.B, dicomtest.DemoAETitleB, dicomtest.DemoAETitleA}} {
		assoc, err := dicomnet.Dial(t.Context(), way.from.Addr(), dicomnet.Config{
			CalledAETitle: way.called, CallingAETitle: "TEST",
			Contexts: []dicomnet.Context{{AbstractSyntax: dicomnet.PatientRoot.Move, TransferSyntaxes: nativeLittleEndian}},
		})
		require.NoError(t, err)
		reports := move(t, assoc, dicomnet.PatientRoot, way.towards, identifier("PATIENT", want(tag.PatientID, dicomtest.DemoPatientID)))
		assert.Equal(t, [4]int{-1, 28, 0, 0}, counters(reports[len(reports)-1]))
		require.NoError(t, assoc.Close())
	}
	assert.Equal(t, 28, demo.B.Instances())
}

func TestTheDemonstrationTellsWhereToLook(t *testing.T) {
	demo, err := dicomtest.StartDemo("127.0.0.1:0", "[::1]:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, demo.Close()) }()
	var text bytes.Buffer
	require.NoError(t, demo.Describe(&text, "http://localhost:8888"))
	_, port, err := net.SplitHostPort(demo.A.Addr())
	require.NoError(t, err)
	for _, part := range []string{
		"http://localhost:8888/docs", "http://localhost:8888/redoc", demo.A.Addr(), demo.B.Addr(),
		"curl -sS http://localhost:8888/q ", "curl -sS http://localhost:8888/qr ",
		`"pacs_ip": "127.0.0.1", "pacs_port": ` + port, `"c_move_ae_title": "ORTHANCB"`,
	} {
		assert.Contains(t, text.String(), part)
	}
	assert.NotContains(t, text.String(), "%!")
}

func TestTheDemonstrationIsForThisMachineAlone(t *testing.T) {
	for _, address := range []string{"0.0.0.0:4242", ":4242", "192.0.2.1:4242", "localhost:4242", "127.0.0.1", "[::]:4242"} {
		_, err := dicomtest.StartDemo(address, "127.0.0.1:0")
		require.Error(t, err, address)
		_, err = dicomtest.StartDemo("127.0.0.1:0", address)
		require.Error(t, err, address)
	}
}

func TestTheDemonstrationSaysWhichPortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, l.Close()) }()
	_, err = dicomtest.StartDemo(l.Addr().String(), "127.0.0.1:0")
	require.ErrorContains(t, err, "ORTHANCA")
	_, err = dicomtest.StartDemo("127.0.0.1:0", l.Addr().String())
	require.ErrorContains(t, err, "ORTHANCB")
}

func TestTheDemonstrationMovesOneStudyInPart(t *testing.T) {
	demo, err := dicomtest.StartDemo("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, demo.Close()) }()
	demo.SetDelay(time.Millisecond)
	assoc, err := dicomnet.Dial(t.Context(), demo.A.Addr(), dicomnet.Config{
		CalledAETitle: dicomtest.DemoAETitleA, CallingAETitle: "TEST",
		Contexts: []dicomnet.Context{{AbstractSyntax: dicomnet.PatientRoot.Move, TransferSyntaxes: nativeLittleEndian}},
	})
	require.NoError(t, err)
	begin := time.Now()
	reports := move(t, assoc, dicomnet.PatientRoot, dicomtest.DemoAETitleB, identifier("PATIENT", want(tag.PatientID, "4445556666")))
	assert.GreaterOrEqual(t, time.Since(begin), 3*time.Millisecond)
	final := reports[len(reports)-1]
	assert.Equal(t, dicomnet.StatusWarning, final.Status)
	assert.Equal(t, [4]int{-1, 2, 1, 0}, counters(final))
	assert.Len(t, final.FailedSOPInstanceUIDs, 1)
	require.NoError(t, assoc.Close())
}

func TestTheDemonstrationDoesNotHoldUpACancel(t *testing.T) {
	demo, err := dicomtest.StartDemo("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, demo.Close()) }()
	demo.SetDelay(time.Hour)
	assoc, err := dicomnet.Dial(t.Context(), demo.A.Addr(), dicomnet.Config{
		CalledAETitle: dicomtest.DemoAETitleA, CallingAETitle: "TEST",
		Contexts: []dicomnet.Context{{AbstractSyntax: dicomnet.PatientRoot.Move, TransferSyntaxes: nativeLittleEndian}},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	for report, err := range assoc.Move(ctx, dicomnet.PatientRoot, dicomtest.DemoAETitleB, identifier("PATIENT", want(tag.PatientID, dicomtest.DemoPatientID))) {
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, dicomnet.StatusCancel, report.Status)
	}
	require.NoError(t, assoc.Close())
}

package demo_test

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
	"go.uber.org/goleak"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/demo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *demo.Demo {
	t.Helper()
	d, err := demo.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	return d
}

// dial opens an association for C-MOVE; the test closes it.
func dial(t *testing.T, address, called string) *dicomnet.Association {
	t.Helper()
	assoc, err := dicomnet.Dial(t.Context(), address, dicomnet.Config{
		CalledAETitle: called, CallingAETitle: "TEST",
		Contexts: []dicomnet.Context{{
			AbstractSyntax:   dicomnet.PatientRoot.Move,
			TransferSyntaxes: []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian},
		}},
	})
	require.NoError(t, err)
	return assoc
}

func patient(id string) *dicom.Dataset {
	return &dicom.Dataset{Elements: []*dicom.Element{dataset.Text(tag.QueryRetrieveLevel, "PATIENT"), dataset.Text(tag.PatientID, id)}}
}

// move returns the final response.
func move(t *testing.T, assoc *dicomnet.Association, destination, patientID string) dicomnet.RetrieveReport {
	t.Helper()
	var last dicomnet.RetrieveReport
	for report, err := range assoc.Move(t.Context(), dicomnet.PatientRoot, destination, patient(patientID)) {
		require.NoError(t, err)
		last = report
	}
	require.True(t, last.Final)
	return last
}

// assertCounters compares the completed, failed and warning sub-operations of a final response.
func assertCounters(t *testing.T, completed, failed, warning int, report dicomnet.RetrieveReport) {
	t.Helper()
	assert.Nil(t, report.Remaining)
	for name, counter := range map[string]struct {
		want int
		got  *uint16
	}{"completed": {completed, report.Completed}, "failed": {failed, report.Failed}, "warning": {warning, report.Warning}} {
		if assert.NotNil(t, counter.got, name) {
			assert.EqualValues(t, counter.want, *counter.got, name)
		}
	}
}

func TestEachPACSMovesToTheOther(t *testing.T) {
	d := start(t)
	assert.Equal(t, 34+35, d.A.Instances())
	assert.Zero(t, d.B.Instances())
	for _, way := range []struct{ address, from, to string }{
		{d.A.Addr(), demo.AETitleA, demo.AETitleB},
		{d.B.Addr(), demo.AETitleB, demo.AETitleA},
	} {
		assoc := dial(t, way.address, way.from)
		assertCounters(t, 28, 0, 0, move(t, assoc, way.to, demo.PatientID))
		require.NoError(t, assoc.Close())
	}
	assert.Equal(t, 28, d.B.Instances())
}

func TestDescribeNamesAddressesAndRequests(t *testing.T) {
	d, err := demo.Start("127.0.0.1:0", "[::1]:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, d.Close()) }()
	var text bytes.Buffer
	require.NoError(t, d.Describe(&text, "http://localhost:8888"))
	_, port, err := net.SplitHostPort(d.A.Addr())
	require.NoError(t, err)
	for _, part := range []string{
		"http://localhost:8888/docs", "http://localhost:8888/redoc", d.A.Addr(), d.B.Addr(),
		"curl -sS http://localhost:8888/q ", "curl -sS http://localhost:8888/qr ",
		`"pacs_ip": "127.0.0.1", "pacs_port": ` + port, `"c_move_ae_title": "ORTHANCB"`,
	} {
		assert.Contains(t, text.String(), part)
	}
	assert.NotContains(t, text.String(), "%!")
}

func TestStartRefusesAddressesOtherThanLoopback(t *testing.T) {
	for _, address := range []string{"0.0.0.0:4242", ":4242", "192.0.2.1:4242", "localhost:4242", "127.0.0.1", "[::]:4242"} {
		_, err := demo.Start(address, "127.0.0.1:0")
		require.Error(t, err, address)
		_, err = demo.Start("127.0.0.1:0", address)
		require.Error(t, err, address)
	}
}

func TestStartNamesThePACSWhosePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, l.Close()) }()
	_, err = demo.Start(l.Addr().String(), "127.0.0.1:0")
	require.ErrorContains(t, err, "ORTHANCA")
	_, err = demo.Start("127.0.0.1:0", l.Addr().String())
	require.ErrorContains(t, err, "ORTHANCB")
}

func TestOneStudyMovesInPart(t *testing.T) {
	d := start(t)
	d.SetDelay(time.Millisecond)
	assoc := dial(t, d.A.Addr(), demo.AETitleA)
	begin := time.Now()
	final := move(t, assoc, demo.AETitleB, "4445556666")
	assert.GreaterOrEqual(t, time.Since(begin), 3*time.Millisecond)
	assert.Equal(t, dicomnet.StatusWarning, final.Status)
	assertCounters(t, 2, 1, 0, final)
	assert.Len(t, final.FailedSOPInstanceUIDs, 1)
	require.NoError(t, assoc.Close())
}

func TestCancelEndsTheDelay(t *testing.T) {
	d := start(t)
	d.SetDelay(time.Hour)
	assoc := dial(t, d.A.Addr(), demo.AETitleA)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	for report, err := range assoc.Move(ctx, dicomnet.PatientRoot, demo.AETitleB, patient(demo.PatientID)) {
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, dicomnet.StatusCancel, report.Status)
	}
	require.NoError(t, assoc.Close())
}

func TestPACSListenOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"127.0.0.1:4242", "[::1]:0"} {
		require.NoError(t, demo.CheckAddress(address), address)
	}
	for _, address := range []string{"", ":4242", "0.0.0.0:4242", "192.0.2.1:4242", "localhost:4242", "127.0.0.1"} {
		require.ErrorContains(t, demo.CheckAddress(address), "want a loopback address and a port", address)
	}
}

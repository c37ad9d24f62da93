package dicomtest_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// pair runs a PACS with the demonstration studies and an empty one, DEST, which is a move destination of the first.
func pair(t *testing.T, source, destination dicomtest.PACSConfig) (from, to *dicomtest.PACS) {
	t.Helper()
	destination.AETitle = "DEST"
	to = listen(t, destination)
	source.Destinations = map[string]string{"DEST": to.Addr()}
	return listenWithStudies(t, source), to
}

func ofStudy(s dicomtest.Study) *dicom.Dataset {
	return identifier("STUDY", want(tag.StudyInstanceUID, s.UID()))
}

func counters(r dicomnet.RetrieveReport) [4]int {
	value := func(c *uint16) int {
		if c == nil {
			return -1
		}
		return int(*c)
	}
	return [4]int{value(r.Remaining), value(r.Completed), value(r.Failed), value(r.Warning)}
}

func TestMoveSendsEveryInstanceOfTheStudy(t *testing.T) {
	from, to := pair(t, dicomtest.PACSConfig{}, dicomtest.PACSConfig{})
	s := study(t, "ACC-1005")

	reports := move(t, dial(t, from), dicomnet.StudyRoot, "DEST", ofStudy(s))

	require.Len(t, reports, 6, "a pending response per sub-operation and a final one")
	for i, r := range reports[:5] {
		assert.Equal(t, dicomnet.StatusPending, r.Status)
		assert.Equal(t, [4]int{4 - i, i + 1, 0, 0}, counters(r))
	}
	assert.Equal(t, dicomnet.StatusSuccess, reports[5].Status)
	assert.Equal(t, [4]int{-1, 5, 0, 0}, counters(reports[5]))
	assert.Equal(t, 5, to.StudyInstances(s.UID()))
	assert.Equal(t, 5, to.Instances(), "nothing else arrives")
	for i, r := range to.Received() {
		assert.Equal(t, s.Instances()[i].Text(tag.SOPInstanceUID), r.SOPInstanceUID)
		assert.Equal(t, s.UID(), r.StudyInstanceUID)
		assert.Equal(t, aeTitle, r.CallingAETitle)
		assert.Equal(t, "TEST", r.MoveOriginatorAETitle)
		assert.NotZero(t, r.MoveOriginatorMessageID)
	}
}

func TestFindReturnsMovedInstancesAtTheDestination(t *testing.T) {
	from, to := pair(t, dicomtest.PACSConfig{}, dicomtest.PACSConfig{})
	for _, s := range demo.Studies() {
		move(t, dial(t, from), dicomnet.StudyRoot, "DEST", ofStudy(s))
	}
	require.Equal(t, from.Instances(), to.Instances())
	all := identifier("STUDY", want(tag.PatientName), want(tag.StudyDescription), want(tag.ModalitiesInStudy),
		want(tag.NumberOfStudyRelatedInstances))
	sent, err := find(t.Context(), dial(t, from), dicomnet.StudyRoot, all)
	require.NoError(t, err)
	back := listen(t, dicomtest.PACSConfig{})
	to.SetDestination(aeTitle, back.Addr())
	// What was received can be sent too.
	for _, s := range demo.Studies() {
		forward(t, to, s)
	}
	received, err := find(t.Context(), dial(t, back), dicomnet.StudyRoot, all)
	require.NoError(t, err)
	assert.Equal(t, sent, received)
}

// forward moves a study from the PACS DEST to the PACS with the AE title aeTitle.
func forward(t *testing.T, from *dicomtest.PACS, s dicomtest.Study) {
	t.Helper()
	assoc, err := dicomnet.Dial(t.Context(), from.Addr(), dicomnet.Config{
		CalledAETitle: "DEST", CallingAETitle: "TEST",
		Contexts: []dicomnet.Context{{AbstractSyntax: dicomnet.StudyRoot.Move, TransferSyntaxes: nativeLittleEndian}},
	})
	require.NoError(t, err)
	reports := move(t, assoc, dicomnet.StudyRoot, aeTitle, ofStudy(s))
	assert.Equal(t, dicomnet.StatusSuccess, reports[len(reports)-1].Status)
	require.NoError(t, assoc.Close())
}

func TestMoveAtOtherLevels(t *testing.T) {
	s := study(t, "ACC-1007")
	instances := s.Instances()
	uid := func(i int, tg tag.Tag) key { return want(tg, instances[i].Text(tg)) }
	tests := []struct {
		name      string
		model     dicomnet.Model
		query     *dicom.Dataset
		instances int
	}{
		{"a patient", dicomnet.PatientRoot, identifier("PATIENT", want(tag.PatientID, demo.PatientID)), 28},
		{"a study of a patient", dicomnet.PatientRoot, identifier("STUDY", want(tag.PatientID, demo.PatientID), uid(0, tag.StudyInstanceUID)), 7},
		{"several studies", dicomnet.StudyRoot, identifier("STUDY", want(tag.StudyInstanceUID, s.UID(), study(t, "ACC-2001").UID())), 9},
		{"a series", dicomnet.StudyRoot, identifier("SERIES", uid(4, tag.StudyInstanceUID), uid(4, tag.SeriesInstanceUID)), 3},
		{"an instance", dicomnet.StudyRoot, identifier("IMAGE", uid(4, tag.StudyInstanceUID), uid(4, tag.SeriesInstanceUID), uid(4, tag.SOPInstanceUID)), 1},
		{"other keys do not restrict", dicomnet.StudyRoot, identifier("STUDY", uid(0, tag.StudyInstanceUID), want(tag.StudyDate, "19000101")), 7},
		{"an unknown study", dicomnet.StudyRoot, identifier("STUDY", want(tag.StudyInstanceUID, "1.2.3")), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from, to := pair(t, dicomtest.PACSConfig{}, dicomtest.PACSConfig{})
			reports := move(t, dial(t, from), tt.model, "DEST", tt.query)
			final := reports[len(reports)-1]
			assert.Equal(t, dicomnet.StatusSuccess, final.Status)
			assert.Equal(t, [4]int{-1, tt.instances, 0, 0}, counters(final))
			assert.Equal(t, tt.instances, to.Instances())
		})
	}
}

func TestMoveFails(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	pacs := listenWithStudies(t, dicomtest.PACSConfig{Destinations: map[string]string{"DOWN": closed.Addr().String()}})
	s := study(t, "ACC-1001")
	failed := []string{s.Instances()[0].Text(tag.SOPInstanceUID), s.Instances()[1].Text(tag.SOPInstanceUID)}
	tests := []struct {
		name, destination string
		query             *dicom.Dataset
		status            dicomnet.Status
		counters          [4]int
		failed            []string
	}{
		{"an unknown destination", "NOWHERE", ofStudy(s), dicomnet.StatusMoveDestination, [4]int{-1, -1, -1, -1}, nil},
		{"a destination that is down", "DOWN", ofStudy(s), dicomnet.StatusCannotPerform, [4]int{-1, 0, 2, 0}, failed},
		{"no level", "DOWN", identifier(""), dicomnet.StatusIdentifierMismatch, [4]int{-1, -1, -1, -1}, nil},
		{"no unique key", "DOWN", identifier("STUDY", want(tag.PatientID, "P")), dicomnet.StatusIdentifierMismatch, [4]int{-1, -1, -1, -1}, nil},
		{"a unique key without a value", "DOWN", identifier("STUDY", want(tag.StudyInstanceUID)), dicomnet.StatusIdentifierMismatch, [4]int{-1, -1, -1, -1}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reports := move(t, dial(t, pacs), dicomnet.StudyRoot, tt.destination, tt.query)
			require.Len(t, reports, 1)
			assert.Equal(t, tt.status, reports[0].Status)
			assert.Equal(t, tt.counters, counters(reports[0]))
			assert.Equal(t, tt.failed, reports[0].FailedSOPInstanceUIDs)
		})
	}
}

func TestMoveReportsFailedSubOperations(t *testing.T) {
	s := study(t, "ACC-1005")
	uids := make([]string, 0, 5)
	for _, in := range s.Instances() {
		uids = append(uids, in.Text(tag.SOPInstanceUID))
	}
	tests := []struct {
		name     string
		outcome  dicomnet.Status
		of       []string
		status   dicomnet.Status
		counters [4]int
		failed   []string
	}{
		{"some", dicomnet.StatusOutOfResources, uids[1:3], dicomnet.StatusWarning, [4]int{-1, 3, 2, 0}, uids[1:3]},
		{"all", dicomnet.StatusUnableToProcess, uids, dicomnet.StatusCannotPerform, [4]int{-1, 0, 5, 0}, uids},
		{"warnings are not failures", dicomnet.StatusWarning, uids[:1], dicomnet.StatusWarning, [4]int{-1, 4, 0, 1}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from, to := pair(t, dicomtest.PACSConfig{}, dicomtest.PACSConfig{FailStore: func(uid string) dicomnet.Status {
				if slices.Contains(tt.of, uid) {
					return tt.outcome
				}
				return dicomnet.StatusSuccess
			}})
			reports := move(t, dial(t, from), dicomnet.StudyRoot, "DEST", ofStudy(s))
			final := reports[len(reports)-1]
			assert.Equal(t, tt.status, final.Status)
			assert.Equal(t, tt.counters, counters(final))
			assert.Equal(t, tt.failed, final.FailedSOPInstanceUIDs)
			assert.Equal(t, 5-len(tt.of), to.Instances())
		})
	}
}

func TestCancelEndsMove(t *testing.T) {
	// Before the third sub-operation the PACS waits for the C-CANCEL-RQ, which the break after the second causes.
	n := 0
	from, to := pair(t, dicomtest.PACSConfig{Before: func(ctx context.Context, _ dicomnet.Step) {
		if n++; n == 3 {
			<-ctx.Done()
		}
	}}, dicomtest.PACSConfig{})
	assoc := dial(t, from)
	reports := 0
	for _, err := range assoc.Move(t.Context(), dicomnet.StudyRoot, "DEST", ofStudy(study(t, "ACC-1005"))) {
		require.NoError(t, err)
		if reports++; reports == 2 {
			break
		}
	}
	require.True(t, assoc.Usable(), "FE00 ends the operation, not the association")
	require.NoError(t, assoc.Echo(t.Context()))
	assert.Equal(t, 2, to.Instances())
}

func TestCloseEndsSubOperations(t *testing.T) {
	reached := make(chan struct{})
	atDestination := sync.OnceFunc(func() { close(reached) })
	from, _ := pair(t, dicomtest.PACSConfig{}, dicomtest.PACSConfig{Before: func(ctx context.Context, _ dicomnet.Step) {
		atDestination()
		<-ctx.Done()
	}})
	assoc := dial(t, from)
	go func() {
		<-reached
		_ = from.Close() // the cleanup closes it again
	}()
	var last error
	for _, err := range assoc.Move(t.Context(), dicomnet.StudyRoot, "DEST", ofStudy(study(t, "ACC-1001"))) {
		last = err
	}
	require.Error(t, last)
	assoc.Abort() // the final response may have come before the PACS aborts the association
}

func TestMoveReportsInstancesThatTheDestinationDoesNotAccept(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var stored atomic.Int32
	// The destination accepts only CT images in Implicit VR.
	destination := &dicomnet.Server{
		Contexts: []dicomnet.Context{{AbstractSyntax: ctImageStorage, TransferSyntaxes: nativeLittleEndian[1:]}},
		Handler: dicomnet.Handler{Store: func(context.Context, *dicomnet.Request) dicomnet.Status {
			stored.Add(1)
			return dicomnet.StatusSuccess
		}},
	}
	var wait sync.WaitGroup
	wait.Go(func() { _ = destination.Serve(l) })
	defer func() {
		assert.NoError(t, destination.Close())
		wait.Wait()
	}()
	from := listenWithStudies(t, dicomtest.PACSConfig{Destinations: map[string]string{"CTONLY": l.Addr().String()}})

	s := study(t, "ACC-1005")
	reports := move(t, dial(t, from), dicomnet.StudyRoot, "CTONLY", ofStudy(s))
	final := reports[len(reports)-1]
	assert.Equal(t, dicomnet.StatusWarning, final.Status)
	assert.Equal(t, [4]int{-1, 4, 1, 0}, counters(final))
	assert.Equal(t, []string{s.Instances()[4].Text(tag.SOPInstanceUID)}, final.FailedSOPInstanceUIDs)
	assert.EqualValues(t, 4, stored.Load())

	reports = move(t, dial(t, from), dicomnet.StudyRoot, "CTONLY", ofStudy(study(t, "ACC-1001")))
	assert.Equal(t, dicomnet.StatusCannotPerform, reports[len(reports)-1].Status, "no accepted presentation context")
}

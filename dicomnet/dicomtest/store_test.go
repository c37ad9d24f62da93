package dicomtest_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

var nativeLittleEndian = []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian}

func storeRequest(t *testing.T, assoc *dicomnet.Association, in *dicomtest.Instance) dicomnet.StoreRequest {
	t.Helper()
	data, err := in.Encode(assoc.TransferSyntax(in.Text(tag.SOPClassUID)))
	require.NoError(t, err)
	return dicomnet.StoreRequest{SOPClassUID: in.Text(tag.SOPClassUID), SOPInstanceUID: in.Text(tag.SOPInstanceUID), Data: data}
}

func TestStoreKeepsAnInstanceUnchanged(t *testing.T) {
	s := study(t, "ACC-1007")
	in := s.Instances()[0]
	original, err := in.Encode(dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	for _, ts := range nativeLittleEndian {
		to := listen(t, dicomtest.PACSConfig{AETitle: "DEST"})
		middle := listen(t, dicomtest.PACSConfig{Destinations: map[string]string{"DEST": to.Addr()}})
		assoc := dial(t, middle, ts)
		for range 2 { // the second replaces the first
			_, err = assoc.Store(t.Context(), storeRequest(t, assoc, in))
			require.NoError(t, err)
		}
		assert.Equal(t, 1, middle.Instances())
		assert.Len(t, middle.Received(), 2)
		assert.Empty(t, middle.Received()[0].MoveOriginatorAETitle)
		move(t, assoc, dicomnet.StudyRoot, "DEST", ofStudy(s))
		arrived := to.Instance(in.Text(tag.SOPInstanceUID))
		require.NotNil(t, arrived)
		data, err := arrived.Encode(dataset.ExplicitVRLittleEndian)
		require.NoError(t, err)
		assert.Equal(t, original, data)
	}
}

func TestStoreRefusesMismatchesAndOverflow(t *testing.T) {
	s := study(t, "ACC-1007")
	first, second := s.Instances()[0], s.Instances()[1]
	pacs := listen(t, dicomtest.PACSConfig{MaxInstances: 1})
	assoc := dial(t, pacs)

	_, err := assoc.Store(t.Context(), storeRequest(t, assoc, first))
	require.NoError(t, err)

	_, err = assoc.Store(t.Context(), storeRequest(t, assoc, second))
	requireStatus(t, dicomnet.StatusOutOfResources, err)

	other := storeRequest(t, assoc, first)
	other.SOPInstanceUID = "1.2.3"
	_, err = assoc.Store(t.Context(), other)
	requireStatus(t, dicomnet.StatusIdentifierMismatch, err)

	assert.Equal(t, 1, pacs.Instances())
	assert.Len(t, pacs.Received(), 1)
	assert.Nil(t, pacs.Instance(second.Text(tag.SOPInstanceUID)))
	require.Error(t, pacs.Add(second), "Add has the same limit")
	require.Error(t, pacs.AddStudies(s))
}

func TestPACSServesConcurrentAssociations(t *testing.T) {
	from, to := pair(t, dicomtest.PACSConfig{}, dicomtest.PACSConfig{})
	var wait sync.WaitGroup
	for _, s := range demo.Studies() {
		assoc := dial(t, from)
		wait.Go(func() {
			answers, err := find(t.Context(), assoc, dicomnet.StudyRoot, identifier("STUDY", want(tag.PatientID, s.PatientID)))
			assert.NoError(t, err)
			assert.NotEmpty(t, answers)
			for _, err := range assoc.Move(t.Context(), dicomnet.StudyRoot, "DEST", ofStudy(s)) {
				assert.NoError(t, err)
			}
		})
	}
	wait.Wait()
	assert.Equal(t, from.Instances(), to.Instances())
}

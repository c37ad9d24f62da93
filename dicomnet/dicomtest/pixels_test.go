package dicomtest_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// compressed returns a study of an image with two frames that count as compressed and one that is native, both CT.
func compressed() dicomtest.Study {
	return dicomtest.Study{PatientID: "P", Series: []dicomtest.Series{{
		Modality: "CT", Instances: 2,
		Image: func(index int) dicomtest.Image {
			image := dicomtest.Image{SOPClassUID: dicomtest.CTImageStorage, Frames: func() [][]byte { return [][]byte{{1, 2, 3}, {4, 5}} }}
			if index == 0 {
				image.TransferSyntax = dicomtest.JPEGBaseline
			}
			return image
		},
	}}}
}

func TestCompressedFramesAreEncapsulated(t *testing.T) {
	instances := compressed().Instances()
	data, err := instances[0].Encode(dicomtest.JPEGBaseline)
	require.NoError(t, err)
	want := "\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF" +
		"\xFE\xFF\x00\xE0\x08\x00\x00\x00\x00\x00\x00\x00\x0C\x00\x00\x00" + // the offsets of the frames
		"\xFE\xFF\x00\xE0\x04\x00\x00\x00\x01\x02\x03\x00" +
		"\xFE\xFF\x00\xE0\x02\x00\x00\x00\x04\x05" +
		"\xFE\xFF\xDD\xE0\x00\x00\x00\x00"
	assert.True(t, bytes.HasSuffix(data, []byte(want)))
	for _, ts := range nativeLittleEndian {
		_, err := instances[0].Encode(ts)
		require.Error(t, err, "the PACS does not decompress")
	}

	data, err = instances[1].Encode(dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	assert.True(t, bytes.HasSuffix(data, []byte("\xE0\x7F\x10\x00OW\x00\x00\x06\x00\x00\x00\x01\x02\x03\x04\x05\x00")))
	_, err = instances[1].Encode(dicomtest.JPEGBaseline)
	require.Error(t, err, "the PACS does not compress")
}

func TestFileNamesItsCompression(t *testing.T) {
	paths, err := dicomtest.WriteDir(t.TempDir(), compressed().Instances())
	require.NoError(t, err)
	for i, want := range []dataset.TransferSyntax{dicomtest.JPEGBaseline, dataset.ExplicitVRLittleEndian} {
		f, err := os.Open(paths[i])
		require.NoError(t, err)
		ds, err := dicom.ParseUntilEOF(f, nil, dicom.SkipPixelData())
		require.NoError(t, err)
		require.NoError(t, f.Close())
		e, err := ds.FindElementByTag(tag.TransferSyntaxUID)
		require.NoError(t, err)
		assert.Equal(t, []string{string(want)}, dicom.MustGetStrings(e.Value))
	}
}

func TestCompressedAndNativeInstancesOfAClassMoveTogether(t *testing.T) {
	to := listen(t, dicomtest.PACSConfig{AETitle: "DEST"})
	from := listen(t, dicomtest.PACSConfig{Destinations: map[string]string{"DEST": to.Addr()}})
	s := compressed()
	require.NoError(t, from.AddStudies(s))
	reports := move(t, dial(t, from), dicomnet.StudyRoot, "DEST", ofStudy(s))
	assert.Equal(t, dicomnet.StatusSuccess, reports[len(reports)-1].Status)
	require.Equal(t, 2, to.Instances())
	for _, in := range s.Instances() {
		ts := in.TransferSyntax()
		if ts == "" {
			ts = dataset.ExplicitVRLittleEndian
		}
		want, err := in.Encode(ts)
		require.NoError(t, err)
		got, err := to.Instance(in.Text(tag.SOPInstanceUID)).Encode(ts)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestStoreRequestNeedsAnAcceptedTransferSyntax(t *testing.T) {
	pacs := listen(t, dicomtest.PACSConfig{})
	assoc := dial(t, pacs) // native CT only
	instances := compressed().Instances()
	_, err := instances[0].StoreRequest(assoc)
	require.ErrorContains(t, err, "does not accept instances of SOP class "+dicomtest.CTImageStorage)
	request, err := instances[1].StoreRequest(assoc)
	require.NoError(t, err)
	_, err = assoc.Store(t.Context(), request)
	require.NoError(t, err)
	request.TransferSyntax = dicomtest.JPEGBaseline
	_, err = assoc.Store(t.Context(), request)
	var missing *dicomnet.NoContextError
	require.ErrorAs(t, err, &missing)
}

package dicomtest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

func TestFilesCanBeReadByTheLibrary(t *testing.T) {
	for _, s := range demo.Studies() {
		instances := s.Instances()
		paths, err := dicomtest.WriteDir(t.TempDir(), instances)
		require.NoError(t, err)
		require.Len(t, paths, len(instances))
		for i, path := range paths {
			ds, err := dicom.ParseFile(path, nil)
			require.NoError(t, err)
			text := func(tg tag.Tag) string {
				e, err := ds.FindElementByTag(tg)
				require.NoError(t, err)
				return dicom.MustGetStrings(e.Value)[0]
			}
			assert.Equal(t, text(tag.SOPInstanceUID), text(tag.MediaStorageSOPInstanceUID))
			assert.Equal(t, text(tag.SOPClassUID), text(tag.MediaStorageSOPClassUID))
			assert.Equal(t, string(dataset.ExplicitVRLittleEndian), text(tag.TransferSyntaxUID))
			assert.Equal(t, instances[i].Text(tag.SOPInstanceUID), text(tag.SOPInstanceUID))
			pixels, err := ds.FindElementByTag(tag.PixelData)
			if text(tag.Modality) == "SR" {
				require.Error(t, err, "a document has no pixels")
				continue
			}
			require.NoError(t, err)
			frame, err := dicom.MustGetPixelDataInfo(pixels.Value).Frames[0].GetNativeFrame()
			require.NoError(t, err)
			assert.Equal(t, 16, frame.Rows())
			assert.Equal(t, 16, frame.Cols())
		}
	}
}

func TestWriteDirReplacesNoFile(t *testing.T) {
	dir := t.TempDir()
	s := study(t, "ACC-1001")
	_, err := dicomtest.WriteDir(dir, s.Instances())
	require.NoError(t, err)
	_, err = dicomtest.WriteDir(dir, s.Instances())
	require.ErrorIs(t, err, os.ErrExist)
	_, err = dicomtest.WriteDir(filepath.Join(dir, "missing"), s.Instances())
	require.ErrorIs(t, err, os.ErrNotExist)
}

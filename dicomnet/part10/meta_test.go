package part10_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/part10"
)

func meta() part10.Meta {
	return part10.Meta{
		SOPClassUID: "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID: "1.2.3.45", TransferSyntax: dataset.ExplicitVRLittleEndian,
		SourceAETitle: "GATEWAY", SendingAETitle: "PACS", ReceivingAETitle: "GATEWAY",
	}
}

func TestHeaderOfAFile(t *testing.T) {
	m := part10.Meta{SOPClassUID: "1.2", SOPInstanceUID: "1.2.3.4", TransferSyntax: "1.2.840.10008.1.2.1", SendingAETitle: "PACS1"}
	want := strings.Join([]string{
		strings.Repeat("00", 128), // preamble
		"4449434d",                // DICM
		"0200 0000 554c 0400 9e000000",
		"0200 0100 4f42 0000 02000000 0001",
		"0200 0200 5549 0400 312e3200",
		"0200 0300 5549 0800 312e322e332e3400",
		"0200 1000 5549 1400 312e322e3834302e31303030382e312e322e3100",
		"0200 1200 5549 2c00" + hex.EncodeToString([]byte(part10.ImplementationClassUID)),
		"0200 1300 5348 0e00" + hex.EncodeToString([]byte(part10.ImplementationVersionName+" ")),
		"0200 1700 4145 0600 504143533120",
	}, "")
	assert.Equal(t, strings.ReplaceAll(want, " ", ""), hex.EncodeToString(m.Append(nil)))
}

func TestHeaderFollowsWhatIsInTheBuffer(t *testing.T) {
	m := meta()
	b := m.Append([]byte("before"))
	assert.Equal(t, append([]byte("before"), m.Append(nil)...), b)
}

func TestValuesThatAreTooLongAreCut(t *testing.T) {
	m := part10.Meta{SOPInstanceUID: strings.Repeat("1", 100_000), ReceivingAETitle: strings.Repeat("A", 100_000)}
	parsed, err := dicom.Parse(bytes.NewReader(m.Append(nil)), int64(len(m.Append(nil))), nil)
	require.NoError(t, err)
	uid, err := parsed.FindElementByTag(tag.MediaStorageSOPInstanceUID)
	require.NoError(t, err)
	assert.Equal(t, strings.Repeat("1", 64), dicom.MustGetStrings(uid.Value)[0])
}

func TestLibraryReadsTheFile(t *testing.T) {
	ds := &dicom.Dataset{Elements: []*dicom.Element{dataset.Text(tag.PatientID, "P1")}}
	data, err := dataset.Encode(ds, dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	m := meta()
	file := append(m.Append(nil), data...)
	parsed, err := dicom.Parse(bytes.NewReader(file), int64(len(file)), nil)
	require.NoError(t, err)
	id, err := parsed.FindElementByTag(tag.PatientID)
	require.NoError(t, err)
	assert.Equal(t, []string{"P1"}, dicom.MustGetStrings(id.Value))
}

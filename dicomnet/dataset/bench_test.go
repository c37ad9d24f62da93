package dataset_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// identifier returns a response identifier of a study level query, with 19 elements.
func identifier() *dicom.Dataset {
	return &dicom.Dataset{Elements: []*dicom.Element{
		dataset.Text(tag.SpecificCharacterSet, "ISO_IR 100"),
		dataset.Text(tag.StudyDate, "20240315"),
		dataset.Text(tag.StudyTime, "101530"),
		dataset.Text(tag.AccessionNumber, "A20240315001"),
		dataset.Text(tag.QueryRetrieveLevel, "STUDY"),
		dataset.Text(tag.RetrieveAETitle, "PACS"),
		dataset.Text(tag.ModalitiesInStudy, "CT", "SR"),
		dataset.Text(tag.InstitutionName, "General Hospital"),
		dataset.Text(tag.ReferringPhysicianName, "House^Gregory^^Dr."),
		dataset.Text(tag.StudyDescription, "CT Thorax/Abdomen with contrast"),
		dataset.Text(tag.PatientName, "Müller-Lüdenscheidt^Jürgen"),
		dataset.Text(tag.PatientID, "4711-0815"),
		dataset.Text(tag.PatientBirthDate, "19551112"),
		dataset.Text(tag.PatientSex, "M"),
		dataset.Text(tag.PatientAge, "068Y"),
		dataset.Text(tag.StudyInstanceUID, "1.2.826.0.1.3680043.2.1125.1.73379483469717886505187028001198162"),
		dataset.Text(tag.StudyID, "1"),
		dataset.Text(tag.NumberOfStudyRelatedSeries, "4"),
		dataset.Text(tag.NumberOfStudyRelatedInstances, "812"),
	}}
}

var queryKeys = []tag.Tag{
	tag.StudyDate, tag.StudyTime, tag.AccessionNumber, tag.InstitutionName, tag.ReferringPhysicianName, tag.StudyDescription,
	tag.PatientName, tag.PatientID, tag.PatientBirthDate, tag.PatientSex, tag.StudyInstanceUID, tag.NumberOfStudyRelatedInstances,
}

var sink int

func decodeIdentifier(b []byte, ts dataset.TransferSyntax) {
	set, err := dataset.Parse(b, ts, dataset.Limits{})
	if err != nil {
		panic(err)
	}
	for _, key := range queryKeys {
		sink += len(set.String(key))
	}
}

func BenchmarkDecodeIdentifier(b *testing.B) {
	for name, ts := range map[string]dataset.TransferSyntax{"implicit": dataset.ImplicitVRLittleEndian, "explicit": dataset.ExplicitVRLittleEndian} {
		b.Run(name, func(b *testing.B) {
			encoded, err := dataset.Encode(identifier(), ts)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				decodeIdentifier(encoded, ts)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	encoded, err := dataset.Encode(identifier(), dataset.ImplicitVRLittleEndian)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dataset.Parse(encoded, dataset.ImplicitVRLittleEndian, dataset.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDataset(b *testing.B) {
	encoded, err := dataset.Encode(identifier(), dataset.ImplicitVRLittleEndian)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		set, err := dataset.Parse(encoded, dataset.ImplicitVRLittleEndian, dataset.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := set.Dataset(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeIdentifier(b *testing.B) {
	ds := identifier()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dataset.Encode(ds, dataset.ImplicitVRLittleEndian); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDecodeAllocatesOncePerString expects one allocation for the Set with its index, and one for
// each string.
func TestDecodeAllocatesOncePerString(t *testing.T) { //nolint:paralleltest // it measures
	for _, ts := range []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian} {
		b, err := dataset.Encode(identifier(), ts)
		assert.NoError(t, err)
		assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { decodeIdentifier(b, ts) }), float64(1+len(queryKeys)))
	}
}

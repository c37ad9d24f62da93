package dicomtest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

func accessionNumbers(answers []answer) []string {
	var list []string
	for _, a := range answers {
		list = append(list, a.first(tag.AccessionNumber))
	}
	return list
}

func TestFindAtStudyLevel(t *testing.T) {
	doe := want(tag.PatientID, demo.PatientID)
	tests := []struct {
		name string
		keys []key
		want []string
	}{
		{"a patient", []key{doe}, []string{"ACC-1007", "ACC-1006", "ACC-1005", "ACC-1004", "ACC-1003", "ACC-1002", "ACC-1001"}},
		{"all patients", nil, []string{
			"ACC-1007", "ACC-1006", "ACC-1005", "ACC-1004", "ACC-1003", "ACC-1002", "ACC-1001", "ACC-2001", "ACC-3001", "ACC-4001",
		}},
		{"a modality", []key{doe, want(tag.ModalitiesInStudy, "SR")}, []string{"ACC-1005"}},
		{"a range of dates", []key{doe, want(tag.StudyDate, "20230101-20241231")}, []string{"ACC-1005", "ACC-1004"}},
		{"a list of UIDs", []key{want(tag.StudyInstanceUID, study(t, "ACC-1001").UID(), study(t, "ACC-2001").UID())}, []string{"ACC-1001", "ACC-2001"}},
		{"a name with a wildcard", []key{want(tag.PatientName, "yamada*")}, []string{"ACC-4001"}},
		{"an unknown patient", []key{want(tag.PatientID, "0")}, nil},
		{"a key of a lower level is ignored", []key{want(tag.PatientID, "4445556666"), want(tag.Modality, "US")}, []string{"ACC-3001"}},
	}
	pacs := listenWithStudies(t, dicomtest.PACSConfig{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys := append([]key{want(tag.AccessionNumber)}, tt.keys...)
			answers, err := find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, identifier("STUDY", keys...))
			require.NoError(t, err)
			assert.Equal(t, tt.want, accessionNumbers(answers))
		})
	}
	assert.Equal(t, len(tests), pacs.Operations(dicomnet.StepFind))
}

func TestFindReturnsRequestedAndIdentifyingAttributes(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{})
	s := study(t, "ACC-1005")
	for _, ts := range []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian} {
		answers, err := find(t.Context(), dial(t, pacs, ts), dicomnet.StudyRoot, identifier(
			"STUDY", want(tag.AccessionNumber, s.AccessionNumber), want(tag.ModalitiesInStudy), want(tag.SOPClassesInStudy),
			want(tag.NumberOfStudyRelatedSeries), want(tag.NumberOfStudyRelatedInstances), want(tag.PatientComments),
		))
		require.NoError(t, err)
		assert.Equal(t, []answer{{
			tag.QueryRetrieveLevel: {"STUDY"}, tag.RetrieveAETitle: {aeTitle}, tag.StudyInstanceUID: {s.UID()},
			tag.AccessionNumber: {s.AccessionNumber}, tag.ModalitiesInStudy: {"CT", "SR"},
			tag.SOPClassesInStudy:          {ctImageStorage, "1.2.840.10008.5.1.4.1.1.88.11"},
			tag.NumberOfStudyRelatedSeries: {"2"}, tag.NumberOfStudyRelatedInstances: {"5"},
			tag.PatientComments: nil,
		}}, answers)
	}
}

func TestFindAtOtherLevels(t *testing.T) {
	s := study(t, "ACC-1005")
	series := s.Instances()[4].Text(tag.SeriesInstanceUID)
	pacs := listenWithStudies(t, dicomtest.PACSConfig{})
	tests := []struct {
		level string
		model dicomnet.Model
		keys  []key
		want  tag.Tag
		list  []string
	}{
		{"PATIENT", dicomnet.PatientRoot, []key{want(tag.PatientID, "1112*"), want(tag.NumberOfPatientRelatedStudies)}, tag.NumberOfPatientRelatedStudies, []string{"7", "1"}},
		{"PATIENT", dicomnet.PatientRoot, []key{want(tag.PatientID, demo.PatientID), want(tag.NumberOfPatientRelatedSeries)}, tag.NumberOfPatientRelatedSeries, []string{"11"}},
		{"PATIENT", dicomnet.PatientRoot, []key{want(tag.PatientID, demo.PatientID), want(tag.NumberOfPatientRelatedInstances)}, tag.NumberOfPatientRelatedInstances, []string{"28"}},
		{"STUDY", dicomnet.PatientRoot, []key{want(tag.PatientID, "4445556666"), want(tag.StudyDescription)}, tag.StudyDescription, []string{"Schädel MR"}},
		{"SERIES", dicomnet.StudyRoot, []key{want(tag.StudyInstanceUID, s.UID()), want(tag.Modality)}, tag.Modality, []string{"CT", "SR"}},
		{"SERIES", dicomnet.StudyRoot, []key{want(tag.StudyInstanceUID, s.UID()), want(tag.NumberOfSeriesRelatedInstances)}, tag.NumberOfSeriesRelatedInstances, []string{"4", "1"}},
		{"IMAGE", dicomnet.StudyRoot, []key{want(tag.StudyInstanceUID, s.UID()), want(tag.SeriesInstanceUID, series), want(tag.InstanceNumber)}, tag.InstanceNumber, []string{"1"}},
		{"IMAGE", dicomnet.StudyRoot, []key{want(tag.StudyInstanceUID, s.UID()), want(tag.SeriesInstanceUID, s.Instances()[0].Text(tag.SeriesInstanceUID)), want(tag.Rows, "16")}, tag.Rows, []string{"16", "16", "16", "16"}},
	}
	for _, tt := range tests {
		t.Run(tt.level, func(t *testing.T) {
			query := identifier(tt.level)
			for _, k := range tt.keys {
				query.Elements = append(query.Elements, element(t, k))
			}
			answers, err := find(t.Context(), dial(t, pacs), tt.model, query)
			require.NoError(t, err)
			var list []string
			for _, a := range answers {
				list = append(list, a.first(tt.want))
			}
			assert.Equal(t, tt.list, list)
		})
	}
}

// element returns an element of a text attribute or of Rows.
func element(t *testing.T, k key) *dicom.Element {
	t.Helper()
	if k.tag != tag.Rows {
		return dataset.Text(k.tag, k.values...)
	}
	e, err := dicom.NewElement(tag.Rows, []int{16})
	require.NoError(t, err)
	return e
}

func TestFindRefusesNonHierarchicalQueries(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{})
	tests := []struct {
		name  string
		model dicomnet.Model
		query *dicom.Dataset
	}{
		{"no level", dicomnet.StudyRoot, identifier("", want(tag.PatientID, "P"))},
		{"a level that does not exist", dicomnet.StudyRoot, identifier("FRAME")},
		{"a level above the root", dicomnet.StudyRoot, identifier("PATIENT", want(tag.PatientID))},
		{"series without a study", dicomnet.StudyRoot, identifier("SERIES", want(tag.SeriesInstanceUID))},
		{"series of several studies", dicomnet.StudyRoot, identifier("SERIES", want(tag.StudyInstanceUID, "1.2", "1.3"))},
		{"studies without a patient in the Patient Root", dicomnet.PatientRoot, identifier("STUDY", want(tag.StudyInstanceUID))},
		{"studies of a patient with a wildcard", dicomnet.PatientRoot, identifier("STUDY", want(tag.PatientID, "1*"))},
		{"several values other than UIDs", dicomnet.StudyRoot, identifier("STUDY", want(tag.ModalitiesInStudy, "CT", "MR"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := find(t.Context(), dial(t, pacs), tt.model, tt.query)
			requireStatus(t, dicomnet.StatusIdentifierMismatch, err)
		})
	}
}

func TestFindRespondsInTheCharacterSetOfTheInstance(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{})
	for _, accession := range []string{"ACC-1001", "ACC-3001", "ACC-4001"} {
		s := study(t, accession)
		answers, err := find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, identifier(
			"STUDY", want(tag.AccessionNumber, accession), want(tag.PatientName), want(tag.ReferringPhysicianName),
		))
		require.NoError(t, err)
		require.Len(t, answers, 1)
		assert.Equal(t, s.CharacterSet, answers[0][tag.SpecificCharacterSet])
		assert.Equal(t, s.PatientName, answers[0].first(tag.PatientName))
		assert.Equal(t, s.ReferringPhysicianName, answers[0].first(tag.ReferringPhysicianName))
	}
}

func TestFindMatchesAKeyInAnotherCharacterSet(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{})
	answers, err := find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, identifier(
		"STUDY", want(tag.SpecificCharacterSet, "ISO_IR 192"), want(tag.PatientName, "müller*"), want(tag.AccessionNumber),
	))
	require.NoError(t, err)
	assert.Equal(t, []string{"ACC-3001"}, accessionNumbers(answers))
}

func TestFindOmitsModalitiesInStudyIfConfigured(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{OmitModalitiesInStudy: true})
	answers, err := find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, identifier(
		"STUDY", want(tag.PatientID, demo.PatientID), want(tag.ModalitiesInStudy, "US"),
	))
	require.NoError(t, err)
	require.Len(t, answers, 7, "the key is not matched")
	assert.NotContains(t, answers[0], tag.ModalitiesInStudy)
}

func TestFindIgnoresConfiguredKeys(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{IgnoreKeys: []tag.Tag{tag.PatientID}})
	answers, err := find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, identifier("STUDY", want(tag.PatientID, demo.PatientID)))
	require.NoError(t, err)
	require.Len(t, answers, 10)
	assert.Equal(t, "7778889999", answers[9].first(tag.PatientID))
}

func TestCancelEndsFind(t *testing.T) {
	// Before the second match the PACS waits for the C-CANCEL-RQ, which the break after the first match causes.
	n := 0
	pacs := listenWithStudies(t, dicomtest.PACSConfig{Before: func(ctx context.Context, _ dicomnet.Step) {
		if n++; n == 2 {
			<-ctx.Done()
		}
	}})
	assoc := dial(t, pacs)
	matches := 0
	for _, err := range assoc.Find(t.Context(), dicomnet.StudyRoot, identifier("STUDY", want(tag.StudyInstanceUID))) {
		require.NoError(t, err)
		matches++
		break
	}
	assert.Equal(t, 1, matches)
	require.True(t, assoc.Usable(), "FE00 ends the operation, not the association")
	require.NoError(t, assoc.Echo(t.Context()))
	assert.Equal(t, 1, pacs.Operations(dicomnet.StepEcho))
}

func TestMalformedDataSetIsUnableToProcess(t *testing.T) {
	// C-STORE decodes its data set as C-FIND and C-MOVE decode identifiers.
	pacs := listen(t, dicomtest.PACSConfig{})
	_, err := dial(t, pacs).Store(t.Context(), dicomnet.StoreRequest{
		SOPClassUID: ctImageStorage, SOPInstanceUID: "1.2", Data: []byte{8, 0, 0x16, 0, 'U', 'I', 0xFF, 0x7F},
	})
	requireStatus(t, dicomnet.StatusUnableToProcess, err)
}

func TestFindAcceptsKeysOfAnyVR(t *testing.T) {
	s := study(t, "ACC-1005")
	first := s.Instances()[0]
	query := identifier("IMAGE",
		want(tag.StudyInstanceUID, s.UID()), want(tag.SeriesInstanceUID, first.Text(tag.SeriesInstanceUID)),
		want(tag.SOPInstanceUID, first.Text(tag.SOPInstanceUID)), want(tag.ImageType),
	)
	for tg, value := range map[tag.Tag]any{
		tag.Rows: []int{}, tag.DiffusionBValue: []float64{}, tag.PixelData: []byte{}, tag.FrameIncrementPointer: []int{},
		tag.ProcedureCodeSequence: [][]*dicom.Element{}, tag.SimpleFrameList: []int{},
	} {
		e, err := dicom.NewElement(tg, value)
		require.NoError(t, err)
		query.Elements = append(query.Elements, e)
	}
	private, err := dicom.NewValue([]string{"x"})
	require.NoError(t, err)
	query.Elements = append(query.Elements, &dicom.Element{
		Tag: tag.Tag{Group: 9, Element: 0x1001}, RawValueRepresentation: "LO", ValueRepresentation: tag.VRStringList, Value: private,
	})
	pacs := listenWithStudies(t, dicomtest.PACSConfig{})
	for _, ts := range nativeLittleEndian {
		answers, err := find(t.Context(), dial(t, pacs, ts), dicomnet.StudyRoot, query)
		require.NoError(t, err)
		require.Len(t, answers, 1)
		assert.Equal(t, "16", answers[0].first(tag.Rows))
		assert.Equal(t, []string{"ORIGINAL", "PRIMARY", "AXIAL"}, answers[0][tag.ImageType])
	}
}

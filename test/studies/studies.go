// Package studies defines the synthetic studies that samples/pacs loads into ORTHANCA. Names,
// identifiers and pixels are invented.
package studies

import (
	"fmt"
	"slices"
	"time"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// All returns the studies of the demonstration PACS, so that the requests of the project's
// README.md work with them too, and those of further patients. The Patient ID of each of these
// names what its studies show. UIDs and pixels are the same on every call; the study dates of
// the patient RECENT are relative to today.
func All(today time.Time) []dicomtest.Study {
	return slices.Concat(demo.Studies(), demo.ImagingStudies(), withDates(today), withModalities(), withCharacterSets())
}

// More returns n further studies of one patient, one a day, for lists that are longer than a page.
func More(n int) []dicomtest.Study {
	last := time.Date(2018, 12, 31, 0, 0, 0, 0, time.UTC)
	studies := make([]dicomtest.Study, 0, n)
	for i := range n {
		studies = append(studies, dicomtest.Study{
			PatientID: "MANY", PatientName: "MANY^MAX", PatientBirthDate: "19500101", PatientSex: "M",
			AccessionNumber: fmt.Sprintf("MANY-%d", i+1), StudyDate: last.AddDate(0, 0, -i).Format(date), StudyTime: "120000",
			StudyDescription: "CR CHEST", Series: []dicomtest.Series{series("CR", "PA", "CHEST", 1)},
		})
	}
	return studies
}

const date = "20060102"

// withDates returns studies for max_years_old and the order of results.
func withDates(today time.Time) []dicomtest.Study {
	return []dicomtest.Study{
		{
			PatientID: "RECENT", PatientName: "LATELY^LOUISE", PatientBirthDate: "19810101", PatientSex: "F",
			AccessionNumber: "REC-1", StudyDate: today.AddDate(0, 0, -30).Format(date), StudyTime: "090000",
			StudyDescription: "CT CHEST, 30 days ago", Series: []dicomtest.Series{series("CT", "LUNG", "CHEST", 2)},
		},
		{
			PatientID: "RECENT", PatientName: "LATELY^LOUISE", PatientBirthDate: "19810101", PatientSex: "F",
			AccessionNumber: "REC-2", StudyDate: today.AddDate(0, 0, -400).Format(date), StudyTime: "090000",
			StudyDescription: "CT CHEST, 400 days ago", Series: []dicomtest.Series{series("CT", "LUNG", "CHEST", 2)},
		},
		{
			PatientID: "UNDATED", PatientName: "TIMELESS^TOM", PatientBirthDate: "", PatientSex: "M",
			AccessionNumber: "UND-1", StudyDate: "", StudyTime: "", StudyDescription: "CR ABDOMEN, no date",
			Series: []dicomtest.Series{series("CR", "SUPINE", "ABDOMEN", 1)},
		},
		{
			PatientID: "UNDATED", PatientName: "TIMELESS^TOM", PatientBirthDate: "", PatientSex: "M",
			AccessionNumber: "UND-2", StudyDate: "20190704", StudyTime: "", StudyDescription: "CR ABDOMEN, no time",
			Series: []dicomtest.Series{series("CR", "SUPINE", "ABDOMEN", 1)},
		},
	}
}

// withModalities returns a study of several modalities and studies of one modality each.
func withModalities() []dicomtest.Study {
	study := func(accessionNumber, studyDate, description string, series ...dicomtest.Series) dicomtest.Study {
		return dicomtest.Study{
			PatientID: "MIXED", PatientName: "MANIFOLD^MARY", PatientBirthDate: "19610615", PatientSex: "F",
			AccessionNumber: accessionNumber, StudyDate: studyDate, StudyTime: "110000", StudyDescription: description,
			ReferringPhysicianName: "REF^MD", PerformingPhysicianName: "PERF^MD", InstitutionName: "Hospital",
			Series: series,
		}
	}
	return []dicomtest.Study{
		study("MIX-1", "20240603", "CT, MR, REPORT AND CAPTURE",
			series("CT", "AXIAL", "LIVER", 4), series("MR", "T2", "LIVER", 3),
			series("SR", "REPORT", "LIVER", 1), series("OT", "SCREENSHOT", "LIVER", 1)),
		study("MIX-2", "20240201", "MR ALONE", series("MR", "T1", "LIVER", 2)),
		study("MIX-3", "20231201", "CT ALONE", series("CT", "AXIAL", "LIVER", 2)),
	}
}

func series(modality, description, bodyPart string, instances int) dicomtest.Series {
	return dicomtest.Series{Modality: modality, SeriesDescription: description, BodyPartExamined: bodyPart, Instances: instances}
}

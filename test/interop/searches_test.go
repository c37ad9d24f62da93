//go:build interop

package interop

import (
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// named returns a function that reports whether the name of a patient begins with a text.
func named(begin string) func(found) bool {
	return func(match found) bool { return strings.HasPrefix(match[tag.PatientName][0], begin) }
}

// searches are compared with findscu on each PACS.
func searches() []search {
	ct, report, doppler, chest := uidOf("ACC-5003"), uidOf("ACC-1005"), uidOf("ACC-5002"), uidOf("ACC-1007")
	volume, series, image := seriesOf("ACC-5003", 1), seriesOf("ACC-1007", 2), instanceOf("ACC-5003", 1, 3)
	const studies = "/studies?includefield=StudyDescription&"
	return []search{
		{name: "a patient", resource: studies + "PatientID=1112223333", level: "STUDY", keys: keys("PatientID=1112223333"), matches: 7},
		{name: "patients by a wildcard", resource: studies + "PatientID=111222333*", level: "STUDY", keys: keys("PatientID=111222333*"), matches: 8},
		{name: "a wildcard for one character", resource: studies + "PatientID=444555666?", level: "STUDY", keys: keys("PatientID=444555666?"), matches: 1},
		{name: "a name", resource: studies + "PatientName=DOE%5EJOHN", level: "STUDY", keys: keys("PatientName=DOE^JOHN"), where: named("DOE^JOHN"), matches: 7},
		{name: "a part of a name", resource: studies + "PatientName=*IRIS*", level: "STUDY", keys: keys("PatientName=*IRIS*"), matches: 2},
		{name: "names that begin alike", resource: studies + "00100010=DOE*", level: "STUDY", keys: keys("PatientName=DOE*"), where: named("DOE^"), matches: 8},
		{name: "a day", resource: studies + "StudyDate=20240101", level: "STUDY", keys: keys("StudyDate=20240101"), matches: 1},
		{name: "a range of days", resource: studies + "StudyDate=20240101-20241231&PatientID=1112223333*", level: "STUDY", keys: keys("StudyDate=20240101-20241231", "PatientID=1112223333*"), matches: 2},
		{name: "days until", resource: studies + "00080020=-20110214&00100020=1112223333", level: "STUDY", keys: keys("StudyDate=-20110214", "PatientID=1112223333"), matches: 2},
		{name: "days since", resource: studies + "StudyDate=20250301-", level: "STUDY", keys: keys("StudyDate=20250301-"), matches: 3},
		{name: "a range of times", resource: studies + "StudyTime=070000-091500&PatientID=1112223333", level: "STUDY", keys: keys("StudyTime=070000-091500", "PatientID=1112223333"), matches: 2},
		{name: "an accession number", resource: studies + "AccessionNumber=ACC-1005", level: "STUDY", keys: keys("AccessionNumber=ACC-1005"), matches: 1},
		{name: "accession numbers by a wildcard", resource: studies + "AccessionNumber=ACC-?00?", level: "STUDY", keys: keys("AccessionNumber=ACC-?00?"), matches: 12},
		{name: "a study ID", resource: studies + "StudyID=2", level: "STUDY", keys: keys("StudyID=2"), matches: 1},
		{name: "a study", resource: studies + "StudyInstanceUID=" + ct, level: "STUDY", keys: keys("StudyInstanceUID=" + ct), matches: 1},
		{
			name: "a list of studies", resource: studies + "StudyInstanceUID=" + ct + "," + report, level: "STUDY",
			keys: [][]string{{"StudyInstanceUID=" + ct}, {"StudyInstanceUID=" + report}}, matches: 2,
		},
		{name: "a modality", resource: studies + "ModalitiesInStudy=CT&PatientID=1112223333", level: "STUDY", keys: keys("PatientID=1112223333"), modalities: []string{"CT"}, matches: 3},
		{name: "either of two modalities", resource: studies + "ModalitiesInStudy=MR,US&PatientID=1112223333", level: "STUDY", keys: keys("PatientID=1112223333"), modalities: []string{"MR", "US"}, matches: 3},
		{name: "a modality and days", resource: studies + "ModalitiesInStudy=CT&StudyDate=20240101-20251231", level: "STUDY", keys: keys("StudyDate=20240101-20251231"), modalities: []string{"CT"}, matches: 4},
		{name: "no study", resource: studies + "PatientID=NOBODY", level: "STUDY", keys: keys("PatientID=NOBODY"), matches: 0},

		{name: "the series of a study", resource: "/studies/" + chest + "/series", level: "SERIES", keys: keys("StudyInstanceUID=" + chest), matches: 2},
		{name: "series of a modality", resource: "/studies/" + report + "/series?Modality=SR", level: "SERIES", keys: keys("StudyInstanceUID="+report, "Modality=SR"), matches: 1},
		{name: "a series by its number", resource: "/studies/" + doppler + "/series?SeriesNumber=2", level: "SERIES", keys: keys("StudyInstanceUID="+doppler, "SeriesNumber=2"), matches: 1},
		{name: "a series", resource: "/studies/" + chest + "/series?SeriesInstanceUID=" + series, level: "SERIES", keys: keys("StudyInstanceUID="+chest, "SeriesInstanceUID="+series), matches: 1},
		{name: "series without the study in the path", resource: "/series?StudyInstanceUID=" + report + "&Modality=CT", level: "SERIES", keys: keys("StudyInstanceUID="+report, "Modality=CT"), matches: 1},
		{
			name: "the series of a patient", resource: "/series?PatientID=5556667777", level: "SERIES",
			keys: [][]string{{"StudyInstanceUID=" + ct}, {"StudyInstanceUID=" + doppler}}, matches: 3,
		},
		{name: "no series", resource: "/studies/" + chest + "/series?Modality=PT", level: "SERIES", keys: keys("StudyInstanceUID="+chest, "Modality=PT"), matches: 0},

		{
			name: "the instances of a series", resource: "/studies/" + ct + "/series/" + volume + "/instances", level: "IMAGE",
			keys: keys("StudyInstanceUID="+ct, "SeriesInstanceUID="+volume), matches: 32,
		},
		{
			name: "an instance by its number", resource: "/studies/" + ct + "/series/" + volume + "/instances?InstanceNumber=3", level: "IMAGE",
			keys: keys("StudyInstanceUID="+ct, "SeriesInstanceUID="+volume, "InstanceNumber=3"), matches: 1,
		},
		{
			name: "an instance", resource: "/studies/" + ct + "/series/" + volume + "/instances?SOPInstanceUID=" + image, level: "IMAGE",
			keys: keys("StudyInstanceUID="+ct, "SeriesInstanceUID="+volume, "SOPInstanceUID="+image), matches: 1,
		},
		{
			name: "the instances of a study", resource: "/studies/" + chest + "/instances", level: "IMAGE", keys: [][]string{
				{"StudyInstanceUID=" + chest, "SeriesInstanceUID=" + seriesOf("ACC-1007", 1)}, {"StudyInstanceUID=" + chest, "SeriesInstanceUID=" + series},
			}, matches: 7,
		},
		{
			name: "instances without the study in the path", resource: "/instances?StudyInstanceUID=" + ct + "&SeriesInstanceUID=" + volume, level: "IMAGE",
			keys: keys("StudyInstanceUID="+ct, "SeriesInstanceUID="+volume), matches: 32,
		},
		{
			name: "no instance", resource: "/studies/" + ct + "/series/" + volume + "/instances?InstanceNumber=99", level: "IMAGE",
			keys: keys("StudyInstanceUID="+ct, "SeriesInstanceUID="+volume, "InstanceNumber=99"), matches: 0,
		},
	}
}

package demo

import "dicom-qr-gateway/dicomnet/dicomtest"

// PatientID is the patient of [Studies] that the documentation asks for.
const PatientID = "1112223333"

// Studies returns the studies of PACS A: seven of the patient [PatientID], of several modalities, with dates that stay on the
// same side of common age limits for years; and studies of other patients, one of them with a Patient ID that begins with the
// same digits, which no query for the first patient may return.
func Studies() []dicomtest.Study {
	return append(studiesOfJohnDoe(), studiesOfOthers()...)
}

func studiesOfJohnDoe() []dicomtest.Study {
	studies := []dicomtest.Study{
		{
			AccessionNumber: "ACC-1007", StudyDate: "20251103", StudyTime: "091500", StudyDescription: "CT ABDOMEN",
			Series: []dicomtest.Series{
				series("CT", "AXIAL 5.0", "ABDOMEN", 4),
				series("CT", "CORONAL 3.0", "ABDOMEN", 3),
			},
		},
		{
			AccessionNumber: "ACC-1006", StudyDate: "20250618", StudyTime: "143000", StudyDescription: "MR BRAIN",
			Series: []dicomtest.Series{
				series("MR", "T1 SAG", "BRAIN", 3),
				series("MR", "T2 AXIAL", "BRAIN", 3),
			},
		},
		{
			AccessionNumber: "ACC-1005", StudyDate: "20240101", StudyTime: "120000", StudyDescription: "CT CHEST WITH REPORT",
			Series: []dicomtest.Series{
				series("CT", "LUNG 1.5", "CHEST", 4),
				series("SR", "REPORT", "CHEST", 1),
			},
		},
		{
			AccessionNumber: "ACC-1004", StudyDate: "20230405", StudyTime: "101112", StudyDescription: "US ABDOMEN",
			Series: []dicomtest.Series{series("US", "LIVER", "ABDOMEN", 3)},
		},
		{
			AccessionNumber: "ACC-1003", StudyDate: "20210930", StudyTime: "074530", StudyDescription: "CR CHEST",
			Series: []dicomtest.Series{
				series("CR", "PA", "CHEST", 1),
				series("CR", "LATERAL", "CHEST", 1),
			},
		},
		{
			AccessionNumber: "ACC-1002", StudyDate: "20110214", StudyTime: "230059", StudyDescription: "CT HEAD",
			Series: []dicomtest.Series{series("CT", "AXIAL 5.0", "HEAD", 3)},
		},
		{
			AccessionNumber: "ACC-1001", StudyDate: "20080520", StudyTime: "160000", StudyDescription: "MR LUMBAR SPINE",
			Series: []dicomtest.Series{series("MR", "T2 SAG", "LSPINE", 2)},
		},
	}
	for i := range studies {
		s := &studies[i]
		s.PatientID, s.PatientName = PatientID, "DOE^JOHN"
		s.PatientBirthDate, s.PatientSex = "19700101", "M"
		s.ReferringPhysicianName, s.PerformingPhysicianName = "REF^MD", "PERF^MD"
		s.InstitutionName = "Hospital"
	}
	return studies
}

func studiesOfOthers() []dicomtest.Study {
	return []dicomtest.Study{
		{
			PatientID: PatientID + "4", PatientName: "DOE^JANE", PatientBirthDate: "19720229", PatientSex: "F",
			AccessionNumber: "ACC-2001", StudyDate: "20240102", StudyTime: "080000", StudyDescription: "CT ABDOMEN",
			ReferringPhysicianName: "REF^MD", PerformingPhysicianName: "PERF^MD", InstitutionName: "Hospital",
			Series: []dicomtest.Series{series("CT", "AXIAL 5.0", "ABDOMEN", 2)},
		},
		{
			PatientID: "4445556666", PatientName: "Müller^Jürgen", PatientBirthDate: "19551224", PatientSex: "M",
			CharacterSet:    []string{"ISO_IR 100"},
			AccessionNumber: "ACC-3001", StudyDate: "20220711", StudyTime: "111111", StudyDescription: "Schädel MR",
			ReferringPhysicianName: "Weiß^Anna", PerformingPhysicianName: "Größe^Jörg", InstitutionName: "Universitätsklinikum",
			Series: []dicomtest.Series{
				series("MR", "T1 SAG", "HEAD", 2),
				series("OT", "NOTES", "HEAD", 1),
			},
		},
		{
			PatientID: "7778889999", PatientName: "Yamada^Tarou=山田^太郎=やまだ^たろう", PatientBirthDate: "19640419", PatientSex: "M",
			CharacterSet:    []string{"", "ISO 2022 IR 87"},
			AccessionNumber: "ACC-4001", StudyDate: "20230815", StudyTime: "134500", StudyDescription: "CR CHEST",
			ReferringPhysicianName: "Suzuki^Ichirou=鈴木^一郎", PerformingPhysicianName: "Tanaka^Jirou=田中^二郎",
			InstitutionName: "Hospital",
			Series:          []dicomtest.Series{series("CR", "PA", "CHEST", 1)},
		},
	}
}

func series(modality, description, bodyPart string, instances int) dicomtest.Series {
	return dicomtest.Series{Modality: modality, SeriesDescription: description, BodyPartExamined: bodyPart, Instances: instances}
}

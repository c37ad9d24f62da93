package dicomtest

// DemoPatientID is the patient of DemoStudies that the documentation asks for.
const DemoPatientID = "1112223333"

// DemoStudies are the studies of the demonstration PACS: seven of one patient,
// of several modalities, with dates that stay on the same side of any sensible
// age limit for years to come; and studies of other patients, whom no query for
// the first one may ever show: one with a Patient ID that only starts the same.
func DemoStudies() []Study {
	return append(studiesOfJohnDoe(), studiesOfOthers()...)
}

func studiesOfJohnDoe() []Study {
	studies := []Study{
		{
			AccessionNumber: "ACC-1007", StudyDate: "20251103", StudyTime: "091500", StudyDescription: "CT ABDOMEN",
			Series: []Series{
				{"CT", "AXIAL 5.0", "ABDOMEN", 4},
				{"CT", "CORONAL 3.0", "ABDOMEN", 3},
			},
		},
		{
			AccessionNumber: "ACC-1006", StudyDate: "20250618", StudyTime: "143000", StudyDescription: "MR BRAIN",
			Series: []Series{
				{"MR", "T1 SAG", "BRAIN", 3},
				{"MR", "T2 AXIAL", "BRAIN", 3},
			},
		},
		{
			AccessionNumber: "ACC-1005", StudyDate: "20240101", StudyTime: "120000", StudyDescription: "CT CHEST WITH REPORT",
			Series: []Series{
				{"CT", "LUNG 1.5", "CHEST", 4},
				{"SR", "REPORT", "CHEST", 1},
			},
		},
		{
			AccessionNumber: "ACC-1004", StudyDate: "20230405", StudyTime: "101112", StudyDescription: "US ABDOMEN",
			Series: []Series{{"US", "LIVER", "ABDOMEN", 3}},
		},
		{
			AccessionNumber: "ACC-1003", StudyDate: "20210930", StudyTime: "074530", StudyDescription: "CR CHEST",
			Series: []Series{
				{"CR", "PA", "CHEST", 1},
				{"CR", "LATERAL", "CHEST", 1},
			},
		},
		{
			AccessionNumber: "ACC-1002", StudyDate: "20110214", StudyTime: "230059", StudyDescription: "CT HEAD",
			Series: []Series{{"CT", "AXIAL 5.0", "HEAD", 3}},
		},
		{
			AccessionNumber: "ACC-1001", StudyDate: "20080520", StudyTime: "160000", StudyDescription: "MR LUMBAR SPINE",
			Series: []Series{{"MR", "T2 SAG", "LSPINE", 2}},
		},
	}
	for i := range studies {
		s := &studies[i]
		s.PatientID, s.PatientName = DemoPatientID, "DOE^JOHN"
		s.PatientBirthDate, s.PatientSex = "19700101", "M"
		s.ReferringPhysicianName, s.PerformingPhysicianName = "REF^MD", "PERF^MD"
		s.InstitutionName = "Hospital"
	}
	return studies
}

func studiesOfOthers() []Study {
	return []Study{
		{
			PatientID: DemoPatientID + "4", PatientName: "DOE^JANE", PatientBirthDate: "19720229", PatientSex: "F",
			AccessionNumber: "ACC-2001", StudyDate: "20240102", StudyTime: "080000", StudyDescription: "CT ABDOMEN",
			ReferringPhysicianName: "REF^MD", PerformingPhysicianName: "PERF^MD", InstitutionName: "Hospital",
			Series: []Series{{"CT", "AXIAL 5.0", "ABDOMEN", 2}},
		},
		{
			PatientID: "4445556666", PatientName: "Müller^Jürgen", PatientBirthDate: "19551224", PatientSex: "M",
			CharacterSet:    []string{"ISO_IR 100"},
			AccessionNumber: "ACC-3001", StudyDate: "20220711", StudyTime: "111111", StudyDescription: "Schädel MR",
			ReferringPhysicianName: "Weiß^Anna", PerformingPhysicianName: "Größe^Jörg", InstitutionName: "Universitätsklinikum",
			Series: []Series{
				{"MR", "T1 SAG", "HEAD", 2},
				{"OT", "NOTES", "HEAD", 1},
			},
		},
		{
			PatientID: "7778889999", PatientName: "Yamada^Tarou=山田^太郎=やまだ^たろう", PatientBirthDate: "19640419", PatientSex: "M",
			CharacterSet:    []string{"", "ISO 2022 IR 87"},
			AccessionNumber: "ACC-4001", StudyDate: "20230815", StudyTime: "134500", StudyDescription: "CR CHEST",
			ReferringPhysicianName: "Suzuki^Ichirou=鈴木^一郎", PerformingPhysicianName: "Tanaka^Jirou=田中^二郎",
			InstitutionName: "Hospital",
			Series:          []Series{{"CR", "PA", "CHEST", 1}},
		},
	}
}

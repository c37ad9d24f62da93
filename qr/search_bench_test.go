package qr

import (
	"fmt"
	"testing"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr/match"
)

// BenchmarkSearchMatch is what one match of a search costs beside the C-FIND.
func BenchmarkSearchMatch(b *testing.B) {
	key, err := match.NewKey(match.Path{dataset.PatientID}, "", []string{"P1"}, false)
	if err != nil {
		b.Fatal(err)
	}
	plan, err := newSearchPlan(&Search{
		Level: LevelStudy, Keys: []match.Key{key}, Include: []match.Path{{dataset.StudyDescription}, {dataset.InstitutionName}},
	}, pool.Profile{})
	if err != nil {
		b.Fatal(err)
	}
	var rows [][]byte
	for i := range 10 {
		rows = append(rows, dicomtest.StudyMatch("P1", fmt.Sprintf("1.2.840.113619.2.55.3.%d", i), dicomtest.Attributes{
			dataset.StudyDate: "20240101", dataset.StudyTime: "120000", dataset.AccessionNumber: "ACC-1", dataset.PatientName: "DOE^JOHN",
			dataset.PatientBirthDate: "19700101", dataset.StudyDescription: "CT ABDOMEN", dataset.ModalitiesInStudy: `CT\SR`, dataset.InstitutionName: "Hospital",
			dataset.QueryRetrieveLevel: "STUDY", dataset.ReferringPhysicianName: "REF^MD",
		}).Encode(dataset.ExplicitVRLittleEndian))
	}
	var parser dataset.Parser
	b.ReportAllocs()
	for b.Loop() {
		s := &searcher{plan: plan, unknown: map[unknownKey]int{}}
		a := &answer{searcher: s, request: &request{levelPlan: plan.levels[LevelStudy]}, found: newFound()}
		for _, row := range rows {
			set, err := parser.Parse(row, dataset.ExplicitVRLittleEndian, dataset.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			a.add(&dicomnet.Match{Set: set})
		}
		if len(a.list) != len(rows) {
			b.Fatal(len(a.list))
		}
	}
}

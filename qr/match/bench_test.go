package match_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

// study returns a match at STUDY level, and the filter of the keys that a viewer sends.
func study(tb testing.TB, name string) (*dataset.Set, *match.Filter) {
	tb.Helper()
	set := setOf(tb,
		textOf(tag.StudyDate, "20240315"), textOf(tag.StudyTime, "101530"), textOf(tag.AccessionNumber, "A1"), textOf(tag.PatientID, "4711-0815"),
		textOf(tag.PatientName, name), textOf(tag.StudyDescription, "CT Thorax/Abdomen"), textOf(tag.StudyInstanceUID, "1.2.3.4"),
		textOf(tag.NumberOfStudyRelatedInstances, "812"))
	return set, match.NewFilter([]match.Key{
		key(tb, tag.StudyDate, "20240101-20241231"), key(tb, tag.StudyTime, "08-18"), key(tb, tag.PatientID, "4711-0815"),
		key(tb, tag.PatientName, "*mu?ller*"), key(tb, tag.StudyDescription, "*thorax*"), key(tb, tag.StudyInstanceUID, "1.2.3.4", "1.2.3.5"),
		key(tb, tag.NumberOfStudyRelatedInstances, "812"),
	})
}

func BenchmarkFilter(b *testing.B) {
	for name, patient := range map[string]string{"ASCII": "Mueller^Juergen", "UTF-8": "Muëller^Jürgen"} {
		b.Run(name, func(b *testing.B) {
			set, filter := study(b, patient)
			var which []int
			b.ReportAllocs()
			for b.Loop() {
				var verdict match.Verdict
				if verdict, which = filter.Judge(set, which[:0]); verdict != match.Matches {
					b.Fatal(verdict)
				}
			}
		})
	}
}

func TestJudgingASCIICostsNoAllocation(t *testing.T) { //nolint:paralleltest // it measures
	set, filter := study(t, "Mueller^Juergen")
	assert.Zero(t, testing.AllocsPerRun(100, func() { filter.Judge(set, nil) }))
}

func BenchmarkIdentifier(b *testing.B) {
	keys := []match.Key{
		key(b, tag.PatientID, "P1"), key(b, tag.StudyDate, "20240101-"),
		pathKey(b, "S1", tag.RequestAttributesSequence, tag.ScheduledProcedureStepID),
	}
	include := []match.Path{{tag.PatientName}, {tag.StudyTime}, {tag.AccessionNumber}, {tag.StudyInstanceUID}, {tag.StudyDescription}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := match.Identifier("STUDY", keys, include); err != nil {
			b.Fatal(err)
		}
	}
}

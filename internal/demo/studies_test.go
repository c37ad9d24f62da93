package demo_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/internal/demo"
)

func TestStudiesCoverEveryFilter(t *testing.T) {
	modalities, old, recent, mixed := map[string]bool{}, 0, 0, 0
	others := map[string]bool{}
	for _, s := range demo.Studies() {
		if s.PatientID != demo.PatientID {
			others[s.PatientID] = true
			continue
		}
		if s.StudyDate < "20160101" {
			old++
		}
		if s.StudyDate >= "20240101" {
			recent++
		}
		if len(s.Modalities()) > 1 {
			mixed++
		}
		for _, m := range s.Modalities() {
			modalities[m] = true
		}
	}
	assert.Subset(t, keys(modalities), []string{"CT", "MR", "US", "CR", "SR"})
	assert.GreaterOrEqual(t, old, 2)
	assert.GreaterOrEqual(t, recent, 3)
	assert.Equal(t, 1, mixed)
	assert.Len(t, others, 3)
	assert.Contains(t, keys(others), demo.PatientID+"4", "a Patient ID with the same beginning")
}

func keys(m map[string]bool) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	return list
}

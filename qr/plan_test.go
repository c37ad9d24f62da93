package qr

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var today = time.Date(2024, 6, 15, 23, 59, 0, 0, time.UTC)

func planFor(t *testing.T, f Filter) *plan {
	t.Helper()
	if f.PatientID == "" {
		f.PatientID = "P1"
	}
	p, err := newPlan(&f, today)
	require.NoError(t, err)
	return p
}

func TestInvalidFilterNamesItsField(t *testing.T) {
	tests := []struct {
		name   string
		filter Filter
		field  string
	}{
		{"no patient", Filter{}, "patient ID"},
		{"a patient of spaces", Filter{PatientID: "  "}, "patient ID"},
		{"the wildcard * in a patient", Filter{PatientID: "P*"}, "patient ID"},
		{"the wildcard ? in a patient", Filter{PatientID: "P?"}, "patient ID"},
		{"a list of patients", Filter{PatientID: `P1\P2`}, "patient ID"},
		{"a control character", Filter{PatientID: "P\t1"}, "patient ID"},
		{"65 characters", Filter{PatientID: strings.Repeat("é", 65)}, "patient ID"},
		{"text that is not UTF-8", Filter{PatientID: "P\xff"}, "patient ID"},
		{"a wildcard accession number", Filter{PatientID: "P", AccessionNumber: "A*"}, "accession number"},
		{"an accession number of 65 characters", Filter{PatientID: "P", AccessionNumber: strings.Repeat("1", 65)}, "accession number"},
		{"a wildcard in an issuer", Filter{PatientID: "P", IssuerOfPatientID: "H?"}, "issuer of patient ID"},
		{"an issuer of 65 characters", Filter{PatientID: "P", IssuerOfPatientID: strings.Repeat("é", 65)}, "issuer of patient ID"},
		{"a wildcard in a UID", Filter{PatientID: "P", StudyInstanceUIDs: []string{"1.2", "1.*"}}, "study instance UIDs"},
		{"an empty UID", Filter{PatientID: "P", StudyInstanceUIDs: []string{""}}, "study instance UIDs"},
		{"a UID of 65 characters", Filter{PatientID: "P", StudyInstanceUIDs: []string{strings.Repeat("1", 65)}}, "study instance UIDs"},
		{"a day that does not exist", Filter{PatientID: "P", StudyDateFrom: "20240230"}, "study date from"},
		{"a range for a day", Filter{PatientID: "P", StudyDateTo: "20240101-"}, "study date to"},
		{"an empty modality", Filter{PatientID: "P", Modalities: []string{"CT", " "}}, "modalities"},
		{"a wildcard modality", Filter{PatientID: "P", Modalities: []string{"C*"}}, "modalities"},
		{"a negative age", Filter{PatientID: "P", MaxYearsOld: -1}, "max years old"},
		{"a negative limit", Filter{PatientID: "P", MaxResults: -1}, "max results"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := newPlan(&test.filter, today)
			var invalid *FilterError
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, test.field, invalid.Field)
			assert.Equal(t, "invalid filter: "+test.field, err.Error())
		})
	}
}

func TestPaddingOfAFilterIsRemoved(t *testing.T) {
	p := planFor(t, Filter{PatientID: " P 1 ", AccessionNumber: "A1 ", Modalities: []string{"CT "}})
	assert.Equal(t, "P 1", p.patientID)
	assert.Equal(t, "A1", p.accession)
	assert.Equal(t, []string{"CT"}, p.modalities)
}

func TestLaterOfTwoEarliestDaysApplies(t *testing.T) {
	assert.Equal(t, 20220615, planFor(t, Filter{MaxYearsOld: 2}).earliest)
	assert.Equal(t, 20220615, planFor(t, Filter{MaxYearsOld: 2, StudyDateFrom: "20200101"}).earliest)
	assert.Equal(t, 20240101, planFor(t, Filter{MaxYearsOld: 2, StudyDateFrom: "20240101"}).earliest)
}

func TestPlanIsImpossibleIfItsDatesExcludeEachOther(t *testing.T) {
	for _, test := range []struct {
		name   string
		filter Filter
		want   bool
	}{
		{"no dates", Filter{}, false},
		{"a day", Filter{StudyDateFrom: "20240101", StudyDateTo: "20240101"}, false},
		{"from only", Filter{StudyDateFrom: "20240101"}, false},
		{"to only", Filter{StudyDateTo: "20240101"}, false},
		{"to before from", Filter{StudyDateFrom: "20240102", StudyDateTo: "20240101"}, true},
		{"to before the maximum age", Filter{MaxYearsOld: 1, StudyDateTo: "20200101"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, planFor(t, test.filter).impossible())
		})
	}
}

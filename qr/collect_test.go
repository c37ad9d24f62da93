package qr

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

func collect(t require.TestingT, p *plan, matches ...dicomtest.Attributes) *collector {
	c := &collector{plan: p}
	for _, m := range matches {
		set, err := dataset.Parse(m.Encode(dataset.ImplicitVRLittleEndian), dataset.ImplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		c.add(set)
	}
	return c
}

func codesOf(c *collector) []WarningCode {
	codes := []WarningCode{}
	for _, w := range c.counts.warnings() {
		codes = append(codes, w.Code)
	}
	return codes
}

func TestMemoryOfWhatAnotherMatchAddsIsCounted(t *testing.T) {
	p := planFor(t, Filter{})
	text := strings.Repeat("x", 1000)
	once := collect(t, p, study("P1", "1.2.3"))
	again := collect(t, p, study("P1", "1.2.3"), study("P1", "1.2.3", dicomtest.Attributes{dataset.InstitutionName: text}))
	assert.Equal(t, once.owed+len(text), again.owed)
	same := collect(t, p, study("P1", "1.2.3"), study("P1", "1.2.3"))
	assert.Equal(t, once.owed, same.owed)

	other := collect(t, p, study("P2", "1.2.3"))
	assert.Equal(t, other.owed, collect(t, p, study("P2", "1.2.3"), study("P2", "1.2.3")).owed, "a UID is kept once")
}

func TestMatchesAreCheckedAgainstTheFilter(t *testing.T) {
	const other, noUID, undated = WarningOtherPatientDropped, WarningNoStudyUIDDropped, WarningUndatedDropped
	const malformed = WarningValueMalformed
	own := study("P1", "1.2.3")
	date := func(s string) dicomtest.Attributes {
		return study("P1", "1.2.3", dicomtest.Attributes{dataset.StudyDate: s})
	}
	accession := func(s string) dicomtest.Attributes {
		return study("P1", "1.2.3", dicomtest.Attributes{dataset.AccessionNumber: s})
	}
	since := Filter{StudyDateFrom: "20240101"}
	until := Filter{StudyDateTo: "20240131"}
	tests := []struct {
		name     string
		filter   Filter
		match    dicomtest.Attributes
		kept     bool
		warnings []WarningCode
	}{
		{"the patient of the filter", Filter{}, own, true, nil},
		{"a Patient ID with padding", Filter{}, study(" P1 ", "1.2.3"), true, nil},
		{"another patient", Filter{}, study("P2", "1.2.3"), false, []WarningCode{other}},
		{"a Patient ID that begins with that of the filter", Filter{}, study("P12", "1.2.3"), false, []WarningCode{other}},
		{"a Patient ID in another letter case", Filter{}, study("p1", "1.2.3"), false, []WarningCode{other}},
		{"two Patient IDs", Filter{}, study(`P1\P2`, "1.2.3"), false, []WarningCode{other}},
		{"another patient without a Study Instance UID", Filter{}, study("P2", ""), false, []WarningCode{other}},
		{"an empty second Patient ID", Filter{}, study(`P1\`, "1.2.3"), true, nil},
		{"an empty Patient ID", Filter{}, study("", "1.2.3"), false, []WarningCode{other}},
		{"no Patient ID", Filter{}, dicomtest.Attributes{dataset.StudyInstanceUID: "1.2.3"}, false, []WarningCode{other}},
		{"an empty match", Filter{}, dicomtest.Attributes{}, false, []WarningCode{other}},

		{"no Study Instance UID", Filter{}, dicomtest.Attributes{dataset.PatientID: "P1"}, false, []WarningCode{noUID}},
		{"an empty Study Instance UID", Filter{}, study("P1", ""), false, []WarningCode{noUID}},
		{"two Study Instance UIDs", Filter{}, study("P1", `1.2\1.3`), false, []WarningCode{noUID}},
		{"a Study Instance UID of 65 characters", Filter{}, study("P1", strings.Repeat("1", 65)), false, []WarningCode{noUID, malformed}},
		{"a Study Instance UID that is a path", Filter{}, study("P1", "../../etc"), false, []WarningCode{noUID, malformed}},
		{"a Study Instance UID padded with NUL", Filter{}, study("P1", "1.2.3\x00"), true, nil},
		{"a Study Instance UID of 64 characters", Filter{}, study("P1", strings.Repeat("1", 64)), true, nil},

		{"a study of the filter", Filter{StudyInstanceUIDs: []string{"1.2.4", "1.2.3"}}, own, true, nil},
		{"a study not in the filter", Filter{StudyInstanceUIDs: []string{"1.2.4"}}, own, false, nil},

		{"the accession number of the filter", Filter{AccessionNumber: "A1"}, accession(" A1"), true, nil},
		{"another accession number", Filter{AccessionNumber: "A1"}, accession("A2"), false, nil},
		{"an empty accession number", Filter{AccessionNumber: "A1"}, accession(""), false, nil},
		{"no accession number", Filter{AccessionNumber: "A1"}, own, false, []WarningCode{WarningAccessionNumberUnknown}},

		{"the first day of the range", since, date("20240101"), true, nil},
		{"the day before", since, date("20231231"), false, nil},
		{"the last day of the range", until, date("20240131"), true, nil},
		{"the day after", until, date("20240201"), false, nil},
		{"the last day in the old form", until, date("2024.01.31"), true, nil},
		{"the day of the maximum age", Filter{MaxYearsOld: 1}, date("20230615"), true, nil},
		{"a day older than the maximum age", Filter{MaxYearsOld: 1}, date("20230614"), false, nil},
		{"an empty date under a date filter", since, date(""), false, []WarningCode{undated}},
		{"no date under a date filter", until, own, false, []WarningCode{undated}},
		{"no date without a date filter", Filter{}, own, true, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := collect(t, planFor(t, test.filter), test.match)
			assert.Equal(t, test.kept, len(c.remaining()) == 1)
			assert.Equal(t, append([]WarningCode{}, test.warnings...), codesOf(c))
		})
	}
}

func TestUnreadableDateIsReturnedAsWritten(t *testing.T) {
	c := collect(t, planFor(t, Filter{}), study("P1", "1.2", dicomtest.Attributes{dataset.StudyDate: "20241399"}))
	remaining := c.remaining()
	require.Len(t, remaining, 1)
	assert.Equal(t, "20241399", remaining[0].StudyDate)
	assert.Equal(t, []WarningCode{WarningValueMalformed}, codesOf(c))

	c = collect(t, planFor(t, Filter{MaxYearsOld: 1}), study("P1", "1.2", dicomtest.Attributes{dataset.StudyDate: "20241399"}))
	assert.Empty(t, c.remaining())
	assert.Equal(t, []WarningCode{WarningUndatedDropped, WarningValueMalformed}, codesOf(c))
}

func TestStudyHasTheAttributesOfItsMatch(t *testing.T) {
	c := collect(t, planFor(t, Filter{}), study("P1", "1.2.3.4", dicomtest.Attributes{
		dataset.SpecificCharacterSet:    "ISO_IR 192",
		dataset.PatientName:             "DÖE^JOHN ",
		dataset.PatientBirthDate:        "1970.01.01",
		dataset.StudyDescription:        "CT ABDOMEN",
		dataset.ModalitiesInStudy:       `CT \SR\\CT`,
		dataset.StudyDate:               "2024.01.01",
		dataset.StudyTime:               "12:00:00",
		dataset.AccessionNumber:         "ACC-1",
		dataset.ReferringPhysicianName:  "REF^MD",
		dataset.PerformingPhysicianName: "PERF^MD",
		dataset.InstitutionName:         "Hospital",
	}))
	assert.Equal(t, []*candidate{{
		Study: Study{
			PatientName: "DÖE^JOHN", PatientID: "P1", DateOfBirth: "19700101", StudyInstanceUID: "1.2.3.4",
			StudyDescription: "CT ABDOMEN", ModalitiesInStudy: []string{"CT", "SR"}, StudyDate: "20240101",
			StudyTime: "120000", AccessionNumber: "ACC-1", ReferringPhysicianName: "REF^MD",
			PerformingPhysicianName: "PERF^MD", InstitutionName: "Hospital",
		},
		date: 20240101, time: 20240101*perDay + uint64(parseTime("120000")),
	}}, c.remaining())
}

func TestMissingAttributesAreEmpty(t *testing.T) {
	remaining := collect(t, planFor(t, Filter{}), study("P1", "1.2")).remaining()
	require.Len(t, remaining, 1)
	assert.Equal(t, Study{PatientID: "P1", StudyInstanceUID: "1.2", ModalitiesInStudy: []string{}}, remaining[0].Study)
}

func TestMatchesOfOneStudyAreMerged(t *testing.T) {
	c := collect(t, planFor(t, Filter{AccessionNumber: "A1", StudyDateFrom: "20200101"}),
		study("P1", "1.2", dicomtest.Attributes{dataset.ModalitiesInStudy: "CT", dataset.StudyTime: "070000", dataset.StudyDescription: "first"}),
		study("P1", "1.3", dicomtest.Attributes{dataset.AccessionNumber: "A1", dataset.StudyDate: "20230101"}),
		study("P1", "1.2", dicomtest.Attributes{dataset.ModalitiesInStudy: `MR\CT`, dataset.StudyDate: "20240101", dataset.StudyTime: "080000", dataset.StudyDescription: "second"}),
		study("P1", "1.2", dicomtest.Attributes{dataset.AccessionNumber: "A1", dataset.StudyDate: "20220101", dataset.InstitutionName: "Hospital"}))
	remaining := c.remaining()
	assert.Equal(t, []string{"1.2", "1.3"}, uidsOf(remaining))
	assert.Equal(t, Study{
		PatientID: "P1", StudyInstanceUID: "1.2", StudyDescription: "first", ModalitiesInStudy: []string{"CT", "MR"},
		StudyDate: "20240101", StudyTime: "080000", AccessionNumber: "A1", InstitutionName: "Hospital",
	}, remaining[0].Study)
	assert.Equal(t, []Warning{{WarningDuplicatesMerged, "2 matches of studies already seen were merged"}}, c.counts.warnings())
}

func TestStudiesThatAnotherPatientSharesAreDropped(t *testing.T) {
	own, foreign := study("P1", "1.2"), study("P2", "1.2")
	for name, matches := range map[string][]dicomtest.Attributes{
		"match of the other patient first": {foreign, own, study("P1", "1.3")},
		"match of the other patient last":  {own, study("P1", "1.3"), foreign},
	} {
		t.Run(name, func(t *testing.T) {
			c := collect(t, planFor(t, Filter{}), matches...)
			assert.Equal(t, []string{"1.3"}, uidsOf(c.remaining()))
			assert.Equal(t, []Warning{
				{WarningOtherPatientDropped, "1 match of another patient was dropped"},
				{WarningOtherPatientDropped, "1 study was dropped because its Study Instance UID belongs to another patient too"},
			}, c.counts.warnings())
		})
	}
}

func TestManyStudiesAreMergedLikeFew(t *testing.T) {
	const studies = 3 * indexFrom
	var matches []dicomtest.Attributes
	for round := range 2 {
		for i := range studies {
			matches = append(matches, study("P1", fmt.Sprintf("1.%d", i), modalities([]string{"CT", "SR"}[round])))
		}
	}
	c := collect(t, planFor(t, Filter{}), matches...)
	remaining := c.remaining()
	require.Len(t, remaining, studies)
	for i := range remaining {
		assert.Equal(t, []string{"CT", "SR"}, remaining[i].ModalitiesInStudy)
	}
	assert.Equal(t, studies, c.counts[duplicate])
}

// Decoded modalities are kept by their bytes. The same bytes in another VR must not give the kept list.
func TestModalitiesAreDecodedByTheirVR(t *testing.T) {
	read := func(vrs ...string) (lists [][]string) {
		c := &collector{plan: planFor(t, Filter{})}
		for i, vr := range vrs {
			explicit := func(t dataset.Tag, vr, value string) string {
				head := string([]byte{byte(t.Group), byte(t.Group >> 8), byte(t.Element), byte(t.Element >> 8)}) + vr
				if vr == "OB" {
					return head + "\x00\x00" + string([]byte{byte(len(value)), 0, 0, 0}) + value
				}
				return head + string([]byte{byte(len(value)), 0}) + value
			}
			set, err := dataset.Parse([]byte(explicit(dataset.ModalitiesInStudy, vr, "CT")+explicit(dataset.PatientID, "LO", "P1")+
				explicit(dataset.StudyInstanceUID, "UI", fmt.Sprintf("1.%02d", i))), dataset.ExplicitVRLittleEndian, dataset.Limits{})
			require.NoError(t, err)
			c.add(set)
		}
		for _, s := range c.remaining() {
			lists = append(lists, s.ModalitiesInStudy)
		}
		return lists
	}
	for _, vr := range []string{"US", "OB", "UI", "LO"} {
		alone := read(vr)
		assert.Equal(t, []string{"CT"}, read("CS")[0])
		assert.Equal(t, [][]string{alone[0], {"CT"}, alone[0], {"CT"}}, read(vr, "CS", vr, "CS"), vr)
		assert.Equal(t, [][]string{{"CT"}, alone[0], {"CT"}}, read("CS", vr, "CS"), vr)
	}
}

func TestModalitiesOfAStudyAreBounded(t *testing.T) {
	var list strings.Builder
	for i := range 10 * maxModalities {
		fmt.Fprintf(&list, `M%d\`, i)
	}
	remaining := collect(t, planFor(t, Filter{}), study("P1", "1.1", modalities(list.String()))).remaining()
	require.Len(t, remaining, 1)
	assert.Len(t, remaining[0].ModalitiesInStudy, maxModalities)
}

func TestTextWarningsAreCountedOnceAMatch(t *testing.T) {
	latin1 := dicomtest.Attributes{dataset.PatientName: "M\xfcller"}
	unknown := dicomtest.Attributes{dataset.SpecificCharacterSet: "ISO_IR 999", dataset.PatientName: "M\xfcller"}
	c := collect(t, planFor(t, Filter{}), study("P1", "1.1", latin1), study("P1", "1.2", latin1), study("P1", "1.3", unknown))
	assert.Len(t, c.remaining(), 3)
	assert.Contains(t, c.counts.warnings(), Warning{WarningCharacterSetAssumed, "3 matches have text without a character set; one was assumed"})
	assert.Contains(t, codesOf(c), WarningCharacterSetUnknown)
}

func TestStudiesOfOtherPatientsNeverRemain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		owner := map[string]map[string]bool{}
		matches := make([]dicomtest.Attributes, rapid.IntRange(0, 80).Draw(t, "matches"))
		for i := range matches {
			patient := rapid.SampledFrom([]string{"P1", "P1 ", "P2", "", "P11", `P1\P2`}).Draw(t, "patient")
			uid := fmt.Sprintf("1.%d", rapid.IntRange(0, 60).Draw(t, "uid"))
			matches[i] = study(patient, uid)
			if owner[uid] == nil {
				owner[uid] = map[string]bool{}
			}
			owner[uid][patient] = true
		}
		c := collect(t, &plan{patientID: "P1"}, matches...)
		seen := map[string]bool{}
		remaining := c.remaining()
		for i := range remaining {
			uid := remaining[i].StudyInstanceUID
			switch {
			case remaining[i].PatientID != "P1":
				t.Fatalf("a study of patient %q remains", remaining[i].PatientID)
			case owner[uid]["P2"] || owner[uid]["P11"]:
				t.Fatalf("study %s, which another patient has too, remains", uid)
			case !owner[uid]["P1"] && !owner[uid]["P1 "]:
				t.Fatalf("study %s, which only another patient has, remains", uid)
			case seen[uid]:
				t.Fatalf("study %s remains twice", uid)
			}
			seen[uid] = true
		}
		for uid, owners := range owner {
			if (owners["P1"] || owners["P1 "]) && !owners["P2"] && !owners["P11"] && !seen[uid] {
				t.Fatalf("study %s is missing", uid)
			}
		}
	})
}

func BenchmarkCollectTenMatches(b *testing.B) {
	matches := make([]*dataset.Set, 10)
	for i := range matches {
		m := study("P1", fmt.Sprintf("1.2.%d", i), dicomtest.Attributes{
			dataset.PatientName: "DOE^JOHN", dataset.StudyDate: "20240101", dataset.StudyTime: "120000", dataset.ModalitiesInStudy: `CT\SR`,
			dataset.StudyDescription: "CT ABDOMEN", dataset.ReferringPhysicianName: "REF^MD", dataset.AccessionNumber: "ACC-1",
		})
		var err error
		matches[i], err = dataset.Parse(m.Encode(dataset.ImplicitVRLittleEndian), dataset.ImplicitVRLittleEndian, dataset.Limits{})
		require.NoError(b, err)
	}
	k := newKeys()
	for b.Loop() {
		p, err := newPlan(&Filter{PatientID: "P1", MaxYearsOld: 5, Modalities: []string{"CT"}, MaxResults: 5}, today)
		if err != nil {
			b.Fatal(err)
		}
		k.forStudies(p, form{}, "")
		c := &collector{plan: p}
		for _, m := range matches {
			c.add(m)
		}
		if studies, _ := c.pick(c.remaining(), nil); len(studies) != 5 {
			b.Fatal(len(studies))
		}
		c.counts.warnings()
	}
}

func TestTextThatIsFarTooLongIsCutWithAWarning(t *testing.T) {
	long := strings.Repeat("ü", 400_000)
	c := collect(t, planFor(t, Filter{}), study("P1", "1.2", dicomtest.Attributes{
		dataset.SpecificCharacterSet: "ISO_IR 192", dataset.StudyDescription: long, dataset.PatientName: strings.Repeat("A", 1024),
		dataset.ModalitiesInStudy: strings.Repeat("C", 100_000),
	}))
	remaining := c.remaining()
	require.Len(t, remaining, 1)
	assert.Equal(t, strings.Repeat("ü", 512), remaining[0].StudyDescription)
	assert.Len(t, remaining[0].PatientName, 1024)
	assert.Equal(t, []string{strings.Repeat("C", 64)}, remaining[0].ModalitiesInStudy)
	assert.Contains(t, codesOf(c), WarningTextCut)
}

func TestCutTextEndsWithAWholeCharacter(t *testing.T) {
	for n := range 5 {
		assert.Equal(t, "a山"[:[]int{0, 1, 1, 1, 4}[n]], cutText("a山b", n))
	}
}

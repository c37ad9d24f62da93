package match_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

// request returns an item of a request attributes sequence.
func request(step, procedure string) []*dicom.Element {
	return []*dicom.Element{dataset.Text(tag.ScheduledProcedureStepID, step), dataset.Text(tag.RequestedProcedureID, procedure)}
}

func TestKeysOfOneSequenceMatchInOneItem(t *testing.T) {
	t.Parallel()
	step := pathKey(t, "S1", tag.RequestAttributesSequence, tag.ScheduledProcedureStepID)
	procedure := pathKey(t, "R2", tag.RequestAttributesSequence, tag.RequestedProcedureID)
	filter := match.NewFilter([]match.Key{step, procedure})
	sequence := func(items ...[]*dicom.Element) *dataset.Set {
		return setOf(t, dataset.Sequence(tag.RequestAttributesSequence, items...))
	}
	for _, c := range []struct {
		set     *dataset.Set
		want    match.Verdict
		unknown []int
	}{
		{sequence(request("S1", "R2")), matches, nil},
		{sequence(request("S1", "R1"), request("S1", "R2")), matches, nil},
		{sequence(request("S1", "R1"), request("S2", "R2")), differs, nil}, // each key matches, but not in one item
		{sequence(), differs, nil},
		{setOf(t), unknown, []int{0, 1}},
		{sequence(request("S2", "R2"), []*dicom.Element{dataset.Text(tag.ScheduledProcedureStepID, "S1")}), unknown, []int{1}},
		{sequence([]*dicom.Element{}), unknown, []int{0, 1}},
		{setOf(t, textOf(tag.PatientID, "P1")), unknown, []int{0, 1}},
	} {
		got, which := filter.Judge(c.set, nil)
		assert.Equal(t, c.want, got)
		assert.Equal(t, c.unknown, which)
	}
	assert.Equal(t, matches, step.Judge(sequence(request("S2", "R1"), request("S1", "R1"))))
	assert.Equal(t, differs, step.Judge(sequence(request("S2", "R1"))))
	assert.Equal(t, unknown, step.Judge(sequence(request("S2", "R1"), nil)))
}

func TestKeysOfNestedSequences(t *testing.T) {
	t.Parallel()
	code := pathKey(t, "T-1", tag.RequestAttributesSequence, tag.RequestedProcedureCodeSequence, tag.CodeValue)
	scheme := pathKey(t, "SRT", tag.RequestAttributesSequence, tag.RequestedProcedureCodeSequence, tag.CodingSchemeDesignator)
	step := pathKey(t, "S*", tag.RequestAttributesSequence, tag.ScheduledProcedureStepID)
	filter := match.NewFilter([]match.Key{key(t, tag.PatientID, "P1"), code, scheme, step, key(t, tag.PatientName)})
	set := func(scheme string) *dataset.Set {
		codes := dataset.Sequence(tag.RequestedProcedureCodeSequence,
			[]*dicom.Element{dataset.Text(tag.CodeValue, "T-2"), dataset.Text(tag.CodingSchemeDesignator, "SRT")},
			[]*dicom.Element{dataset.Text(tag.CodeValue, "T-1"), dataset.Text(tag.CodingSchemeDesignator, scheme)})
		return setOf(t, textOf(tag.PatientID, "P1"),
			dataset.Sequence(tag.RequestAttributesSequence, []*dicom.Element{codes, dataset.Text(tag.ScheduledProcedureStepID, "S1")}))
	}
	got, which := filter.Judge(set("SRT"), nil)
	assert.Equal(t, matches, got)
	assert.Empty(t, which)
	got, _ = filter.Judge(set("DCM"), nil)
	assert.Equal(t, differs, got)
	got, which = filter.Judge(setOf(t, textOf(tag.PatientID, "P1")), []int{9})
	assert.Equal(t, unknown, got)
	assert.Equal(t, []int{9, 3, 1, 2}, which)
	got, which = filter.Judge(setOf(t, textOf(tag.PatientID, "P2")), []int{9})
	assert.Equal(t, differs, got)
	assert.Equal(t, []int{9}, which, "what is unknown does not matter if a key differs")
}

func TestCombinedDateTimeMatching(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, date, time string
		studyDate        string
		studyTime        *string
		want             match.Verdict
	}{
		{"a time of a day between is any", "20240101-20240103", "1800-2000", "20240102", new("0300"), matches},
		{"the first day from the first time", "20240101-20240103", "1800-2000", "20240101", new("1759"), differs},
		{"the first day at the first time", "20240101-20240103", "1800-2000", "20240101", new("180000"), matches},
		{"the last day at the last time", "20240101-20240103", "1800-2000", "20240103", new("200059"), matches},
		{"the last day after the last time", "20240101-20240103", "1800-2000", "20240103", new("2001"), differs},
		{"a range across midnight", "20240101-20240102", "1800-1900", "20240102", new("0100"), matches},
		{"a day outside", "20240101-20240103", "1800-2000", "20240104", new("1900"), differs},
		{"since", "20240101-", "1800-", "20240102", new("0100"), matches},
		{"since, too early", "20240101-", "1800-", "20240101", new("0100"), differs},
		{"until", "-20240101", "-1800", "20231231", new("2300"), matches},
		{"until, too late", "-20240101", "-1800", "20240101", new("1801"), differs},
		{"one day is two ranges", "20240101-20240101", "1800-2000", "20240101", new("1900"), matches},
		{"one day is two ranges, outside", "20240101-20240101", "1800-2000", "20240101", new("2100"), differs},
		{"different forms are two ranges", "20240101-20240103", "1800-", "20240102", new("0300"), differs},
		{"without a time between", "20240101-20240103", "1800-2000", "20240102", nil, matches},
		{"without a time on the first day", "20240101-20240103", "1800-2000", "20240101", nil, unknown},
		{"without a time since", "20240101-", "1800-", "20240101", nil, unknown},
		{"with an empty time", "20240101-20240103", "1800-2000", "20240101", new(""), matches},
		{"with an unreadable date", "20240101-20240103", "1800-2000", "2024", new("1900"), differs},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			keys := match.CombineDateTimes([]match.Key{key(t, tag.StudyTime, c.time), key(t, tag.PatientID, "P1"), key(t, tag.StudyDate, c.date)})
			elements := []*dicom.Element{textOf(tag.StudyDate, c.studyDate), textOf(tag.PatientID, "P1")}
			if c.studyTime != nil {
				elements = append(elements, textOf(tag.StudyTime, *c.studyTime))
			}
			got, _ := match.NewFilter(keys).Judge(setOf(t, elements...), nil)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestOnlyADateAndItsTimeAreCombined(t *testing.T) {
	t.Parallel()
	keys := []match.Key{
		key(t, tag.StudyDate, "20240101-20240103"), key(t, tag.SeriesTime, "1800-2000"), key(t, tag.PatientID, "P1"),
		pathKey(t, "1800-2000", tag.RequestAttributesSequence, tag.StudyTime), key(t, tag.StudyTime, "18"),
	}
	for i, k := range match.CombineDateTimes(keys) {
		assert.Equal(t, keys[i].Values, k.Values)
	}
}

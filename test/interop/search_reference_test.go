//go:build interop

package interop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// search is a search of QIDO-RS and the keys with which findscu asks for the same.
type search struct {
	name string
	// resource is below /dicomweb/{pacs}, with the query.
	resource string
	level    string
	// keys are those of findscu. Several lists stand for several runs, whose matches are taken together.
	keys [][]string
	// modalities restricts the studies that findscu finds: not every PACS matches Modalities in Study.
	modalities []string
	// where restricts the matches of findscu to those that the standard calls matches: PixelMed also finds names that sound alike.
	where func(found) bool
	// matches is the number of matches, so that a reference that finds nothing does not agree with a gateway that finds nothing.
	matches int
}

func keys(list ...string) [][]string { return [][]string{list} }

// searchLevel is what findscu asks for at a level, beside the keys: what QIDO-RS returns.
type searchLevel struct {
	unique tag.Tag
	names  []string
}

var searchLevels = map[string]searchLevel{
	"STUDY": {tag.StudyInstanceUID, []string{
		"StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID",
		"PatientBirthDate", "PatientSex", "StudyID", "StudyDescription", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
	}},
	"SERIES": {tag.SeriesInstanceUID, []string{
		"SeriesInstanceUID", "Modality", "SeriesDescription", "SeriesNumber", "NumberOfSeriesRelatedInstances",
		"PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
	}},
	"IMAGE": {tag.SOPInstanceUID, []string{
		"SOPInstanceUID", "SOPClassUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames",
	}},
}

// found is a match: values by attribute, written as text.
type found map[tag.Tag][]string

// findAll returns what findscu gets for a search, by unique key.
func (s source) findAll(t *testing.T, q search) map[string]found {
	t.Helper()
	level := searchLevels[q.level]
	all := map[string]found{}
	for _, list := range q.keys {
		for _, ds := range s.findscu(t, q.level, withReturnKeys(list, level.names)...) {
			match := found{}
			for _, e := range ds.Elements {
				match[e.Tag] = elementText(e)
			}
			uid := match[level.unique]
			require.Len(t, uid, 1, "%s: a match of findscu without a UID", q.name)
			if q.where != nil && !q.where(match) {
				continue
			}
			if len(q.modalities) == 0 || (filter{modalities: q.modalities}).allows(s.modalities(t, uid[0])) {
				all[uid[0]] = match
			}
		}
	}
	return all
}

// withReturnKeys adds the names that no key has.
func withReturnKeys(keys, names []string) []string {
	all := slices.Clone(keys)
	for _, name := range names {
		if !slices.ContainsFunc(keys, func(key string) bool { return key == name || strings.HasPrefix(key, name+"=") }) {
			all = append(all, name)
		}
	}
	return all
}

// elementText returns the values of an element of text or numbers as QIDO-RS would show them, but as text.
func elementText(e *dicom.Element) []string {
	var list []string
	switch values := e.Value.GetValue().(type) {
	case []string:
		for _, v := range values {
			v = strings.Trim(v, " \x00")
			if n, err := strconv.ParseFloat(v, 64); err == nil && (e.RawValueRepresentation == "IS" || e.RawValueRepresentation == "DS") {
				v = strconv.FormatFloat(n, 'f', -1, 64)
			}
			list = append(list, v)
		}
	case []int:
		for _, n := range values {
			list = append(list, strconv.Itoa(n))
		}
	}
	if len(list) == 1 && list[0] == "" {
		return nil
	}
	return list
}

// uidOf returns the Study Instance UID of a loaded study.
func uidOf(accessionNumber string) string {
	for _, s := range loaded() {
		if s.AccessionNumber == accessionNumber {
			return s.UID()
		}
	}
	panic("no study " + accessionNumber)
}

// seriesOf returns the Series Instance UID of series n of a loaded study, counted from 1.
func seriesOf(accessionNumber string, n int) string {
	for _, s := range loaded() {
		if s.AccessionNumber != accessionNumber {
			continue
		}
		for _, in := range s.Instances() {
			if in.Text(tag.SeriesNumber) == strconv.Itoa(n) {
				return in.Text(tag.SeriesInstanceUID)
			}
		}
	}
	panic(fmt.Sprintf("no series %d of %s", n, accessionNumber))
}

// instanceOf returns the SOP Instance UID of an instance of a loaded series, counted from 1.
func instanceOf(accessionNumber string, series, n int) string {
	for _, s := range loaded() {
		if s.AccessionNumber != accessionNumber {
			continue
		}
		for _, in := range s.Instances() {
			if in.Text(tag.SeriesNumber) == strconv.Itoa(series) && in.Text(tag.InstanceNumber) == strconv.Itoa(n) {
				return in.Text(tag.SOPInstanceUID)
			}
		}
	}
	panic(fmt.Sprintf("no instance %d of series %d of %s", n, series, accessionNumber))
}

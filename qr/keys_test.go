package qr

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// received returns the identifier as a peer decodes it.
func received(t *testing.T, ds *dataset.Dataset) *dataset.Set {
	t.Helper()
	b, err := dataset.Encode(ds, dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	set, err := dataset.Parse(b, dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	return set
}

func tagsOf(ds *dataset.Dataset) []dataset.Tag {
	tags := make([]dataset.Tag, 0, len(ds.Elements))
	for _, e := range ds.Elements {
		tags = append(tags, e.Tag)
	}
	return tags
}

func TestStudyQueryHasAKeyForEachMemberOfAStudy(t *testing.T) {
	ds := newKeys().forStudies(planFor(t, Filter{PatientID: "P1"}), form{}, "")
	assert.True(t, slices.IsSortedFunc(tagsOf(ds), func(a, b dataset.Tag) int { return a.Compare(b) }))
	set := received(t, ds)
	assert.Equal(t, "ISO_IR 192", set.String(dataset.SpecificCharacterSet))
	assert.Equal(t, "STUDY", set.String(dataset.QueryRetrieveLevel))
	assert.Equal(t, "P1", set.String(dataset.PatientID))
	for _, key := range []dataset.Tag{
		dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.ModalitiesInStudy, dataset.InstitutionName,
		dataset.ReferringPhysicianName, dataset.StudyDescription, dataset.PerformingPhysicianName, dataset.PatientName,
		dataset.PatientBirthDate, dataset.StudyInstanceUID,
	} {
		value, ok := set.Bytes(key)
		assert.True(t, ok, "%v", key)
		assert.Empty(t, value, "%v", key)
	}
	assert.Equal(t, 16, set.Len())
}

func TestModalitiesInStudyIsAUniversalKey(t *testing.T) {
	set := received(t, newKeys().forStudies(planFor(t, Filter{Modalities: []string{"CT"}}), form{}, ""))
	value, ok := set.Bytes(dataset.ModalitiesInStudy)
	assert.True(t, ok)
	assert.Empty(t, value)
}

func TestIdentifierTextIsUTF8(t *testing.T) {
	for _, filter := range []Filter{{PatientID: "Müller-1"}, {PatientID: "P1", AccessionNumber: "Ä1"}} {
		set := received(t, newKeys().forStudies(planFor(t, filter), form{}, ""))
		assert.Equal(t, "ISO_IR 192", set.String(dataset.SpecificCharacterSet))
		assert.Equal(t, filter.PatientID, set.String(dataset.PatientID))
		assert.Equal(t, filter.AccessionNumber, set.String(dataset.AccessionNumber))
	}
}

func TestStudyDateIsARange(t *testing.T) {
	for _, test := range []struct {
		name   string
		filter Filter
		want   string
	}{
		{"from", Filter{StudyDateFrom: "20240101"}, "20240101-"},
		{"to", Filter{StudyDateTo: "20240101"}, "-20240101"},
		{"from and to", Filter{StudyDateFrom: "20240101", StudyDateTo: "20240131"}, "20240101-20240131"},
		{"one day", Filter{StudyDateFrom: "20240101", StudyDateTo: "20240101"}, "20240101"},
		{"maximum age", Filter{MaxYearsOld: 5}, "20190615-"},
		{"maximum age and to", Filter{MaxYearsOld: 5, StudyDateTo: "20200101"}, "20190615-20200101"},
		{"maximum age of two centuries", Filter{MaxYearsOld: 200}, "18240615-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			value, ok := received(t, newKeys().forStudies(planFor(t, test.filter), form{}, "")).Bytes(dataset.StudyDate)
			assert.True(t, ok)
			assert.Equal(t, test.want, strings.TrimRight(string(value), " "), "spaces pad the value")
			assert.Zero(t, len(value)%2)
		})
	}
}

func TestStudyInstanceUIDIsSentAlone(t *testing.T) {
	set := received(t, newKeys().forStudies(planFor(t, Filter{StudyInstanceUIDs: []string{"1.2", "1.3"}}), form{}, ""))
	value, ok := set.Bytes(dataset.StudyInstanceUID)
	assert.True(t, ok)
	assert.Empty(t, value, "a list is not sent")

	set = received(t, newKeys().forStudies(planFor(t, Filter{StudyInstanceUIDs: []string{"1.2", "1.3"}}), form{}, "1.3"))
	assert.Equal(t, []string{"1.3"}, set.Strings(dataset.StudyInstanceUID))
}

func TestIssuerIsAUniversalKey(t *testing.T) {
	set := received(t, newKeys().forStudies(planFor(t, Filter{IssuerOfPatientID: "HOSPITAL"}), form{}, ""))
	for _, key := range []dataset.Tag{dataset.IssuerOfPatientID, dataset.IssuerOfPatientIDQualifiersSequence} {
		value, ok := set.Bytes(key)
		assert.True(t, ok, "%v", key)
		assert.Empty(t, value, "%v", key)
	}
}

func TestPlainerFormsHaveFewerKeysAndValues(t *testing.T) {
	p := planFor(t, Filter{PatientID: "P1", AccessionNumber: "A1", StudyDateFrom: "20240101"})
	required := []dataset.Tag{
		dataset.SpecificCharacterSet, dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.QueryRetrieveLevel,
		dataset.PatientName, dataset.PatientID, dataset.StudyInstanceUID,
	}
	all := tagsOf(newKeys().forStudies(p, form{}, ""))
	for _, test := range []struct {
		form   form
		keys   []dataset.Tag
		values bool
	}{
		{form{}, all, true},
		{form{requiredKeys: true}, required, true},
		{form{patientAlone: true}, all, false},
		{form{requiredKeys: true, patientAlone: true}, required, false},
	} {
		ds := newKeys().forStudies(p, test.form, "")
		set := received(t, ds)
		assert.Equal(t, test.keys, tagsOf(ds), "%+v", test.form)
		assert.Equal(t, "P1", set.String(dataset.PatientID), "%+v", test.form)
		assert.Equal(t, test.values, set.String(dataset.StudyDate) != "", "%+v", test.form)
		assert.Equal(t, test.values, set.String(dataset.AccessionNumber) != "", "%+v", test.form)
	}
}

func TestAccessionNumberLongerThanItsVRIsNotSent(t *testing.T) {
	for number, sent := range map[string]bool{"A234567890123456": true, "A2345678901234567": false} {
		set := received(t, newKeys().forStudies(planFor(t, Filter{AccessionNumber: number}), form{}, ""))
		assert.Equal(t, sent, set.String(dataset.AccessionNumber) != "", number)
	}
}

func TestSeriesQueryNamesTheStudy(t *testing.T) {
	p := planFor(t, Filter{PatientID: "P1"})
	set := received(t, newKeys().forSeries(dicomnet.StudyRoot, p, "1.2.3"))
	assert.Equal(t, "ISO_IR 192", set.String(dataset.SpecificCharacterSet))
	assert.Equal(t, "SERIES", set.String(dataset.QueryRetrieveLevel))
	assert.Equal(t, "1.2.3", set.String(dataset.StudyInstanceUID))
	assert.True(t, set.Has(dataset.Modality))
	assert.True(t, set.Has(dataset.SeriesInstanceUID))
	assert.Equal(t, 5, set.Len())

	set = received(t, newKeys().forSeries(dicomnet.PatientRoot, p, "1.2.3"))
	assert.Equal(t, "P1", set.String(dataset.PatientID))
	assert.Equal(t, 6, set.Len())
}

func TestMoveNamesOnlyTheUniqueKeys(t *testing.T) {
	set := received(t, newKeys().forMove(dicomnet.StudyRoot, &Study{PatientID: "P1", StudyInstanceUID: "1.2.3"}))
	assert.Equal(t, "STUDY", set.String(dataset.QueryRetrieveLevel))
	assert.Equal(t, "1.2.3", set.String(dataset.StudyInstanceUID))
	assert.Equal(t, 2, set.Len())

	set = received(t, newKeys().forMove(dicomnet.PatientRoot, &Study{PatientID: "P1", StudyInstanceUID: "1.2.3"}))
	assert.Equal(t, "P1", set.String(dataset.PatientID))
	assert.Equal(t, 3, set.Len())

	set = received(t, newKeys().forMove(dicomnet.PatientRoot, &Study{PatientID: "Müller-1", StudyInstanceUID: "1.2.3"}))
	assert.Equal(t, "Müller-1", set.String(dataset.PatientID))
	assert.Equal(t, "ISO_IR 192", set.String(dataset.SpecificCharacterSet))
}

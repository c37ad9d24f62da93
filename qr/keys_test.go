package qr

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	ds := newKeys().study(planFor(t, Filter{PatientID: "P1"}))
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
	assert.Equal(t, 14, set.Len())
}

func TestModalitiesInStudyIsAUniversalKey(t *testing.T) {
	set := received(t, newKeys().study(planFor(t, Filter{Modalities: []string{"CT"}})))
	value, ok := set.Bytes(dataset.ModalitiesInStudy)
	assert.True(t, ok)
	assert.Empty(t, value)
}

func TestIdentifierTextIsUTF8(t *testing.T) {
	for _, filter := range []Filter{{PatientID: "Müller-1"}, {PatientID: "P1", AccessionNumber: "Ä1"}} {
		set := received(t, newKeys().study(planFor(t, filter)))
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
			value, ok := received(t, newKeys().study(planFor(t, test.filter))).Bytes(dataset.StudyDate)
			assert.True(t, ok)
			assert.Equal(t, test.want, strings.TrimRight(string(value), " "), "spaces pad the value")
			assert.Zero(t, len(value)%2)
		})
	}
}

func TestOnlyShortUIDListsAreSent(t *testing.T) {
	uids := make([]string, 1000)
	for i := range uids {
		uids[i] = fmt.Sprintf("1.2.%060d", i)
	}
	set := received(t, newKeys().study(planFor(t, Filter{StudyInstanceUIDs: []string{"1.2", "1.3", "1.2"}})))
	assert.Equal(t, []string{"1.2", "1.3"}, set.Strings(dataset.StudyInstanceUID))

	set = received(t, newKeys().study(planFor(t, Filter{StudyInstanceUIDs: uids[:maxListedUIDs]})))
	assert.Equal(t, uids[:maxListedUIDs], set.Strings(dataset.StudyInstanceUID))

	set = received(t, newKeys().study(planFor(t, Filter{StudyInstanceUIDs: uids})))
	value, ok := set.Bytes(dataset.StudyInstanceUID)
	assert.True(t, ok)
	assert.Empty(t, value)
}

func TestSeriesQueryNamesTheStudy(t *testing.T) {
	set := received(t, newKeys().series("1.2.3"))
	assert.Equal(t, "ISO_IR 192", set.String(dataset.SpecificCharacterSet))
	assert.Equal(t, "SERIES", set.String(dataset.QueryRetrieveLevel))
	assert.Equal(t, "1.2.3", set.String(dataset.StudyInstanceUID))
	assert.True(t, set.Has(dataset.Modality))
	assert.True(t, set.Has(dataset.SeriesInstanceUID))
	assert.Equal(t, 5, set.Len())
}

func TestMoveNamesOnlyLevelAndStudy(t *testing.T) {
	set := received(t, newKeys().move("1.2.3"))
	assert.Equal(t, "STUDY", set.String(dataset.QueryRetrieveLevel))
	assert.Equal(t, "1.2.3", set.String(dataset.StudyInstanceUID))
	assert.Equal(t, 2, set.Len())
}

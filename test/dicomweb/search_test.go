package dicomweb

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// required are the attributes that a match of each level has (tables 10.6.3-3 to 10.6.3-5).
var (
	requiredOfStudies = []string{
		"00080020", "00080030", "00080050", "00080090", "00100010", "00100020", "00100030", "00100040", studyUID, "00200010", "00201206", "00201208",
	}
	requiredOfSeries    = []string{"00080060", seriesUID, "00200011", "00201209"}
	requiredOfInstances = []string{"00080016", instanceUID, "00200013"}
)

// search: each of the six resources (table 10.6.1-2) returns matches with the attributes of its level and a Retrieve URL that works.
func search(t *testing.T, s *server) {
	first := s.instances(t, "ACC-1007")[0]
	for resource, required := range map[string][]string{
		"/studies":                               requiredOfStudies,
		"/studies/" + first.study + "/series":    requiredOfSeries,
		"/studies/" + first.study + "/instances": slices.Concat(requiredOfInstances, []string{seriesUID}),
		"/studies/" + first.study + "/series/" + first.series + "/instances": requiredOfInstances,
		"/series?PatientID=1112223333":                                       slices.Concat(requiredOfSeries, []string{studyUID}),
		"/instances?StudyInstanceUID=" + first.study:                         slices.Concat(requiredOfInstances, []string{studyUID, seriesUID}),
	} {
		found := s.get(t, resource).objects(t)
		require.NotEmpty(t, found, resource)
		for _, match := range found {
			for _, name := range required {
				assert.Contains(t, match, name, resource)
			}
			for name, a := range match { // F.2.2
				assert.Regexp(t, "^[0-9A-F]{8}$", name)
				assert.Regexp(t, "^[A-Z]{2}$", a.VR)
			}
		}
		url := found[0].text("00081190")
		require.NotEmpty(t, url, "%s: Retrieve URL", resource)
		assert.Equal(t, http.StatusOK, s.do(t, http.MethodHead, url).status, url)
	}
	none := s.get(t, "/studies?PatientID=NOBODY")
	assert.Equal(t, http.StatusOK, none.status)
	assert.Equal(t, "[]", string(none.body))
}

// parameters: matching (section 8.3.4.1), includefield, limit, offset and fuzzymatching (section 8.3.4).
func parameters(t *testing.T, s *server) {
	all := s.get(t, "/studies").objects(t)
	require.Greater(t, len(all), 5)
	var paged []object
	for offset := 0; ; offset += 3 {
		page := s.get(t, "/studies?limit=3&offset="+strconv.Itoa(offset))
		found := page.objects(t)
		require.LessOrEqual(t, len(found), 3)
		if offset+3 < len(all) {
			assert.NotEmpty(t, page.header.Get("Warning"), "more matches follow")
		}
		if len(found) == 0 {
			break
		}
		paged = append(paged, found...)
	}
	assert.Equal(t, all, paged, "pages are disjoint and complete, in the same order")

	for query, want := range map[string]int{
		"AccessionNumber=ACC-1007": 1, "00080050=ACC-1007": 1, "AccessionNumber=ACC-100*": 7, "AccessionNumber=ACC-100%3F": 7,
		"PatientID=1112223333&StudyDate=20251103": 1, "PatientID=1112223333&StudyDate=20251103-": 1, "PatientName=doe%5Ejohn": 7,
		"StudyInstanceUID=" + all[0].text(studyUID) + "," + all[1].text(studyUID):   2,
		"StudyInstanceUID=" + all[0].text(studyUID) + "%5C" + all[1].text(studyUID): 2,
		"ModalitiesInStudy=XC": 1, "PatientID=": len(all), "fuzzymatching=true&PatientName=john": 7,
	} {
		assert.Len(t, s.get(t, "/studies?"+query).objects(t), want, query)
	}
	for _, field := range []string{"StudyDescription", "00081030", "StudyDescription,00080080", "all"} {
		found := s.get(t, "/studies?AccessionNumber=ACC-1007&includefield="+field).objects(t)
		assert.Equal(t, "CT ABDOMEN", found[0].text("00081030"), field)
	}
	unknown := s.get(t, "/studies?limit=1&unknown=1")
	assert.Equal(t, http.StatusOK, unknown.status, "a parameter that is not supported is ignored (section 8.3)")
	assert.Contains(t, unknown.header.Values("Warning")[0], "299 ")
	for _, query := range []string{"limit=-1", "limit=a", "offset=a", "StudyDate=2024-01-01", "StudyInstanceUID=abc"} {
		assert.Equal(t, http.StatusBadRequest, s.get(t, "/studies?"+query).status, query)
	}
	assert.Equal(t, http.StatusBadRequest, s.get(t, "/studies/abc/series").status)
}

// searchMediaTypes: table 10.6.4-1, and how the media type is selected (section 8.7.8.1).
func searchMediaTypes(t *testing.T, s *server) {
	const path = "/studies?limit=1"
	for accept, want := range map[string]string{
		"": dicomJSON, "*/*": dicomJSON, dicomJSON: dicomJSON, "application/json": "application/json", "application/*": dicomJSON,
		"text/html, */*;q=0.2": dicomJSON, "application/json;q=0.5, application/dicom+json;q=0.4": "application/json",
	} {
		r := s.get(t, path, "Accept", accept)
		assert.Equal(t, http.StatusOK, r.status, accept)
		assert.Equal(t, want, r.mediaType(), accept)
	}
	assert.Equal(t, http.StatusNotAcceptable, s.get(t, path, "Accept", "text/html").status)
	assert.Equal(t, dicomJSON, s.get(t, path+"&accept=application/dicom%2Bjson", "Accept", "text/html").mediaType(), "the parameter goes before the header")
	head := s.do(t, http.MethodHead, path)
	assert.Equal(t, http.StatusOK, head.status)
	assert.Empty(t, head.body)
}

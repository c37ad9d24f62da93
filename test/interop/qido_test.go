//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/gen/goclient"
)

// profiles are what PACS_FILE says of the sources.
var profiles = map[string]string{
	"dcmqrscp": "{relational_queries: false, image_level_find: true, uid_lists: false}",
	"Orthanc":  "{relational_queries: true, image_level_find: true, uid_lists: true, study_keys: [ModalitiesInStudy, NumberOfStudyRelatedInstances]}",
	pixelMed:   "{relational_queries: false, image_level_find: true, uid_lists: false, study_keys: [ModalitiesInStudy]}",
}

// pasteEntries writes a PACS_FILE of the entries that POST /echo with "probe" gives for the sources.
func pasteEntries(t *testing.T, dir string) (path string) {
	t.Helper()
	var text strings.Builder
	text.WriteString("pacs:\n")
	for _, src := range theSite.sources {
		reply, err := theSite.gateway.client.EchoWithResponse(t.Context(), nil, goclient.EchoRequest{PACS: strings.ToLower(src.name), Probe: new(true)})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
		require.NotNil(t, reply.JSON200.PACSEntry)
		text.WriteString(*reply.JSON200.PACSEntry)
	}
	path = filepath.Join(dir, "probed.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o600))
	return path
}

// writePACSFile writes a PACS_FILE that names the sources by their names in lower case.
func writePACSFile(dir string, sources []source) (path string, err error) {
	var text strings.Builder
	text.WriteString("pacs:\n")
	for _, s := range sources {
		fmt.Fprintf(&text, "  %s: {host: 127.0.0.1, port: %d, ae_title: %s, calling_ae_title: GATEWAY, profile: %s}\n",
			strings.ToLower(s.name), s.port, s.aeTitle, profiles[s.name])
	}
	path = filepath.Join(dir, "pacs.yaml")
	return path, os.WriteFile(path, []byte(text.String()), 0o600)
}

// attribute is one of the DICOM JSON Model (PS3.18 section F.2).
type attribute struct {
	VR    string `json:"vr"`
	Value []any
}

// texts returns the values as text.
func (a attribute) texts() []string {
	var list []string
	for _, value := range a.Value {
		switch v := value.(type) {
		case nil:
			list = append(list, "")
		case string:
			list = append(list, v)
		case float64:
			list = append(list, strconv.FormatFloat(v, 'f', -1, 64))
		case map[string]any: // a name
			var groups []string
			for _, group := range []string{"Alphabetic", "Ideographic", "Phonetic"} {
				text, _ := v[group].(string)
				groups = append(groups, text)
			}
			list = append(list, strings.TrimRight(strings.Join(groups, "="), "="))
		}
	}
	return list
}

type answer map[string]attribute

func (a answer) texts(t tag.Tag) []string {
	return a[fmt.Sprintf("%04X%04X", t.Group, t.Element)].texts()
}

// searchPage returns the answer to a search of QIDO-RS, and its Warning headers.
func (g *gateway) searchPage(t *testing.T, s source, resource string) (matches []answer, warnings []string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/dicomweb/"+strings.ToLower(s.name)+resource, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	assert.Equal(t, "application/dicom+json", response.Header.Get("Content-Type"))
	require.NoError(t, json.Unmarshal(body, &matches))
	return matches, response.Header.Values("Warning")
}

// counted are attributes that the gateway finds out by itself if the PACS does not return them.
var counted = []tag.Tag{tag.NumberOfStudyRelatedSeries, tag.NumberOfStudyRelatedInstances, tag.NumberOfSeriesRelatedInstances}

func TestSearchesFindWhatFindscuFinds(t *testing.T) {
	ports, err := freePorts(1)
	require.NoError(t, err)
	probed := runGateway(t, t.TempDir(), ports[0], "PACS_FILE="+pasteEntries(t, t.TempDir()))
	for _, src := range theSite.sources {
		for _, q := range searches() {
			t.Run(src.name+"/"+q.name, func(t *testing.T) {
				want := src.findAll(t, q)
				require.Len(t, want, q.matches, "findscu")
				theSite.gateway.compareSearch(t, src, q, want)
				probed.compareSearch(t, src, q, want)
			})
		}
	}
}

// compareSearch requires that a search finds what findscu found.
func (g *gateway) compareSearch(t *testing.T, s source, q search, want map[string]found) {
	t.Helper()
	matches, warnings := g.searchPage(t, s, q.resource)
	got := map[string]answer{}
	for _, match := range matches {
		uid := match.texts(searchLevels[q.level].unique)
		require.Len(t, uid, 1)
		assert.NotContains(t, got, uid[0], "a match twice")
		got[uid[0]] = match
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)), "%v", warnings)
	for uid := range want {
		compareValues(t, q.level, want[uid], got[uid])
	}
}

// compareValues compares the attributes for which findscu asked.
func compareValues(t *testing.T, level string, want found, got answer) {
	t.Helper()
	for _, name := range searchLevels[level].names {
		info, err := tag.FindByKeyword(name)
		require.NoError(t, err)
		if values := want[info.Tag]; len(values) > 0 || !slices.Contains(counted, info.Tag) {
			assert.Equal(t, values, got.texts(info.Tag), name)
		}
	}
}

func TestPagesOfTwoGatewaysAreTheWholeAnswer(t *testing.T) {
	const limit = 7
	ports, err := freePorts(1)
	require.NoError(t, err)
	gateways := []*gateway{theSite.gateway, runGateway(t, t.TempDir(), ports[0], "PACS_FILE="+theSite.pacsFile)}
	ct := uidOf("ACC-5003")
	for _, src := range theSite.sources {
		for resource, test := range map[string]struct {
			unique  tag.Tag
			matches int
		}{
			"/studies?":                      {tag.StudyInstanceUID, len(loaded())},
			"/studies?PatientID=PAGED&":      {tag.StudyInstanceUID, len(pagedStudies())},
			"/studies?PatientName=PAGE*&":    {tag.StudyInstanceUID, len(pagedStudies())},
			"/studies/" + ct + "/series?":    {tag.SeriesInstanceUID, 1},
			"/studies/" + ct + "/instances?": {tag.SOPInstanceUID, 32},
		} {
			t.Run(src.name+resource, func(t *testing.T) {
				order := func(matches []answer) []string {
					uids := []string{}
					for _, match := range matches {
						uids = append(uids, match.texts(test.unique)...)
					}
					return uids
				}
				whole, _ := gateways[0].searchPage(t, src, resource)
				require.Len(t, whole, test.matches)
				pages := []string{}
				for offset := 0; offset <= len(whole); offset += limit {
					page, _ := gateways[(offset/limit)%2].searchPage(t, src, fmt.Sprintf("%slimit=%d&offset=%d", resource, limit, offset))
					require.LessOrEqual(t, len(page), limit)
					pages = append(pages, order(page)...)
				}
				assert.Equal(t, order(whole), pages)
			})
		}
	}
}

// None of the three matches a key in a sequence; Orthanc alone returns the sequence.
func TestKeysThatThePACSIgnoresAreCheckedHere(t *testing.T) {
	study := uidOf("ACC-5002")
	for _, src := range theSite.sources {
		for value, series := range map[string]int{"RP-5002": 2, "RP-NONE": 0} {
			t.Run(src.name+"/"+value, func(t *testing.T) {
				q := search{level: "SERIES", keys: keys("StudyInstanceUID="+study, "RequestAttributesSequence[0].RequestedProcedureID="+value)}
				assert.Len(t, src.findAll(t, q), 2, "findscu")
				matches, warnings := theSite.gateway.searchPage(t, src, "/studies/"+study+"/series?RequestAttributesSequence.RequestedProcedureID="+value)
				if src.name == "Orthanc" {
					assert.Len(t, matches, series)
					return
				}
				assert.Empty(t, matches)
				assert.Contains(t, strings.Join(warnings, "\n"), "does not return RequestedProcedureID")
			})
		}
	}
}

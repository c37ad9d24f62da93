//go:build interop

package interop

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/demo"
)

const (
	// python is Debian's, which has Debian's packages.
	python         = "/usr/bin/python3"
	dicomwebPlugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
)

// checkClients returns an error that names the packages of the DICOMweb clients that are missing.
func checkClients() error {
	var missing error
	if out, err := exec.Command(python, "-c", "import odil, pydicom").CombinedOutput(); err != nil {
		missing = fmt.Errorf("the interoperability tests need the Debian packages python3-odil and python3-pydicom: %w\n%s", err, out)
	}
	_, err := os.Stat(dicomwebPlugin)
	if err != nil {
		err = fmt.Errorf("the interoperability tests need the Debian package orthanc-dicomweb: %w", err)
	}
	return errors.Join(missing, err)
}

// clientSearch is a search for testdata/searches.py.
type clientSearch struct {
	Selector map[string]string `json:"selector"`
	Keys     map[string]string `json:"keys"`
	Include  []string          `json:"include"`
	Limit    int               `json:"limit"`
	Offset   int               `json:"offset"`
	want     []map[string][]string
}

// clientSearches returns searches with the answers that the loaded studies give, in the order that the contract promises.
func clientSearches() []clientSearch {
	studies := clientSearch{
		Selector: map[string]string{"studies": ""}, Keys: map[string]string{"PatientID": demo.PatientID}, Limit: -1,
		Include: []string{"StudyDate", "StudyInstanceUID", "AccessionNumber", "PatientName", "StudyDescription"},
	}
	names := clientSearch{
		Selector: map[string]string{"studies": ""}, Keys: map[string]string{"AccessionNumber": "ACC-4001"}, Limit: -1,
		Include: []string{"PatientName", "ReferringPhysicianName"},
	}
	for _, s := range loaded() {
		switch {
		case s.PatientID == demo.PatientID:
			studies.want = append(studies.want, map[string][]string{
				"PatientID": {s.PatientID}, "StudyDate": {s.StudyDate}, "StudyInstanceUID": {s.UID()}, "AccessionNumber": {s.AccessionNumber},
				"PatientName": {s.PatientName}, "StudyDescription": {s.StudyDescription},
			})
		case s.AccessionNumber == "ACC-4001":
			names.want = append(names.want, map[string][]string{
				"AccessionNumber": {s.AccessionNumber}, "PatientName": {s.PatientName}, "ReferringPhysicianName": {s.ReferringPhysicianName},
			})
		}
	}
	slices.SortFunc(studies.want, func(a, b map[string][]string) int { return cmp.Compare(b["StudyDate"][0], a["StudyDate"][0]) })

	ct := uidOf("ACC-5003")
	series := clientSearch{
		Selector: map[string]string{"studies": ct, "series": ""}, Keys: map[string]string{"Modality": "CT"}, Limit: -1,
		Include: []string{"SeriesInstanceUID", "SeriesNumber"},
		want:    []map[string][]string{{"Modality": {"CT"}, "SeriesInstanceUID": {seriesOf("ACC-5003", 1)}, "SeriesNumber": {"1"}}},
	}
	instances := clientSearch{
		Selector: map[string]string{"studies": ct, "series": seriesOf("ACC-5003", 1), "instances": ""}, Keys: map[string]string{},
		Include: []string{"SOPInstanceUID", "InstanceNumber"}, Limit: 3, Offset: 10,
	}
	for n := 11; n <= 13; n++ {
		instances.want = append(instances.want, map[string][]string{
			"SOPInstanceUID": {instanceOf("ACC-5003", 1, n)}, "InstanceNumber": {strconv.Itoa(n)},
		})
	}
	return []clientSearch{studies, names, series, instances}
}

func (g *gateway) dicomweb(s source) string { return g.URL + "/dicomweb/" + strings.ToLower(s.name) }

func TestOdilAndPydicomReadWhatTheySearchFor(t *testing.T) {
	searches := clientSearches()
	text, err := json.Marshal(searches)
	require.NoError(t, err)
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			out, err := run(python, "testdata/searches.py", theSite.gateway.dicomweb(src), string(text))
			require.NoError(t, err)
			var answers []map[string][]map[string][]string
			require.NoError(t, json.Unmarshal([]byte(out), &answers))
			for i, q := range searches {
				assert.Equal(t, map[string][]map[string][]string{"odil": q.want, "pydicom": q.want}, answers[i], "%v", q.Selector)
			}
		})
	}
}

// Orthanc's DICOMweb plugin is a client too.
func TestOrthancSearchesByDICOMweb(t *testing.T) {
	ports, err := freePorts(2)
	require.NoError(t, err)
	servers := map[string]any{}
	for _, src := range theSite.sources {
		servers[src.name] = map[string]any{"Url": theSite.gateway.dicomweb(src), "HasDelete": false}
	}
	client := orthanc{source{"Orthanc", "CLIENT", ports[0]}, ports[1]}
	p, err := startOrthanc(t.TempDir(), client, nil, map[string]any{
		"Plugins": []string{dicomwebPlugin}, "DicomWeb": map[string]any{"Enable": true, "Root": "/dicom-web/", "Servers": servers},
	})
	started(t, p, err)
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			// search returns an attribute of the matches.
			search := func(attribute, uri string, arguments map[string]string) []string {
				var matches []map[string]struct{ Value any }
				require.NoError(t, client.call(http.MethodPost, "/dicom-web/servers/"+src.name+"/qido",
					map[string]any{"Uri": uri, "Arguments": arguments}, &matches))
				values := []string{}
				for _, match := range matches {
					values = append(values, fmt.Sprint(match[attribute].Value))
				}
				return values
			}
			const accession, description, instance = "00080050", "0008103e", "00080018"
			assert.Equal(t, []string{"ACC-1007", "ACC-1006", "ACC-2001", "ACC-1005", "ACC-1004", "ACC-1003", "ACC-1002", "ACC-1001"},
				search(accession, "studies", map[string]string{"PatientName": "DOE*"}))
			assert.Equal(t, []string{"ACC-1006", "ACC-1001"},
				search(accession, "studies", map[string]string{"00100020": demo.PatientID, "00080061": "MR", "limit": "5"}))
			assert.Empty(t, search(accession, "studies", map[string]string{"StudyDate": "19000101"}))
			assert.Len(t, search(description, "studies/"+uidOf("ACC-1007")+"/series", map[string]string{}), 2)
			assert.Equal(t, []string{instanceOf("ACC-5003", 1, 31), instanceOf("ACC-5003", 1, 32)}, search(instance,
				"studies/"+uidOf("ACC-5003")+"/series/"+seriesOf("ACC-5003", 1)+"/instances", map[string]string{"offset": "30"}))
		})
	}
}

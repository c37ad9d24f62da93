//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/test/studies"
)

const (
	ownPACS    = "A PACS of yours in place of ORTHANCA"
	withDocker = "With Docker"
)

// The commands of samples/pacs/README.md are run as they stand, but for ports that
// are free here, and answer what it shows.
func TestTheREADMEOfTheHarnessIsTrue(t *testing.T) {
	blocks := harnessREADME(t)
	require.Equal(t, "samples/pacs/start\n", blocks[0].command)
	h := startHarness(t, blocks[0].command)
	ran := 0
	for _, b := range blocks[1:] {
		if b.section == withDocker {
			require.Contains(t, b.command, "docker compose ")
			continue
		}
		if b.section == ownPACS {
			continue // see below
		}
		ran++
		t.Run(fmt.Sprint(b.section, "/", ran), func(t *testing.T) {
			out := h.shell(t, b.command)
			require.NotEmpty(t, b.answer, "README.md shows no answer")
			want := h.here.Replace(b.answer)
			if b.kind == "json" {
				var compact bytes.Buffer
				require.NoError(t, json.Compact(&compact, []byte(want)))
				want = compact.String()
			}
			require.Equal(t, steady(strings.TrimSpace(want)), steady(strings.TrimSpace(out)))
		})
	}
	assert.Equal(t, 9, ran, "the commands that README.md shows")
	t.Run("every character set", func(t *testing.T) { requireTextOf(t, h) })
	h.interrupt(t)
}

// steady puts in place of what differs from answer to answer.
func steady(answer string) string {
	answer = regexp.MustCompile(`"duration_ms":[0-9.]+`).ReplaceAllString(answer, `"duration_ms":0`)
	return regexp.MustCompile(`"correlation_id":"[^"]*"`).ReplaceAllString(answer, `"correlation_id":""`)
}

// Patients whose files have several sets of characters that Orthanc 1.10 does not
// read together: its answers are wrong before they leave it.
var beyondOrthanc = []string{"KANJI13", "LATIN1GREEK"}

// requireTextOf wants the gateway to say of each synthetic study what Orthanc says
// itself, which is what the study has in it.
func requireTextOf(t *testing.T, h *harness) {
	a := orthanc{source{"Orthanc", "ORTHANCA", h.aDICOM}, h.aHTTP}
	api := h.api(t)
	for _, study := range studies.All(time.Now()) {
		got := studyOf(t, api, a.source, study)
		var own []struct {
			PatientMainDicomTags struct{ PatientName string }
			MainDicomTags        struct{ StudyDescription string }
		}
		require.NoError(t, a.call(http.MethodPost, "/tools/find", map[string]any{
			"Level": "Study", "Expand": true, "Query": map[string]string{"StudyInstanceUID": study.UID()},
		}, &own))
		require.Len(t, own, 1)
		assert.Equal(t, own[0].PatientMainDicomTags.PatientName, got.PatientName)
		assert.Equal(t, own[0].MainDicomTags.StudyDescription, got.StudyDescription)
		if slices.Contains(beyondOrthanc, study.PatientID) {
			assert.NotEqual(t, study.PatientName, got.PatientName, "README.md says that Orthanc does not read it")
			continue
		}
		requireText(t, study, got)
		assert.Equal(t, study.PerformingPhysicianName, got.PerformingPhysicianName)
		assert.Equal(t, study.InstitutionName, got.InstitutionName)
		assert.ElementsMatch(t, study.Modalities(), got.ModalitiesInStudy)
	}
}

func studyOf(t *testing.T, api *goclient.ClientWithResponses, src source, study dicomtest.Study) goclient.Study {
	t.Helper()
	r := src.query(study.PatientID, filter{})
	r.CFindAETitle = "GATEWAY"
	r.AccessionNumber = &study.AccessionNumber
	reply, err := api.QueryWithResponse(t.Context(), nil, r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode(), "%s: %s", study.PatientID, reply.Body)
	require.Len(t, reply.JSON200.StudyDetails, 1, study.PatientID)
	assert.Empty(t, reply.JSON200.Warnings, study.PatientID)
	return reply.JSON200.StudyDetails[0]
}

func requireText(t *testing.T, study dicomtest.Study, got goclient.Study) {
	t.Helper()
	assert.Equal(t, study.PatientID, got.PatientID)
	assert.Equal(t, study.PatientName, got.PatientName)
	assert.Equal(t, study.PatientBirthDate, got.DateOfBirth)
	assert.Equal(t, study.UID(), got.StudyInstanceUID)
	assert.Equal(t, study.StudyDescription, got.StudyDescription)
	assert.Equal(t, study.StudyDate, got.StudyDate)
	assert.Equal(t, study.StudyTime, got.StudyTime)
	assert.Equal(t, study.ReferringPhysicianName, got.ReferringPhysicianName)
}

// The PACS of one's own is a dcmqrscp, which has all synthetic studies, and sends
// the text as the files have it.
func TestAPACSOfOnesOwnTakesThePlaceOfORTHANCA(t *testing.T) {
	dir := t.TempDir()
	files, err := run("go", "run", "../studies/generate", "-out", filepath.Join(dir, "studies"))
	require.NoError(t, err)
	require.Contains(t, files, "written to")
	var commands []string
	for _, b := range harnessREADME(t) {
		if b.section == ownPACS {
			commands = append(commands, b.command)
		}
	}
	require.Len(t, commands, 3, "start, /echo, /qr")

	ports, err := freePorts(1)
	require.NoError(t, err)
	own := source{"dcmqrscp", "QRSCP", ports[0]}
	h := startHarness(t, commands[0], "MYPACS", own.aeTitle, "192.0.2.10", "127.0.0.1",
		"PACS_PORT=104", fmt.Sprint("PACS_PORT=", own.port), `"pacs_port": 104`, fmt.Sprint(`"pacs_port": `, own.port))
	require.NotContains(t, h.String(), "ORTHANCA")
	// It knows where ORTHANCB is, which is the second of the three things.
	pacs, err := startQRSCP(dir, own, map[string]int{"ORTHANCB": h.bDICOM})
	require.NoError(t, err)
	t.Cleanup(pacs.Stop)
	paths, err := filepath.Glob(filepath.Join(dir, "studies", "*.dcm"))
	require.NoError(t, err)
	require.NoError(t, own.load(paths))

	assert.Contains(t, h.shell(t, commands[1]), `"operation":"C-ECHO","status":"ok"`)
	assert.Contains(t, h.shell(t, commands[2]), `"message":"All 7 studies were moved."`)
	b := orthanc{source{"Orthanc", "ORTHANCB", h.bDICOM}, h.bHTTP}
	want, api := map[string][]string{}, h.api(t)
	for _, study := range studies.All(time.Now()) {
		if study.PatientID == dicomtest.DemoPatientID {
			for _, in := range study.Instances() {
				want[study.UID()] = append(want[study.UID()], in.Text(tag.SOPInstanceUID))
			}
		}
		requireText(t, study, studyOf(t, api, own, study))
	}
	got := b.received(t)
	require.Len(t, got, len(want))
	for uid := range want {
		assert.ElementsMatch(t, want[uid], got[uid])
	}
	h.interrupt(t)
}

// Files that dciodvfy does not read, because it does not know their character set.
var beyondDciodvfy = []string{"ISO_IR 13", "GBK"}

func TestSyntheticFilesAreValid(t *testing.T) {
	dir := t.TempDir()
	for _, study := range studies.All(time.Now()) {
		paths, err := dicomtest.WriteDir(dir, study.Instances())
		require.NoError(t, err)
		for _, path := range paths {
			_, err := run("dcmftest", path)
			require.NoError(t, err)
			_, err = run("dcmdump", "-q", path)
			require.NoError(t, err)
			out, _ := run("dciodvfy", path) // its exit status says nothing
			require.NotContains(t, out, "not found")
			for line := range strings.Lines(out) {
				known := slices.ContainsFunc(study.CharacterSet, func(s string) bool { return slices.Contains(beyondDciodvfy, s) }) &&
					(strings.Contains(line, "Character invalid for character repertoire") || strings.Contains(line, "contains invalid data values"))
				assert.False(t, strings.HasPrefix(line, "Error") && !known, "%s: %s", study.PatientID, line)
			}
		}
	}
}

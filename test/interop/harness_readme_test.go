//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/test/documents"
	"dicom-qr-gateway/test/studies"
)

const (
	ownPACS    = "Use your own PACS"
	withDocker = "With Docker"
)

// TestHarnessREADMECommandsGiveTheAnswersShown runs the commands of samples/pacs/README.md, with free ports, and compares
// the answers.
func TestHarnessREADMECommandsGiveTheAnswersShown(t *testing.T) {
	examples := harnessExamples(t)
	require.Equal(t, "samples/pacs/start\n", examples[0].Command)
	h := startHarness(t, examples[0].Command)
	ran := 0
	for _, example := range examples[1:] {
		switch example.Section {
		case withDocker:
			require.Contains(t, example.Command, "docker compose ")
			continue
		case ownPACS:
			continue // TestOwnPACSReplacesORTHANCA runs it
		}
		ran++
		t.Run(fmt.Sprint(example.Section, "/", ran), func(t *testing.T) {
			out := h.shell(t, example.Command)
			require.NotEmpty(t, example.Answer, "README.md shows no answer")
			want := h.here.Replace(example.Answer)
			if example.Kind == "json" {
				var compact bytes.Buffer
				require.NoError(t, json.Compact(&compact, []byte(want)))
				want = compact.String()
			}
			require.Equal(t, documents.Steady(strings.TrimSpace(want)), documents.Steady(strings.TrimSpace(out)))
		})
	}
	assert.Equal(t, 10, ran, "the commands that README.md shows")
	t.Run("every character set", func(t *testing.T) { requireTextOfOrthanc(t, h) })
	h.interrupt(t)
}

// beyondOrthanc are patients whose files use several character sets that Orthanc 1.10 cannot read together: its answers are
// wrong.
var beyondOrthanc = []string{"KANJI13", "LATIN1GREEK"}

// requireTextOfOrthanc requires that the gateway returns for each synthetic study the text that Orthanc itself returns, which
// is the text of the study.
func requireTextOfOrthanc(t *testing.T, h *harness) {
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
			assert.NotEqual(t, study.PatientName, got.PatientName, "README.md says that Orthanc cannot read it")
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

// TestOwnPACSReplacesORTHANCA follows samples/pacs/README.md for a PACS of one's own: a dcmqrscp with all synthetic studies,
// which sends the text as it is in the files.
func TestOwnPACSReplacesORTHANCA(t *testing.T) {
	dir := t.TempDir()
	files, err := run("go", "run", "../studies/generate", "-out", filepath.Join(dir, "studies"))
	require.NoError(t, err)
	require.Contains(t, files, "written to")
	var commands []string
	for _, example := range harnessExamples(t) {
		if example.Section == ownPACS {
			commands = append(commands, example.Command)
		}
	}
	require.Len(t, commands, 3, "start, /echo, /qr")

	ports, err := freePorts(1)
	require.NoError(t, err)
	own := source{"dcmqrscp", "QRSCP", ports[0]}
	h := startHarness(t, commands[0], "MYPACS", own.aeTitle, "192.0.2.10", "127.0.0.1",
		"PACS_PORT=104", fmt.Sprint("PACS_PORT=", own.port), `"pacs_port": 104`, fmt.Sprint(`"pacs_port": `, own.port))
	require.NotContains(t, h.String(), "ORTHANCA")
	// It has ORTHANCB as a destination: the second of the three things that README.md asks for.
	pacs, err := startQRSCP(dir, own, map[string]int{"ORTHANCB": h.bDICOM})
	require.NoError(t, err)
	t.Cleanup(pacs.Stop)
	var paths []string
	for _, study := range native(studies.All(time.Now())) {
		for _, in := range study.Instances() {
			paths = append(paths, filepath.Join(dir, "studies", in.Text(tag.SOPInstanceUID)+".dcm"))
		}
	}
	require.NoError(t, own.load(paths))

	assert.Contains(t, h.shell(t, commands[1]), `"operation":"C-ECHO","status":"ok"`)
	assert.Contains(t, h.shell(t, commands[2]), `"message":"All 7 studies were moved."`)
	b := orthanc{source{"Orthanc", "ORTHANCB", h.bDICOM}, h.bHTTP}
	want, api := map[string][]string{}, h.api(t)
	for _, study := range native(studies.All(time.Now())) {
		if study.PatientID == demo.PatientID {
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

// beyondDciodvfy are character sets that dciodvfy does not support.
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

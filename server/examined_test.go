package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// examinationOf returns a report of C-ECHO that passed, with the results of an examination.
func examinationOf(retrieval *qr.RetrievalCheck, profile *qr.Profile) *qr.EchoReport {
	return &qr.EchoReport{
		Steps: []qr.EchoStep{{Step: dicomnet.StepEcho, Status: qr.EchoOK}}, Local: "192.0.2.20", Retrieval: retrieval, Profile: profile,
	}
}

// examine sends a request to /echo of a gateway that finds the report.
func examine(t *testing.T, report *qr.EchoReport, file, body string, settings ...string) (api.EchoResponse, string) {
	t.Helper()
	r := start(t, &fakeGateway{examine: func(context.Context, qr.Call, qr.Peer, bool) *qr.EchoReport { return report }},
		append(settings, "PACS_FILE", pacsFile(t, file))...)
	status, _, text := r.post(t, "/echo", body)
	require.Equal(t, http.StatusOK, status, text)
	var answer api.EchoResponse
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	return answer, text
}

func TestEchoOfANamedPACSSaysWhetherInstancesCanBeRetrieved(t *testing.T) {
	accepted := []dicomnet.NegotiatedContext{
		{AbstractSyntax: "1.2.840.10008.5.1.4.1.1.2", SCP: true}, {AbstractSyntax: "1.2.840.10008.5.1.4.1.1.4", Result: 3},
	}
	const (
		off, on       = false, true
		refuses, move = false, true
	)
	entry := "pacs:\n  main: {host: h, port: 1, ae_title: A, calling_ae_title: B, retrieve: RETRIEVE}\n"
	for name, test := range map[string]struct {
		check     qr.RetrievalCheck
		retrieve  string
		scp, move bool // the gateway has a storage SCP, the PACS accepts C-MOVE
		hint      string
	}{
		"by C-GET":         {qr.RetrievalCheck{Method: pool.RetrieveGet, Storage: accepted}, "auto", off, move, ""},
		"by C-MOVE":        {qr.RetrievalCheck{Method: pool.RetrieveMove, Get: 3, Storage: accepted}, "auto", on, move, ""},
		"by entry":         {qr.RetrievalCheck{Method: pool.RetrieveMove, Storage: accepted}, "move", on, move, ""},
		"entry, refused":   {qr.RetrievalCheck{Method: pool.RetrieveMove, Storage: accepted}, "move", on, refuses, "retrieve: move. The PACS does not accept C-MOVE for this calling AE title."},
		"no association":   {qr.RetrievalCheck{Method: pool.RetrieveMove, Err: dicomnet.ErrConnectionLost}, "auto", off, move, "did not accept an association"},
		"no C-GET":         {qr.RetrievalCheck{Method: pool.RetrieveMove, Get: 3, Storage: accepted}, "auto", off, move, "does not accept C-GET for this calling AE title. Permit it at the PACS, if the PACS has C-GET. The gateway has no storage SCP"},
		"no C-GET, C-MOVE": {qr.RetrievalCheck{Method: pool.RetrieveMove, Get: 3, Storage: accepted}, "auto", on, refuses, "does not accept C-MOVE for this calling AE title either"},
		"no role":          {qr.RetrievalCheck{Method: pool.RetrieveGet, Storage: accepted[1:]}, "get", on, move, "role of SCP for no storage SOP class that was proposed. The entry of this PACS says retrieve: get."},
	} {
		t.Run(name, func(t *testing.T) {
			report := examinationOf(&test.check, nil)
			if test.move {
				report.Steps = append(report.Steps, qr.EchoStep{Step: dicomnet.StepAssociate, Status: qr.EchoOK, Contexts: []qr.EchoContext{{Service: "C-MOVE"}}})
			}
			var settings []string
			state := api.StoreSCPNotConfigured
			if test.scp {
				settings, state = []string{"STORE_LISTEN_ADDR", ":11112", "STORE_AE_TITLES", "GATEWAY"}, api.StoreSCPRunning
			}
			answer, _ := examine(t, report, strings.Replace(entry, "RETRIEVE", test.retrieve, 1), `{"pacs":"main"}`, settings...)
			require.NotNil(t, answer.Retrieval)
			assert.Equal(t, test.hint == "", answer.Retrieval.Ready)
			assert.Equal(t, string(test.check.Method), string(answer.Retrieval.Method))
			assert.Equal(t, state, answer.Retrieval.StoreScp)
			assert.Len(t, answer.Retrieval.Storage, len(test.check.Storage))
			if test.hint == "" {
				assert.Nil(t, answer.Retrieval.Hint)
			} else {
				require.NotNil(t, answer.Retrieval.Hint)
				assert.Contains(t, *answer.Retrieval.Hint, test.hint)
			}
			assert.Nil(t, answer.Profile)
			assert.Nil(t, answer.PACSEntry)
		})
	}
}

func TestAProbeSaysWhichMoveDestinationsToAddAtThePACS(t *testing.T) {
	report := examinationOf(&qr.RetrievalCheck{Method: pool.RetrieveMove}, &qr.Profile{Known: true})
	const file = "pacs:\n  main: {host: h, port: 1, ae_title: A, calling_ae_title: B, move_destinations: [GATEWAY, GATEWAY3]}\n" +
		"  other: {host: h, port: 1, ae_title: A, calling_ae_title: B}\n"
	for name, titles := range map[string][]string{"main": {"GATEWAY", "GATEWAY3"}, "other": {"GATEWAY", "GATEWAY2", "GATEWAY3"}} {
		answer, _ := examine(t, report, file, `{"pacs":"`+name+`","probe":true}`,
			"STORE_LISTEN_ADDR", ":11112", "STORE_AE_TITLES", "GATEWAY,GATEWAY2,GATEWAY3")
		want := []string{"Permit the AE title B at the host 192.0.2.20 to send C-ECHO, C-FIND, C-MOVE and C-GET."}
		for _, title := range titles {
			want = append(want, "Add the move destination "+title+" with the host 192.0.2.20 and the port 11112.")
		}
		assert.Equal(t, append(want, "Add each further move destination with its AE title, host and port."), answer.AtThePACS)
	}
}

func TestEntryOfAProbedPACSCanBePastedIntoThePACSFile(t *testing.T) {
	profile := &qr.Profile{
		Known: true, RelationalQueries: true, ImageLevelFind: true, UIDLists: true, StudyKeys: []dataset.Tag{dataset.ModalitiesInStudy},
	}
	report := examinationOf(&qr.RetrievalCheck{Method: pool.RetrieveMove}, profile)
	full := twoPACS + "    timeouts: {dimse: 33} # slow\n"
	full = strings.Replace(full, "  other: {host", "  other2: {host", 1)
	full = strings.Replace(full, "    tls: true\n", "    tls: true\n    timeouts: {dimse: 33} # slow\n    profile: {uid_lists: true}\n", 1)
	full = strings.TrimSuffix(full, "    timeouts: {dimse: 33} # slow\n")
	for name, body := range map[string]string{"named": `{"pacs":"main","probe":true}`, "address": strings.Replace(queryBody, `{`, `{"probe":true,"pacs_tls":true,`, 1)} {
		t.Run(name, func(t *testing.T) {
			answer, text := examine(t, report, full, body)
			require.NotNil(t, answer.Profile)
			assert.Equal(t, api.EchoProfile{
				RelationalQueries: true, ImageLevelFind: true, UIDLists: true, StudyKeys: []string{"ModalitiesInStudy"},
			}, *answer.Profile)
			assert.Equal(t, name == "named", answer.Retrieval != nil)
			require.NotNil(t, answer.PACSEntry, text)
			require.Len(t, answer.AtThePACS, 2)
			assert.Equal(t, "Permit the AE title GATEWAY at the host 192.0.2.20 to send C-ECHO, C-FIND, C-MOVE and C-GET.", answer.AtThePACS[0])

			c, err := config.Load(environment("PACS_FILE", pacsFile(t, "pacs:\n"+*answer.PACSEntry)))
			require.NoError(t, err, *answer.PACSEntry)
			list := c.PACS().List()
			require.Len(t, list, 1)
			assert.Equal(t, qr.Profile{Known: true, ImageLevelFind: true}, list[0].Profile(), "what was only accepted is not certain")
			for _, accepted := range []string{"# relational_queries: true", "# uid_lists: true", "# study_keys: [ModalitiesInStudy]"} {
				assert.Contains(t, *answer.PACSEntry, accepted)
			}
			assert.True(t, list[0].TLS)
			if name == "named" {
				assert.Equal(t, "pacs.example:11112", list[0].Address())
				assert.Equal(t, "Radiology archive", list[0].Settings.Description)
				assert.Equal(t, "33s", list[0].Settings.Timeouts.DIMSE.String())
				assert.Contains(t, *answer.PACSEntry, "# slow")
			} else {
				assert.Equal(t, "pacs", list[0].Name)
				assert.Equal(t, "127.0.0.1:104", list[0].Address())
			}
		})
	}
}

func TestAFaultWhileProbingIsAFailure(t *testing.T) {
	pacs := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) { a.Finish(dicomnet.StatusOutOfResources) }}
	gateway := qrtest.For(pacs, qrtest.Options{})
	r := start(t, realGateway{Gateway: gateway.Gateway, Pool: gateway.Pool})
	status, _, text := r.post(t, "/echo", strings.Replace(queryBody, `{`, `{"probe":true,`, 1))
	assert.Equal(t, http.StatusBadGateway, status)
	p := problemIn(t, text)
	assert.Equal(t, "find_failed", string(p.Code))
	assert.Equal(t, "A700", *p.DICOM.Status)
	assert.Len(t, p.Steps, 5)
	require.NoError(t, gateway.Wait(t.Context()))
}

func TestNamesComeFromAETitles(t *testing.T) {
	for title, want := range map[string]string{"PACS": "pacs", "ORTHANC_A1": "orthanc-a1", "  ": "pacs", "-.-": "pacs", "_X_": "x"} {
		assert.Equal(t, want, nameFor(title))
	}
}

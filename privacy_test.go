package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/test/rig"
)

// The values of a patient, none of which is part of anything else.
var secrets = map[tag.Tag]string{
	tag.PatientID: "XPIDX", tag.PatientName: "XSURNAMEX^XGIVENX", tag.StudyInstanceUID: "1.2.840.99999.777", tag.PatientBirthDate: "19540321",
	tag.StudyDescription: "XDESCRIPTIONX", tag.AccessionNumber: "XACCESSIONX", tag.ReferringPhysicianName: "XREFERRERX",
	tag.StudyDate: "20210917", tag.StudyTime: "173951",
}

// secretivePACS returns a PACS that has one study of the patient, and names the patient in its Error Comment too. C-FIND with a
// calling AE title BAD and each C-MOVE fail.
func secretivePACS() *dicomtest.ScriptedPACS {
	fail := func(a *dicomtest.ScriptedAssociation) {
		m := dicomtest.Response(a.Request, 0xC001, nil)
		m.Command.Detail.ErrorComment = secrets[tag.PatientName]
		a.SendMessage(m)
	}
	return &dicomtest.ScriptedPACS{
		AllowLateCancel: true,
		Find: func(a *dicomtest.ScriptedAssociation, _ string) {
			if a.RQ.CallingAETitle == "BAD" {
				fail(a)
				return
			}
			a.Match(dicomtest.Attributes(secrets))
			a.Finish(dicomnet.StatusSuccess)
		},
		Move: func(a *dicomtest.ScriptedAssociation, _ string) { fail(a) },
	}
}

func TestPatientDataIsInAnswersAndTheAuditLogOnly(t *testing.T) {
	address, stop, err := secretivePACS().Listen()
	require.NoError(t, err)
	defer stop()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	var mu sync.Mutex
	elsewhere := map[string]string{} // by what it is
	keep := func(what, text string) {
		mu.Lock()
		defer mu.Unlock()
		elsewhere[what] += text
	}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		keep("traces", string(body))
	}))
	defer collector.Close()
	audit := filepath.Join(t.TempDir(), "audit")
	gateway := startGateway(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "AUDIT_LOG": audit})

	answers := ""
	ask := func(path, calling, more string, header ...string) {
		body := `{"pacs_ip":"127.0.0.1","pacs_port":` + port + `,"pacs_ae_title":"PACS","c_find_ae_title":"` + calling +
			`","patient_id":"` + secrets[tag.PatientID] + `"` + more + `}`
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateway.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		if response.Header.Get("Content-Type") == "application/problem+json" {
			assert.True(t, json.Valid(content))
			keep("problems", string(content))
			return
		}
		answers += string(content)
	}
	ask("/q", "GATEWAY", "")
	ask("/q", "BAD", "")
	ask("/q", "GATEWAY", `,"unknown":"`+secrets[tag.PatientName]+`"`)
	ask("/q", "GATEWAY", `,"accession_number":"`+strings.Repeat(secrets[tag.AccessionNumber], 10)+`"`)
	ask("/q", "GATEWAY", `,"accession_number":"none"`)
	ask("/qr", "GATEWAY", `,"c_move_ae_title":"DEST"`)
	ask("/qr", "GATEWAY", `,"c_move_ae_title":"DEST"`, "Accept", "text/event-stream")
	ask("/echo", "GATEWAY", "")
	for _, secret := range secrets {
		assert.Contains(t, answers, secret, "the test would not find it")
	}

	metrics, err := http.Get(gateway.URL + "/metrics")
	require.NoError(t, err)
	content, err := io.ReadAll(metrics.Body)
	require.NoError(t, err)
	require.NoError(t, metrics.Body.Close())
	keep("metrics", string(content))
	gateway.Stop(t)
	assert.Len(t, gateway.Lines(rig.Message("request")), 9)
	keep("log", gateway.String())
	for what, text := range elsewhere {
		for _, secret := range secrets {
			for part := range strings.SplitSeq(secret, "^") {
				assert.NotContains(t, text, part, what)
			}
		}
	}
	assert.Len(t, elsewhere, 4)
	records, err := os.ReadFile(audit)
	require.NoError(t, err)
	assert.Contains(t, string(records), secrets[tag.StudyInstanceUID])
}

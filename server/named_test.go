package server

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/qr"
)

const twoPACS = `pacs:
  main:
    description: Radiology archive
    host: pacs.example
    port: 11112
    ae_title: PACS
    calling_ae_title: GATEWAY
    tls: true
  other: {host: 192.0.2.7, port: 104, ae_title: OTHER, calling_ae_title: GATEWAY2}
`

func pacsFile(t *testing.T, contents string) string {
	t.Helper()
	return writeFile(t, filepath.Join(t.TempDir(), "pacs.yaml"), contents)
}

// asking returns a gateway that finds one study, and where it was asked.
func asking() (gateway *fakeGateway, asked func() []qr.Peer) {
	var peers []qr.Peer
	gateway = &fakeGateway{
		query: func(_ context.Context, _ qr.Call, p qr.Peer, _ qr.Filter) (*qr.QueryResult, error) {
			peers = append(peers, p)
			return &qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil
		},
		retrieve: func(_ context.Context, _ qr.Call, p qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
			peers = append(peers, p)
			return &qr.RetrieveResult{}, nil
		},
		echo: func(_ context.Context, _ qr.Call, p qr.Peer) *qr.EchoReport {
			peers = append(peers, p)
			return &qr.EchoReport{Steps: []qr.EchoStep{{Step: dicomnet.StepEcho, Status: qr.EchoOK}}}
		},
	}
	return gateway, func() []qr.Peer {
		all := peers
		peers = nil
		return all
	}
}

func TestRequestsNameAPACS(t *testing.T) {
	gateway, asked := asking()
	r := start(t, gateway, "PACS_FILE", pacsFile(t, twoPACS))
	for _, call := range []struct{ path, body string }{
		{"/q", `{"pacs":"main","patient_id":"1"}`},
		{"/qr", `{"pacs":"main","patient_id":"1","c_move_ae_title":"DEST"}`},
		{"/echo", `{"pacs":"main"}`},
	} {
		status, _, answer := r.post(t, call.path, call.body)
		assert.Contains(t, []int{http.StatusOK, http.StatusNotFound}, status, answer)
		peers := asked()
		require.Len(t, peers, 1)
		p := peers[0]
		assert.Equal(t, []any{"main", "pacs.example", 11112, "PACS", "GATEWAY", true}, []any{p.Name, p.Host, p.Port, p.CalledAETitle, p.CallingAETitle, p.TLS})
		assert.NotNil(t, p.Settings)

		status, _, answer = r.post(t, call.path, strings.Replace(call.body, "main", "nowhere", 1))
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Equal(t, goclient.ProblemCodePACSUnknown, problemIn(t, answer).Code)
		assert.Empty(t, asked())
	}
	line := waitForLine(t, r, "request")
	assert.Equal(t, "main", line["pacs"])
	assert.Equal(t, "pacs.example:11112", line["peer"])
	assert.NotContains(t, r.logs.String(), "nowhere", "the name came from the caller")
}

func TestRequestsWithAnAddressCanBeForbidden(t *testing.T) {
	gateway, asked := asking()
	r, of := startAudited(t, gateway, "PACS_FILE", pacsFile(t, twoPACS), "AD_HOC_PACS", "false")
	for path, body := range map[string]string{"/q": queryBody, "/qr": retrieveBody, "/echo": queryBody} {
		before := len(of(t))
		status, _, answer := r.post(t, path, body)
		assert.Equal(t, http.StatusForbidden, status)
		assert.Equal(t, goclient.ProblemCodePACSNotAllowed, problemIn(t, answer).Code)
		all := of(t)
		require.Len(t, all, before+1)
		assert.Equal(t, []string{"127.0.0.1:104"}, all[before].objectIDs("110182"))
	}
	assert.Empty(t, asked())
	status, _, _ := r.post(t, "/q", `{"pacs":"main","patient_id":"1"}`)
	assert.Equal(t, http.StatusOK, status)
	all := of(t)
	assert.Equal(t, "main", all[len(all)-1].Participants[1].UserName)
	_, _, answer := r.do(t, http.MethodGet, "/pacs", http.NoBody)
	assert.Contains(t, answer, `"ad_hoc":false`)
}

func TestKeysMayBeLimitedToSomePACS(t *testing.T) {
	gateway, asked := asking()
	keys := keysFile(t, strings.TrimSpace(keyLine("worklist", worklistKey))+":pacs=main,gone\n"+keyLine("viewer", viewerKey))
	r, of := startAudited(t, gateway, "PACS_FILE", pacsFile(t, twoPACS), "API_KEYS_FILE", keys)
	worklist, viewer := []string{"Authorization", "Bearer " + worklistKey}, []string{"Authorization", "Bearer " + viewerKey}
	for _, test := range []struct {
		header []string
		body   string
		status int
	}{
		{worklist, `{"pacs":"main","patient_id":"1"}`, http.StatusOK},
		{worklist, `{"pacs":"other","patient_id":"1"}`, http.StatusForbidden},
		{worklist, `{"pacs":"nowhere","patient_id":"1"}`, http.StatusForbidden},
		{worklist, `{"pacs":"gone","patient_id":"1"}`, http.StatusBadRequest},
		{worklist, queryBody, http.StatusForbidden},
		{viewer, `{"pacs":"other","patient_id":"1"}`, http.StatusOK},
		{viewer, `{"pacs":"nowhere","patient_id":"1"}`, http.StatusBadRequest},
		{viewer, queryBody, http.StatusOK},
	} {
		before := len(of(t))
		status, _, answer := r.post(t, "/q", test.body, test.header...)
		assert.Equal(t, test.status, status, test.body)
		wasAsked := len(asked()) == 1
		assert.Equal(t, status == http.StatusOK, wasAsked)
		all := of(t)[before:]
		switch status {
		case http.StatusForbidden:
			assert.Equal(t, goclient.ProblemCodePACSNotAllowed, problemIn(t, answer).Code)
			require.Len(t, all, 1)
			assert.Equal(t, []string{alertEvent, "110132", "pacs_not_allowed"}, []string{all[0].Event.ID.Code, all[0].Event.Types[0].Code, all[0].Event.Description})
		case http.StatusBadRequest:
			assert.Empty(t, all)
		}
	}
	names := func(header []string) (names []string, adHoc bool) {
		_, h, body := r.do(t, http.MethodGet, "/pacs", http.NoBody, header...)
		assert.NotContains(t, body, "pacs.example", "no address")
		assert.Equal(t, "no-store", h.Get("Cache-Control"))
		var list api.PACSList
		require.NoError(t, json.Unmarshal([]byte(body), &list))
		for _, p := range list.PACS {
			names = append(names, p.Name+"|"+p.Description+"|"+p.AETitle)
		}
		return names, list.AdHoc
	}
	list, adHoc := names(worklist)
	assert.Equal(t, []string{"main|Radiology archive|PACS"}, list)
	assert.False(t, adHoc)
	list, adHoc = names(viewer)
	assert.Equal(t, []string{"main|Radiology archive|PACS", "other||OTHER"}, list)
	assert.True(t, adHoc)
	status, _, _ := r.do(t, http.MethodGet, "/pacs", http.NoBody)
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestWithoutPACSFileNoPACSHasAName(t *testing.T) {
	gateway, _ := asking()
	r := start(t, gateway)
	_, _, body := r.do(t, http.MethodGet, "/pacs", http.NoBody)
	assert.JSONEq(t, `{"pacs":[],"ad_hoc":true}`, body)
	status, _, answer := r.post(t, "/q", `{"pacs":"main","patient_id":"1"}`)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Equal(t, goclient.ProblemCodePACSUnknown, problemIn(t, answer).Code)
}

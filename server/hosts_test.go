package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
)

// A page of rebound.example whose name now resolves to the gateway: a browser takes both for one origin.
func TestReboundWebPageGetsNothing(t *testing.T) {
	r := start(t, &fakeGateway{}) // which must not be called
	for _, host := range []string{"rebound.example", "rebound.example:8888", "REBOUND.example.", "127.0.0.1.rebound.example", "127.1", "a..b", "[::1].example"} {
		for _, request := range [][2]string{
			{http.MethodPost, "/q"},
			{http.MethodPost, "/qr"},
			{http.MethodPost, "/echo"},
			{http.MethodGet, "/metrics"},
			{http.MethodGet, "/version"},
			{http.MethodGet, "/docs"},
			{http.MethodGet, "/"},
			{http.MethodGet, "/openapi.json"},
		} {
			status, header, body := r.do(t, request[0], request[1], strings.NewReader(retrieveBody), "Host", host, "Origin", "http://"+host)
			require.Equal(t, http.StatusMisdirectedRequest, status, "%s %s", host, request[1])
			p := problemIn(t, body)
			assert.Equal(t, goclient.ProblemCodeHostNotAllowed, p.Code)
			assert.Contains(t, *p.Hint, "ALLOWED_HOSTS")
			assert.NotContains(t, body, "rebound")
			assert.Empty(t, header.Get("Access-Control-Allow-Origin"))
		}
	}
	status, _, _ := r.do(t, http.MethodGet, "/version", nil, "Host", "rebound.example", "X-Correlation-ID", "rebound")
	assert.Equal(t, http.StatusMisdirectedRequest, status)
	assert.Equal(t, "host_not_allowed", waitForLineOf(t, r, "request", "rebound")["code"])
	for _, probe := range []string{"/health", "/ready"} {
		status, _, _ := r.do(t, http.MethodGet, probe, nil, "Host", "rebound.example")
		assert.Equal(t, http.StatusOK, status, probe)
	}
}

func TestHostsThatNoWebPageOfOthersCanHave(t *testing.T) {
	r := start(t, foundOne(), "ALLOWED_HOSTS", "gateway.hospital.example, *.ward.example")
	for host, want := range map[string]int{
		"127.0.0.1:8888": 200, "192.0.2.1": 200, "[::1]:8888": 200, "[2001:db8::1]": 200,
		"localhost": 200, "LOCALHOST:8888": 200, "gateway": 200, "dicom-qr-gateway:6000": 200, "localhost.": 200,
		"gateway.hospital.example": 200, "Gateway.Hospital.Example.:443": 200, "a.ward.example": 200, "a.b.ward.example": 200,
		"ward.example": 421, "hospital.example": 421, "x.gateway.hospital.example": 421, "award.example": 421,
	} {
		status, _, body := r.post(t, "/q", queryBody, "Host", host)
		assert.Equal(t, want, status, "%s %s", host, body)
	}
	anything := start(t, foundOne(), "ALLOWED_HOSTS", "*")
	status, _, _ := anything.post(t, "/q", queryBody, "Host", "rebound.example")
	assert.Equal(t, http.StatusOK, status)
}

func TestHostIsNotCheckedIfSomethingElseKeepsWebPagesOut(t *testing.T) {
	const foreign = "gateway.example"
	keys := start(t, foundOne(), "API_KEYS_FILE", keysFile(t, keyLine("worklist", worklistKey)))
	status, _, _ := keys.post(t, "/q", queryBody, "Host", foreign, "Authorization", "Bearer "+worklistKey)
	assert.Equal(t, http.StatusOK, status, "API keys")
	status, _, _ = keys.post(t, "/q", queryBody, "Host", foreign)
	assert.Equal(t, http.StatusUnauthorized, status)

	proxied := start(t, foundOne(), "TRUSTED_PROXIES", "127.0.0.1")
	status, _, _ = proxied.post(t, "/q", queryBody, "Host", foreign)
	assert.Equal(t, http.StatusOK, status, "a trusted proxy")
	elsewhere := start(t, foundOne(), "TRUSTED_PROXIES", "192.0.2.1")
	status, _, _ = elsewhere.post(t, "/q", queryBody, "Host", foreign, "X-Forwarded-For", "192.0.2.1")
	assert.Equal(t, http.StatusMisdirectedRequest, status, "a caller that is no trusted proxy")

	files := writeCertificate(t)
	secure := start(t, foundOne(), "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key)
	caller := secure.secure(t, files.pool, nil)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, caller.url+"/version", http.NoBody)
	require.NoError(t, err)
	request.Host = foreign
	response, err := caller.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusOK, response.StatusCode, "HTTPS")
}

func TestRefusedHostLeavesAnAuditRecord(t *testing.T) {
	r, disk := startOnDisk(t, &fakeGateway{})
	status, _, _ := r.post(t, "/q", queryBody, "Host", "rebound.example")
	assert.Equal(t, http.StatusMisdirectedRequest, status)
	assert.Contains(t, disk.String(), "host name not allowed")
	assert.NotContains(t, disk.String(), "rebound")
}

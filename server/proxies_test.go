package server

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTrustedProxyNamesTheUserAndTheClient(t *testing.T) {
	r := start(t, foundOne(), "TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8", "FORWARDED_USER_HEADER", "X-Forwarded-User")
	r.post(t, "/q", queryBody, "X-Forwarded-User", "alice", "X-Forwarded-For", "203.0.113.9, 192.0.2.7, 10.1.2.3", "X-Correlation-ID", "one")
	line := waitForLineOf(t, r, "request", "one")
	assert.Equal(t, "alice", line["caller"])
	assert.Equal(t, "192.0.2.7", line["client"], "the last address that is not a trusted proxy")
}

func TestHeadersOfOtherProxiesAreIgnored(t *testing.T) {
	for name, settings := range map[string][]string{
		"no setting":    {},
		"another proxy": {"TRUSTED_PROXIES", "192.0.2.1", "FORWARDED_USER_HEADER", "X-Forwarded-User"},
	} {
		r := start(t, foundOne(), settings...)
		r.post(t, "/q", queryBody, "X-Forwarded-User", "mallory", "X-Forwarded-For", "192.0.2.7", "X-Correlation-ID", "one")
		line := waitForLineOf(t, r, "request", "one")
		assert.NotContains(t, line, "caller", name)
		assert.Equal(t, "127.0.0.1", line["client"], name)
	}
}

func TestForwardedAddressWithAPortNamesTheClientInLogAndAudit(t *testing.T) {
	for forwarded, client := range map[string]string{
		"203.0.113.7:4711": "203.0.113.7", "[2001:db8::1]:4711": "2001:db8::1", "2001:db8::1": "2001:db8::1", "unknown": "127.0.0.1",
	} {
		r := start(t, foundOne(), "TRUSTED_PROXIES", "127.0.0.1", "AUDIT_LOG", "stdout")
		r.post(t, "/q", queryBody, "X-Forwarded-For", forwarded, "X-Correlation-ID", "one")
		assert.Equal(t, client, waitForLineOf(t, r, "request", "one")["client"], forwarded)
		assert.Contains(t, r.logs.String(), `"NetworkAccessPointID":"`+client+`"`, forwarded)
	}
}

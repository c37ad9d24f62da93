package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestATrustedProxyTellsWhomItSpeaksFor(t *testing.T) {
	r := start(t, foundOne(), "TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8", "FORWARDED_USER_HEADER", "X-Forwarded-User")
	r.post(t, "/q", queryBody, "X-Forwarded-User", "alice", "X-Forwarded-For", "203.0.113.9, 192.0.2.7, 10.1.2.3", "X-Correlation-ID", "one")
	line := waitForLineOf(t, r, "request", "one")
	assert.Equal(t, "alice", line["caller"])
	assert.Equal(t, "192.0.2.7", line["client"], "the last one that is no trusted proxy")
}

func TestOnlyATrustedProxyIsBelieved(t *testing.T) {
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

func TestWhatIsNoUserNameIsNone(t *testing.T) {
	p := proxies{trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, userHeader: "X-User"}
	request := func(remote string, users ...string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = remote
		r.Header["X-User"] = users
		return r
	}
	assert.Equal(t, "Jörg", p.user(request("127.0.0.1:5", " Jörg ")))
	assert.Equal(t, "a", p.user(request("[::ffff:127.0.0.1]:5", "a")))
	for _, r := range []*http.Request{
		request("127.0.0.1:5"), request("127.0.0.1:5", "a", "b"), request("127.0.0.1:5", strings.Repeat("x", 257)),
		request("127.0.0.1:5", "\xff"), request("192.0.2.1:5", "a"), request("@", "a"), request("[::1]:5", "a"),
	} {
		assert.Empty(t, p.user(r))
	}
}

func TestFaultySettingsOfProxiesStopTheStart(t *testing.T) {
	for _, list := range []string{"proxy.example", "10.0.0.0/33", "fe80::1%eth0", "10.0.0.1:80"} {
		_, err := LoadConfig(environment("TRUSTED_PROXIES", list))
		require.ErrorContains(t, err, "TRUSTED_PROXIES: want addresses or CIDR blocks")
	}
	_, err := LoadConfig(environment("FORWARDED_USER_HEADER", "X-User"))
	require.ErrorContains(t, err, "FORWARDED_USER_HEADER: needs TRUSTED_PROXIES")
	_, err = LoadConfig(environment("FORWARDED_USER_HEADER", "X User", "TRUSTED_PROXIES", "10.0.0.1"))
	require.ErrorContains(t, err, "FORWARDED_USER_HEADER: want the name of a header field")
}

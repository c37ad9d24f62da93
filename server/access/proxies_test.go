package access

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUserComesFromOneValidFieldOfATrustedProxy(t *testing.T) {
	p := Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, UserHeader: "X-User"}
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

func TestParseProxiesRefusesOtherThanAddressesAndBlocks(t *testing.T) {
	for _, list := range []string{"proxy.example", "10.0.0.0/33", "fe80::1%eth0", "10.0.0.1:80"} {
		_, err := ParseProxies(list)
		require.ErrorContains(t, err, "want addresses or CIDR blocks")
	}
}

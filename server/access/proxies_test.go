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

func TestClientAddressIsTheLastOneThatIsNotATrustedProxy(t *testing.T) {
	trusted, err := ParseProxies("127.0.0.0/8, 10.0.0.0/8, ::1, fd00::/8")
	require.NoError(t, err)
	extract := (&Proxies{Trusted: trusted}).ClientAddress()
	for _, test := range []struct {
		remote string
		fields []string
		want   string
	}{
		{"127.0.0.1:5", nil, "127.0.0.1"},
		{"127.0.0.1:5", []string{""}, "127.0.0.1"},
		{"127.0.0.1:5", []string{"203.0.113.7"}, "203.0.113.7"},
		{"127.0.0.1:5", []string{"203.0.113.7:4711"}, "203.0.113.7"},
		{"127.0.0.1:5", []string{"2001:db8::1"}, "2001:db8::1"},
		{"127.0.0.1:5", []string{"2001:DB8:0::1"}, "2001:db8::1"},
		{"127.0.0.1:5", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"127.0.0.1:5", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"127.0.0.1:5", []string{`"[2001:db8::1]:4711"`}, "2001:db8::1"},
		{"127.0.0.1:5", []string{`"203.0.113.7:4711"`}, "203.0.113.7"},
		{"127.0.0.1:5", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"127.0.0.1:5", []string{"203.0.113.7:_port"}, "203.0.113.7"},
		{"127.0.0.1:5", []string{"fe80::1%eth0"}, "fe80::1"},
		{"127.0.0.1:5", []string{"198.51.100.1, 203.0.113.7:4711 ,\t10.1.2.3:80"}, "203.0.113.7"},
		{"127.0.0.1:5", []string{"198.51.100.1, 203.0.113.7", "10.1.2.3", "[fd00::2]:443"}, "203.0.113.7"},
		{"127.0.0.1:5", []string{"10.0.0.1, 10.0.0.2:80"}, "10.0.0.1"},
		{"[::1]:5", []string{"203.0.113.7:4711"}, "203.0.113.7"},
		{"[::ffff:127.0.0.1]:5", []string{"203.0.113.7:4711"}, "203.0.113.7"},

		// Entries without an address end the search.
		{"127.0.0.1:5", []string{"unknown"}, "127.0.0.1"},
		{"127.0.0.1:5", []string{"203.0.113.7, unknown, 10.1.2.3:80"}, "10.1.2.3"},
		{"127.0.0.1:5", []string{"203.0.113.7, _hidden"}, "127.0.0.1"},
		{"127.0.0.1:5", []string{"203.0.113.7,, 10.1.2.3"}, "10.1.2.3"},
		{"127.0.0.1:5", []string{"[2001:db8::1"}, "127.0.0.1"},
		{"127.0.0.1:5", []string{"[2001:db8::1]x"}, "127.0.0.1"},
		{"127.0.0.1:5", []string{`"`}, "127.0.0.1"},
		{"127.0.0.1:5", []string{"203.0.113.7\x00"}, "127.0.0.1"},

		// Only a trusted proxy is believed.
		{"192.0.2.1:5", []string{"203.0.113.7"}, "192.0.2.1"},
		{"127.0.0.1:5", []string{"203.0.113.7, 192.0.2.1:80"}, "192.0.2.1"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = test.remote
		r.Header["X-Forwarded-For"] = test.fields
		assert.Equal(t, test.want, extract(r), "%s %q", test.remote, test.fields)
	}
}

func TestForwardedAddressesAreReadUpToALimit(t *testing.T) {
	trusted, err := ParseProxies("127.0.0.1, 10.0.0.0/8")
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.RemoteAddr = "127.0.0.1:5"
	r.Header.Set("X-Forwarded-For", "203.0.113.7"+strings.Repeat(",10.0.0.1", maxHops))
	assert.Equal(t, "10.0.0.1", (&Proxies{Trusted: trusted}).ClientAddress()(r))
}

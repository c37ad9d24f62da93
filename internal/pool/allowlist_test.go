package pool

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parseAllowlist(t *testing.T, list string) *Allowlist {
	t.Helper()
	a, err := ParseAllowlist(list)
	require.NoError(t, err)
	return a
}

func TestAllowlistPermitsAddressesAndNames(t *testing.T) {
	for _, test := range []struct {
		list, host string
		port       uint16
		addresses  string // of host, separated by spaces
		want       bool
	}{
		{"192.0.2.0/24", "192.0.2.7", 104, "192.0.2.7", true},
		{"192.0.2.0/24", "192.0.3.7", 104, "192.0.3.7", false},
		{"192.0.2.0/24", "pacs", 104, "192.0.2.7", true},
		{"192.0.2.0/24", "pacs", 104, "192.0.2.7 192.0.3.7", false},
		{"192.0.2.0/24, 192.0.3.7", "pacs", 104, "192.0.2.7 192.0.3.7", true},
		{"192.0.2.0/24:104", "pacs", 104, "192.0.2.7", true},
		{"192.0.2.0/24:104", "pacs", 105, "192.0.2.7", false},
		{"192.0.2.7:104", "192.0.2.7", 104, "192.0.2.7", true},
		{"192.0.2.7:104", "192.0.2.7", 11112, "192.0.2.7", false},
		{"192.0.2.7:104", "192.0.2.8", 104, "192.0.2.8", false},
		{"192.0.2.7:104,192.0.2.7:105", "192.0.2.7", 105, "192.0.2.7", true},

		// IPv4-mapped IPv6 addresses are IPv4 addresses.
		{"192.0.2.0/24", "::ffff:192.0.2.7", 104, "::ffff:192.0.2.7", true},
		{"10.0.0.0/8", "::ffff:127.0.0.1", 104, "::ffff:127.0.0.1", false},
		{"::ffff:192.0.2.0/120", "192.0.2.7", 104, "192.0.2.7", true},
		{"::ffff:192.0.2.7", "192.0.2.7", 104, "192.0.2.7", true},
		{"::/0", "192.0.2.7", 104, "192.0.2.7", false},
		{"::/0", "::ffff:192.0.2.7", 104, "::ffff:192.0.2.7", false},
		{"0.0.0.0/0", "2001:db8::7", 104, "2001:db8::7", false},

		{"2001:db8::/32", "2001:db8::7", 104, "2001:db8::7", true},
		{"[2001:db8::7]:104", "2001:db8:0::7", 104, "2001:db8::7", true},
		{"[2001:db8::7]:104", "2001:db8::7", 105, "2001:db8::7", false},
		{"[2001:db8::/32]:104", "2001:db8::8", 104, "2001:db8::8", true},
		{"[2001:db8::7]", "2001:db8::7", 105, "2001:db8::7", true},
		{"2001:db8::7", "2001:db8::7", 105, "2001:db8::7", true},
		{"fe80::/10", "pacs", 104, "fe80::1%eth0", false},

		{"pacs.example", "PACS.Example.", 104, "192.0.2.7 2001:db8::7", true},
		{"PACS.example.", "pacs.example", 104, "192.0.2.7", true},
		{"pacs.example:104", "pacs.example", 104, "192.0.2.7", true},
		{"pacs.example:104", "pacs.example", 105, "192.0.2.7", false},
		{"pacs.example", "192.0.2.7", 104, "192.0.2.7", false},
		{"pacs.example", "other.example", 104, "192.0.2.7", false},
		{"pacs.example", "a.pacs.example", 104, "192.0.2.7", false},

		{"192.0.2.0/24", "pacs.example", 104, "192.0.2.7 198.51.100.7", false},

		// A name does not permit addresses that no PACS has; TestNamesDoNotVouchForAddressesOfServices has all kinds.
		{"pacs.example", "pacs.example", 104, "127.0.0.1", false},
		{"pacs.example", "pacs.example", 104, "169.254.169.254", false},
		{"pacs.example", "pacs.example", 104, "0.0.0.0", false},
		{"pacs.example", "pacs.example", 104, "::", false},
		{"pacs.example", "pacs.example", 104, "224.0.0.1", false},
		{"pacs.example", "pacs.example", 104, "fe80::1%eth0", false},
		{"pacs.example,127.0.0.0/8", "pacs.example", 104, "127.0.0.1", true},
		{"localhost", "localhost", 104, "::1 127.0.0.1", true},
		{"localhost", "localhost", 104, "169.254.1.1", false},
		{"localhost", "127.0.0.1", 104, "127.0.0.1", false},
	} {
		var addresses []netip.Addr
		for address := range strings.FieldsSeq(test.addresses) {
			addresses = append(addresses, netip.MustParseAddr(address).Unmap())
		}
		var want []netip.Addr
		if test.want {
			want = addresses
		}
		assert.Equal(t, want, parseAllowlist(t, test.list).permitted(test.host, test.port, addresses), "%+v", test)
	}
	all := []netip.Addr{netip.IPv6Loopback()}
	assert.Equal(t, all, (*Allowlist)(nil).permitted("any", 1, all), "a nil list permits every peer")
	both := []netip.Addr{netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}
	assert.Equal(t, both[1:], parseAllowlist(t, "127.0.0.0/8").permitted("localhost", 104, both), "localhost is dialled at its permitted addresses only")
}

func TestParseAllowlistNamesTheFaultyEntry(t *testing.T) {
	for entry, faulty := range map[string]string{
		"a scheme": "dicom://pacs", "a path": "pacs/x", "a wildcard": "*.example", "no port": "pacs:", "port 0": "pacs:0",
		"a port above 65535": "pacs:65536", "a signed port": "pacs:+104", "no host": ":104", "a named port": "pacs:dicom",
		"a mistyped address": "192.0.2.256", "a short address": "192.0.2", "bits beyond the prefix": "192.0.2.7/24",
		"a prefix of 33 bits": "192.0.2.0/33", "a zone": "fe80::1%eth0", "an open bracket": "[2001:db8::7", "text after a bracket": "[2001:db8::7]104",
		"a bracketed name": "[pacs]:104", "a bracketed IPv4 address": "[192.0.2.7]:104", "a space": "192.0.2.1 192.0.2.2",
		"IPv6 with a port": "2001:db8::7:99999", "a prefix wider than the mapped addresses": "::ffff:0.0.0.0/90", "a letter beyond ASCII": "ä",
	} {
		_, err := ParseAllowlist("192.0.2.1, ," + faulty)
		var fault *AllowlistError
		if assert.ErrorAs(t, err, &fault, entry) {
			assert.Equal(t, 3, fault.Entry)
			assert.EqualError(t, fault, "entry 3 is no CIDR, host or host:port")
		}
	}
	for _, empty := range []string{"", " ", ",", " , "} {
		_, err := ParseAllowlist(empty)
		assert.EqualError(t, err, "no entry at all", "an empty list is a mistake: it could mean no peer or any peer")
	}
}

func FuzzAllowlist(f *testing.F) {
	for _, seed := range []string{"192.0.2.0/24", "pacs.example:104", "[2001:db8::7]:104", "::ffff:192.0.2.0/120", "localhost", ",", "[::]", "[::1%x]:1"} {
		f.Add(seed)
	}
	metadata := []netip.Addr{netip.MustParseAddr("169.254.169.254")}
	f.Fuzz(func(t *testing.T, list string) {
		a, err := ParseAllowlist(list)
		if err != nil {
			return
		}
		if len(a.permitted("pacs.example", 80, metadata)) > 0 && !strings.Contains(list, "/") && !strings.Contains(list, "254") && !strings.Contains(list, "a9fe") {
			t.Errorf("%q permits a link-local address that it does not list", list)
		}
	})
}

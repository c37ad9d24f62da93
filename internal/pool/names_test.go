package pool

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// addressesOfServices are addresses that a name server must not be able to make of a permitted name.
var addressesOfServices = map[string]string{
	"loopback":                               "127.0.0.1",
	"Debian's own host name":                 "127.0.1.1",
	"IPv6 loopback":                          "::1",
	"this network":                           "0.0.0.1",
	"unspecified":                            "0.0.0.0",
	"IPv6 unspecified":                       "::",
	"broadcast":                              "255.255.255.255",
	"multicast":                              "224.0.0.1",
	"IPv6 multicast":                         "ff02::1",
	"link-local, metadata":                   "169.254.169.254",
	"IPv6 link-local":                        "fe80::1%eth0",
	"mapped loopback":                        "::ffff:127.0.0.1",
	"mapped metadata":                        "::ffff:169.254.169.254",
	"NAT64 of loopback":                      "64:ff9b::127.0.0.1",
	"NAT64 of metadata":                      "64:ff9b::a9fe:a9fe",
	"NAT64 of an unspecified address":        "64:ff9b::",
	"NAT64 of multicast":                     "64:ff9b::224.0.0.1",
	"NAT64 of Alibaba's metadata":            "64:ff9b::100.100.100.200",
	"local NAT64, /96":                       "64:ff9b:1::127.0.0.1",
	"local NAT64, /48":                       "64:ff9b:1:7f00:0:100::",
	"6to4 of loopback":                       "2002:7f00:1::1",
	"IPv4-compatible":                        "::127.0.0.2",
	"IPv4-translated":                        "::ffff:0:127.0.0.1",
	"metadata of AWS":                        "fd00:ec2::254",
	"metadata of Google":                     "fd20:ce::254",
	"metadata of Alibaba":                    "100.100.100.200",
	"metadata of Oracle":                     "192.0.0.192",
	"services of Azure for virtual machines": "168.63.129.16",
}

func TestNamesDoNotVouchForAddressesOfServices(t *testing.T) {
	byName := parseAllowlist(t, "pacs.example")
	for what, text := range addressesOfServices {
		address := netip.MustParseAddr(text).Unmap()
		assert.Empty(t, byName.permitted("pacs.example", 104, []netip.Addr{address}), what)
		both := []netip.Addr{netip.MustParseAddr("192.0.2.7"), address}
		assert.Empty(t, byName.permitted("pacs.example", 104, both), "%s, beside an address of a PACS", what)
		if address.Zone() != "" {
			continue // an entry has no zone
		}
		listed := parseAllowlist(t, "pacs.example,"+address.String())
		assert.Equal(t, both, listed.permitted("pacs.example", 104, both), "%s, in the list itself", what)
	}
	for _, text := range []string{
		"192.0.2.7", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "192.0.0.8", "2001:db8::7", "fd00::7", "64:ff9b::192.0.2.7",
		"64:ff9b::10.0.0.1", "2002:c000:207::1",
	} {
		address := []netip.Addr{netip.MustParseAddr(text)}
		assert.Equal(t, address, byName.permitted("pacs.example", 104, address), text)
	}
}

func TestOnlyLocalhostVouchesForLoopback(t *testing.T) {
	loopback := []netip.Addr{netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}
	for _, name := range []string{"localhost", "LocalHost."} {
		assert.Equal(t, loopback, parseAllowlist(t, "localhost").permitted(name, 104, loopback), name)
	}
	for _, name := range []string{"pacs", "localhost.example", "ip6-localhost"} {
		assert.Empty(t, parseAllowlist(t, name).permitted(name, 104, loopback), name)
	}
	away := append(slices.Clone(loopback), netip.MustParseAddr("169.254.169.254"))
	assert.Equal(t, loopback, parseAllowlist(t, "localhost").permitted("localhost", 104, away))
}

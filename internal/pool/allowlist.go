package pool

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Allowlist says which peers may be dialled; a nil Allowlist permits any. It judges addresses, and only addresses that it
// has permitted are dialled: a name that changes its addresses in between gains nothing. It is immutable.
type Allowlist struct{ entries []permit }

// permit is one entry: a name, or the addresses of a prefix.
type permit struct {
	name   string
	prefix netip.Prefix
	port   uint16 // 0: any
}

// AllowlistError names the faulty entry of a list by its number, counted from 1, and never by its text; 0 means that the list
// has no entry.
type AllowlistError struct{ Entry int }

func (e *AllowlistError) Error() string {
	if e.Entry == 0 {
		return "no entry at all"
	}
	return fmt.Sprintf("entry %d is no CIDR, host or host:port", e.Entry)
}

// ParseAllowlist parses a comma-separated list of addresses, CIDR prefixes and host names. An entry may end in :port and then
// permits that port alone; an IPv6 address or prefix with a port is in brackets. Spaces around an entry and empty entries are
// ignored. The error is an *AllowlistError.
//
// An address or prefix permits these addresses under any name. A name permits a peer that the caller names so (letter case
// and a trailing dot do not matter), at the addresses for which a name suffices (see reachableByName): DNS must not be able to
// turn a permitted name into a local service. IPv4-mapped IPv6 addresses (::ffff:0:0/96) are IPv4 addresses throughout.
func ParseAllowlist(s string) (*Allowlist, error) {
	a := &Allowlist{}
	n := 0
	for entry := range strings.SplitSeq(s, ",") {
		n++
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		p, ok := parsePermit(entry)
		if !ok {
			return nil, &AllowlistError{Entry: n}
		}
		a.entries = append(a.entries, p)
	}
	if len(a.entries) == 0 {
		return nil, &AllowlistError{}
	}
	return a, nil
}

func parsePermit(entry string) (p permit, ok bool) {
	host, port, ok := splitPort(entry)
	if !ok {
		return permit{}, false
	}
	p.port = port
	if prefix, err := netip.ParsePrefix(host); err == nil {
		p.prefix, ok = unmap(prefix)
		// Bits beyond the prefix are a mistake either in the address or in the length; which one cannot be known.
		return p, ok && p.prefix.Masked() == p.prefix
	}
	if !ValidHost(host) {
		return permit{}, false
	}
	if address, err := netip.ParseAddr(host); err == nil {
		p.prefix = netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen())
		return p, true
	}
	p.name = canonicalName(host)
	return p, true
}

// splitPort splits an entry into the host without brackets and the port, 0 if there is none.
func splitPort(entry string) (host string, port uint16, ok bool) {
	var number string
	if inner, opened := strings.CutPrefix(entry, "["); opened {
		if host, number, ok = strings.Cut(inner, "]"); !ok || !strings.Contains(host, ":") {
			return "", 0, false
		}
		if number == "" {
			return host, 0, true
		}
		if number, ok = strings.CutPrefix(number, ":"); !ok {
			return "", 0, false
		}
	} else if host, number, ok = strings.Cut(entry, ":"); !ok || strings.Contains(number, ":") {
		return entry, 0, true
	}
	n, err := strconv.ParseUint(number, 10, 16)
	return host, uint16(n), err == nil && n > 0
}

// unmap turns a prefix of IPv4-mapped addresses into the IPv4 prefix; any other prefix stays as it is.
func unmap(p netip.Prefix) (netip.Prefix, bool) {
	const mapped = 96
	if !p.Addr().Is4In6() {
		return p, true
	}
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped), p.Bits() >= mapped
}

func canonicalName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// permitsName reports whether an entry permits the peer by its name.
func (a *Allowlist) permitsName(host string, port uint16) bool {
	if a == nil {
		return true
	}
	for _, p := range a.entries {
		if p.name != "" && p.name == canonicalName(host) && p.permitsPort(port) {
			return true
		}
	}
	return false
}

// hasAddresses reports whether any entry for the port is an address or prefix, so that the addresses of a peer decide.
func (a *Allowlist) hasAddresses(port uint16) bool {
	for _, p := range a.entries {
		if p.name == "" && p.permitsPort(port) {
			return true
		}
	}
	return false
}

// permitted returns the addresses at which the peer may be dialled: all of them, or none if one of them is not permitted.
// For localhost, whose addresses come from no name server, it returns those that are permitted. The addresses must not be
// IPv4-mapped.
func (a *Allowlist) permitted(host string, port uint16, addresses []netip.Addr) []netip.Addr {
	if a == nil {
		return addresses
	}
	named := a.permitsName(host, port)
	var permitted []netip.Addr
	for _, address := range addresses {
		switch {
		case a.permitsAddress(address, port), named && reachableByName(host, address):
			permitted = append(permitted, address)
		case canonicalName(host) != "localhost":
			return nil
		}
	}
	return permitted
}

// permitsAddress reports whether an entry contains the address itself.
func (a *Allowlist) permitsAddress(address netip.Addr, port uint16) bool {
	for _, p := range a.entries {
		if p.name == "" && p.prefix.Contains(address) && p.permitsPort(port) {
			return true
		}
	}
	return false
}

// reachableByName reports whether a permitted name suffices to dial the address: not if it can be a service of this machine or of the
// infrastructure around it, which no name server may make of a PACS. The address must not be IPv4-mapped.
func reachableByName(name string, address netip.Addr) bool {
	if address.IsLoopback() {
		return canonicalName(name) == "localhost"
	}
	if carried, ok := carriedIPv4(address); ok {
		address = carried
	}
	return !address.IsLoopback() && !address.IsUnspecified() && !address.IsMulticast() && !address.IsLinkLocalUnicast() &&
		!slices.ContainsFunc(neverByName, func(p netip.Prefix) bool { return p.Contains(address) })
}

// neverByName are, besides loopback, link-local and multicast addresses, those that need an entry which is an address.
var neverByName = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), // this network, which the kernel takes for this machine
	netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("::/96"),           // IPv4-compatible addresses, deprecated
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4-translated addresses (RFC 2765), deprecated
	// Each network chooses how its local NAT64 prefix (RFC 8215) carries IPv4 addresses, so which one is carried cannot be known.
	netip.MustParsePrefix("64:ff9b:1::/48"),
	// Where clouds serve the credentials of their machines, besides the link-local 169.254.169.254.
	netip.MustParsePrefix("fd00:ec2::254/128"),  // AWS
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// carriedIPv4 returns the IPv4 address to which a gateway on the way translates or tunnels the address.
func carriedIPv4(address netip.Addr) (netip.Addr, bool) {
	b := address.As16()
	switch {
	case nat64.Contains(address):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixToFour.Contains(address):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

func (p permit) permitsPort(port uint16) bool { return p.port == 0 || p.port == port }

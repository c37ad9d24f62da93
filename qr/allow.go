package qr

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Allowlist is which peers may be dialled; nil is any. It judges addresses, and the ones that it has judged are the ones
// that are dialled: a name that changes its addresses in between gains nothing.
type Allowlist struct{ entries []permit }

// permit is one entry: a name, or the addresses of a prefix.
type permit struct {
	name   string
	prefix netip.Prefix
	port   uint16 // 0: any
}

// AllowlistError tells which entry of a list is at fault, counted from 1, and not what it holds; 0 is a list without any.
type AllowlistError struct{ Entry int }

func (e *AllowlistError) Error() string {
	if e.Entry == 0 {
		return "no entry at all"
	}
	return fmt.Sprintf("entry %d is no CIDR, host or host:port", e.Entry)
}

// ParseAllowlist reads a comma-separated list of addresses, CIDR prefixes and host names, each for one port where :port
// follows; IPv6 is then in brackets. Spaces around an entry and empty entries are skipped.
//
// An address or prefix permits these addresses, by whatever name they are called. A name permits a peer that is called by
// this name (case and a last dot do not matter) at whatever unicast addresses it has, except link-local ones: whoever
// answers for a name in DNS shall not make more of it than a PACS.
// IPv4 addresses within IPv6 ones (::ffff:0:0/96) are IPv4 addresses, in the list and out of it.
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
		p.prefix, ok = unmapped(prefix)
		// Bits beyond the prefix are a mistake in one of the two, and there is no telling in which.
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

// splitPort takes off the port, 0 where there is none, and the brackets.
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

// unmapped is the prefix of IPv4 addresses that one of IPv4-mapped ones stands for; any other stays as it is.
func unmapped(p netip.Prefix) (netip.Prefix, bool) {
	const mapped = 96
	if !p.Addr().Is4In6() {
		return p, true
	}
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped), p.Bits() >= mapped
}

func canonicalName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// names reports whether an entry permits the peer by its name.
func (a *Allowlist) names(host string, port uint16) bool {
	if a == nil {
		return true
	}
	for _, p := range a.entries {
		if p.name != "" && p.name == canonicalName(host) && p.onPort(port) {
			return true
		}
	}
	return false
}

// depends reports whether the addresses of a peer that no entry names matter at all.
func (a *Allowlist) depends(port uint16) bool {
	for _, p := range a.entries {
		if p.name == "" && p.onPort(port) {
			return true
		}
	}
	return false
}

// permitted are the addresses, which are not IPv4-mapped, at which the peer may be dialled: all of them, or none where one
// is not in the list. Of localhost, whose addresses no name server makes up, it is those that are.
func (a *Allowlist) permitted(host string, port uint16, addresses []netip.Addr) []netip.Addr {
	if a == nil {
		return addresses
	}
	named := a.names(host, port)
	var permitted []netip.Addr
	for _, address := range addresses {
		switch {
		case a.holds(address, port), named && vouchedFor(address):
			permitted = append(permitted, address)
		case canonicalName(host) != "localhost":
			return nil
		}
	}
	return permitted
}

// holds reports whether an entry has the address itself.
func (a *Allowlist) holds(address netip.Addr, port uint16) bool {
	for _, p := range a.entries {
		if p.name == "" && p.prefix.Contains(address) && p.onPort(port) {
			return true
		}
	}
	return false
}

// vouchedFor reports whether a listed name is enough to go to the address.
func vouchedFor(address netip.Addr) bool {
	// Among the link-local ones is what clouds tell their machines, at 169.254.169.254.
	return !address.IsUnspecified() && !address.IsMulticast() && !address.IsLinkLocalUnicast()
}

func (p permit) onPort(port uint16) bool { return p.port == 0 || p.port == port }

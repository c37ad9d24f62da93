package access

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// Proxies are the reverse proxies whose statements about the caller are trusted. The zero value trusts none.
type Proxies struct {
	Trusted    []netip.Prefix
	UserHeader string // header field in which they name the user; "" if they do not
}

// ParseProxies reads a comma-separated list of addresses and CIDR blocks.
func ParseProxies(list string) ([]netip.Prefix, error) {
	var trusted []netip.Prefix
	for _, entry := range splitList(list) {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			address, err := netip.ParseAddr(entry)
			if err != nil || address.Zone() != "" {
				return nil, errors.New("want addresses or CIDR blocks, separated by commas")
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		trusted = append(trusted, prefix.Masked())
	}
	return trusted, nil
}

// splitList splits a comma-separated list. It trims the entries and drops empty ones.
func splitList(list string) []string {
	var entries []string
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}

// maxHops is more than any chain of proxies has.
const maxHops = 64

// ClientAddress returns a function that extracts the address of the caller from a request: the address of the connection
// or, if a trusted proxy made the connection, the last address in X-Forwarded-For that is not a trusted proxy's. Several
// fields are one list. An entry that holds no address, such as "unknown", ends the search: the caller then has the address
// of the proxy that added the entry.
func (p *Proxies) ClientAddress() echo.IPExtractor {
	direct := echo.ExtractIPDirect()
	if len(p.Trusted) == 0 {
		return direct
	}
	return func(r *http.Request) string {
		at, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return direct(r)
		}
		address := plain(at.Addr())
		hops := 0
		for _, field := range slices.Backward(r.Header.Values(echo.HeaderXForwardedFor)) {
			for more := true; more; hops++ {
				if hops == maxHops || !p.Trusts(address) {
					return address.String()
				}
				var entry string
				comma := strings.LastIndexByte(field, ',')
				entry, more = field[comma+1:], comma >= 0
				field = field[:max(comma, 0)]
				forwarded, ok := forwardedAddress(entry)
				if !ok {
					return address.String()
				}
				address = forwarded
			}
		}
		return address.String()
	}
}

// forwardedAddress returns the address of an entry of X-Forwarded-For, in which some proxies add a port, brackets or quotation
// marks: 203.0.113.7, 203.0.113.7:4711, 2001:db8::1, [2001:db8::1], "[2001:db8::1]:4711". It ignores the port.
func forwardedAddress(entry string) (netip.Addr, bool) {
	entry = strings.TrimSpace(entry)
	if n := len(entry); n > 1 && entry[0] == '"' && entry[n-1] == '"' {
		entry = entry[1 : n-1]
	}
	if rest, bracketed := strings.CutPrefix(entry, "["); bracketed {
		host, port, closed := strings.Cut(rest, "]")
		if !closed || port != "" && port[0] != ':' {
			return netip.Addr{}, false
		}
		entry = host
	} else if host, _, hasPort := strings.Cut(entry, ":"); hasPort && strings.Count(entry, ":") == 1 {
		entry = host
	}
	address, err := netip.ParseAddr(entry)
	if err != nil {
		return netip.Addr{}, false
	}
	return plain(address), true
}

// plain returns an IPv4-mapped IPv6 address as IPv4, and any address without a zone.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// maxUser is longer than any account name, in bytes.
const maxUser = 256

// user returns the user that the proxy names; "" if the connection is not a trusted proxy's or the header is not usable.
func (p *Proxies) user(r *http.Request) string {
	if p.UserHeader == "" {
		return ""
	}
	if !p.connected(r) {
		return ""
	}
	values := r.Header.Values(p.UserHeader)
	if len(values) != 1 || len(values[0]) > maxUser || !utf8.ValidString(values[0]) {
		return ""
	}
	return printable(strings.TrimSpace(values[0]))
}

// printable returns text with U+FFFD in place of control characters, line separators and characters that change the direction of
// text: in a console log or a viewer of audit records they would make other text than the recorded one appear.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.In(c, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return unicode.ReplacementChar
		}
		return c
	}, text)
}

// connected reports whether the connection of the request is that of a trusted proxy.
func (p *Proxies) connected(r *http.Request) bool {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && p.Trusts(plain(at.Addr()))
}

// Trusts reports whether address, which must be plain, is that of a trusted proxy.
func (p *Proxies) Trusts(address netip.Addr) bool {
	return slices.ContainsFunc(p.Trusted, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}

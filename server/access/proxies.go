package access

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
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

// ClientAddress returns a function that extracts the address of the caller from a request: the address of the connection
// or, if a trusted proxy made the connection, the last address in X-Forwarded-For that is not a trusted proxy's.
func (p *Proxies) ClientAddress() echo.IPExtractor {
	if len(p.Trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, prefix := range p.Trusted {
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// maxUser is longer than any account name, in bytes.
const maxUser = 256

// user returns the user that the proxy names; "" if the connection is not a trusted proxy's or the header is not usable.
func (p *Proxies) user(r *http.Request) string {
	if p.UserHeader == "" || !p.trusts(r.RemoteAddr) {
		return ""
	}
	values := r.Header.Values(p.UserHeader)
	if len(values) != 1 || len(values[0]) > maxUser || !utf8.ValidString(values[0]) {
		return ""
	}
	return strings.TrimSpace(values[0])
}

func (p *Proxies) trusts(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	address := at.Addr().Unmap().WithZone("")
	for _, prefix := range p.Trusted {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

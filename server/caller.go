package server

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// caller is who asks, as far as is known; what is not is "".
type caller struct {
	address     string
	key         string // the name of the API key
	certificate string // the subject of the verified client certificate
	user        string // whom a trusted proxy speaks for
}

const anonymous = "anonymous"

// name is the most telling that is known: the person, the program, the machine.
func (c *caller) name() string {
	for _, name := range []string{c.user, c.key, c.certificate} {
		if name != "" {
			return name
		}
	}
	return anonymous
}

// credentials are what else is known beside the name.
func (c *caller) credentials() string {
	var known []string
	for _, credential := range []struct{ kind, name string }{{"key", c.key}, {"certificate", c.certificate}} {
		if credential.name != "" {
			known = append(known, credential.kind+"="+credential.name)
		}
	}
	return strings.Join(known, "; ")
}

// proxies are the addresses that are believed what they say of whom they speak for.
type proxies struct {
	trusted    []netip.Prefix
	userHeader string // "" where none tells the user
}

// parseProxies reads a comma list of addresses and CIDR blocks.
func parseProxies(list string) ([]netip.Prefix, error) {
	var trusted []netip.Prefix
	for _, entry := range listOf(list) {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			address, err := netip.ParseAddr(entry)
			if err != nil || address.Zone() != "" {
				return nil, errors.New("want addresses or CIDR blocks with commas between")
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		trusted = append(trusted, prefix.Masked())
	}
	return trusted, nil
}

// listOf is what stands between commas, without the blanks around it.
func listOf(list string) []string {
	var entries []string
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}

// clientAddress is that of the connection or, where a trusted proxy made it, the
// last one in X-Forwarded-For that is not a trusted proxy's.
func (p *proxies) clientAddress() echo.IPExtractor {
	if len(p.trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, prefix := range p.trusted {
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// maxUser is longer than any account name.
const maxUser = 256

// user is whom the proxy speaks for; "" where the connection is not a trusted
// proxy's or what it says is no name.
func (p *proxies) user(r *http.Request) string {
	if p.userHeader == "" || !p.trusts(r.RemoteAddr) {
		return ""
	}
	values := r.Header.Values(p.userHeader)
	if len(values) != 1 || len(values[0]) > maxUser || !utf8.ValidString(values[0]) {
		return ""
	}
	return strings.TrimSpace(values[0])
}

func (p *proxies) trusts(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	address := at.Addr().Unmap().WithZone("")
	for _, prefix := range p.trusted {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

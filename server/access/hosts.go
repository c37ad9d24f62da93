package access

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Hosts are the host names to which the gateway answers if nothing else keeps out web pages of others: neither API keys nor HTTPS.
// The owner of a web page can make its name resolve to the gateway (DNS rebinding). A browser then takes the page and the gateway
// for one origin and lets the page read the answers. It sends the name of the page in the Host field, but on a GET over plain HTTP
// neither Origin nor Sec-Fetch-Site, so the Host field decides.
type Hosts struct {
	any     bool
	names   map[string]bool
	domains []string // .example.org for *.example.org
}

// ParseHosts reads a comma-separated list of host names. *.example.org stands for all names below example.org, and * for any name.
func ParseHosts(list string) (*Hosts, error) {
	h := &Hosts{names: map[string]bool{}}
	for _, entry := range splitList(list) {
		if entry == "*" {
			h.any = true
			continue
		}
		name, below := strings.CutPrefix(canonicalHost(entry), "*.")
		switch {
		case !validHostName(name):
			return nil, errors.New("want host names such as gateway.example.org or *.example.org, separated by commas, or *")
		case below:
			h.domains = append(h.domains, "."+name)
		default:
			h.names[name] = true
		}
	}
	return h, nil
}

func validHostName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return len(name) <= 253
}

func canonicalHost(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// permit reports whether a request with this Host field is answered: always if the field holds an IP address, localhost or another
// name without a dot, which cannot be registered, or nothing, which no browser sends; else if the list has the name. It ignores the
// port.
func (h *Hosts) permit(field string) bool {
	host := field
	if name, _, err := net.SplitHostPort(field); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = canonicalHost(host)
	if !strings.Contains(host, ".") || h.any || h.names[host] {
		return true
	}
	for _, domain := range h.domains {
		if len(host) > len(domain) && strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// hostRefused reports whether the request names the gateway by a host name to which it does not answer. Probes are answered under
// any name; a trusted proxy decides itself which names it serves.
func (o *Options) hostRefused(r *http.Request, route string) bool {
	if o.Hosts == nil || probeRoutes[route] || o.Proxies.connected(r) {
		return false
	}
	return !o.Hosts.permit(r.Host)
}

// probeRoutes are answered under any host name: probes may use one that only they know, and the answers say nothing.
var probeRoutes = map[string]bool{"/health": true, "/ready": true}

package access

import (
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// BaseURL returns the URL at which the caller reaches the gateway, without a slash at the end: Base, or else scheme and host of the
// request. If a trusted proxy made the connection, its X-Forwarded-Proto, X-Forwarded-Host and X-Forwarded-Prefix replace scheme,
// host and path; a proxy that appends to them is the last value.
func (o *Options) BaseURL(r *http.Request) string {
	if o.Base != nil {
		return strings.TrimRight(o.Base.String(), "/")
	}
	base := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		base.Scheme = "https"
	}
	if o.Proxies.connected(r) {
		if scheme := strings.ToLower(lastValue(r.Header, "X-Forwarded-Proto")); scheme == "http" || scheme == "https" {
			base.Scheme = scheme
		}
		if host := lastValue(r.Header, "X-Forwarded-Host"); validAuthority(host) {
			base.Host = host
		}
		if prefix := lastValue(r.Header, "X-Forwarded-Prefix"); validPrefix(prefix) {
			base.Path = prefix
		}
	}
	if !validAuthority(base.Host) {
		base.Host = "localhost" // HTTP/1.0 permits a request without a host
	}
	return strings.TrimRight(base.String(), "/")
}

// lastValue returns the last value of a header field that is a comma-separated list; "" if there is none.
func lastValue(h http.Header, name string) string {
	values := h.Values(name)
	if len(values) == 0 {
		return ""
	}
	last := values[len(values)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}

// validAuthority reports whether s is a host with or without a port, which can be part of a URL.
func validAuthority(s string) bool {
	if s == "" || len(s) > 300 || strings.ContainsAny(s, "/?#@\\ %\"<>") {
		return false
	}
	u, err := url.Parse("http://" + s)
	if err != nil || u.Host != s || u.Hostname() == "" {
		return false
	}
	if strings.HasPrefix(s, "[") {
		_, err := netip.ParseAddr(u.Hostname())
		return err == nil
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// validPrefix reports whether s is a clean absolute path of visible ASCII characters.
func validPrefix(s string) bool {
	if len(s) > 300 || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "?#\\%\"<>") {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return path.Clean(s) == strings.TrimRight(s, "/") || s == "/"
}

package access

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBaseURLIsThatOfTheRequestOrOfATrustedProxyOrOfTheSetting(t *testing.T) {
	proxied := &Options{Proxies: Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}
	setting, err := url.Parse("https://pacs.example/gateway/")
	require.NoError(t, err)
	forwarded := []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "public.example:8443", "X-Forwarded-Prefix", "/dicom/"}
	for name, test := range map[string]struct {
		options *Options
		host    string
		secure  bool
		header  []string
		want    string
	}{
		"request":              {&Options{}, "gateway:6000", false, nil, "http://gateway:6000"},
		"HTTPS":                {&Options{}, "gateway", true, nil, "https://gateway"},
		"IPv6":                 {&Options{}, "[::1]:6000", false, nil, "http://[::1]:6000"},
		"no host":              {&Options{}, "", false, nil, "http://localhost"},
		"host of a URL":        {&Options{}, "a/../b", false, nil, "http://localhost"},
		"host with a user":     {&Options{}, "a@b", false, nil, "http://localhost"},
		"host that is a label": {&Options{}, `a"><script>`, false, nil, "http://localhost"},
		"long host":            {&Options{}, strings.Repeat("a", 301), false, nil, "http://localhost"},
		"caller that is none":  {&Options{}, "gateway", false, forwarded, "http://gateway"},
		"proxy":                {proxied, "gateway", false, forwarded, "https://public.example:8443/dicom"},
		"proxies that append": {
			proxied, "gateway", false,
			[]string{"X-Forwarded-Proto", "ftp, https", "X-Forwarded-Host", "evil.example, public.example", "X-Forwarded-Prefix", "/evil, /dicom"},
			"https://public.example/dicom",
		},
		"proxy with nonsense": {
			proxied, "gateway", false,
			[]string{"X-Forwarded-Proto", "javascript", "X-Forwarded-Host", "a b", "X-Forwarded-Prefix", "//evil.example"},
			"http://gateway",
		},
		"prefix with dots":  {proxied, "gateway", false, []string{"X-Forwarded-Prefix", "/a/../b"}, "http://gateway"},
		"prefix with space": {proxied, "gateway", false, []string{"X-Forwarded-Prefix", "/a\tb"}, "http://gateway"},
		"root prefix":       {proxied, "gateway", false, []string{"X-Forwarded-Prefix", "/"}, "http://gateway"},
		"bad brackets":      {proxied, "gateway", false, []string{"X-Forwarded-Host", "[zz]"}, "http://gateway"},
		"setting":           {&Options{Base: setting, Proxies: proxied.Proxies}, "gateway", false, forwarded, "https://pacs.example/gateway"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr, r.Host = "127.0.0.1:5", test.host
		if test.secure {
			r.TLS = &tls.ConnectionState{}
		}
		for i := 0; i < len(test.header); i += 2 {
			r.Header.Set(test.header[i], test.header[i+1])
		}
		assert.Equal(t, test.want, test.options.BaseURL(r), name)
	}
}

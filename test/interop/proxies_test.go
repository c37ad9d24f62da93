//go:build interop

package interop

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// eachProxy runs the test with each proxy.
func eachProxy(t *testing.T, test func(t *testing.T, name string)) {
	t.Helper()
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) { test(t, p.name) })
	}
}

// upstream stands in for the gateway in tests of what the proxy sends. Requests for /q wait for release.
type upstream struct {
	host    string
	got     chan http.Header
	release chan struct{}
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{got: make(chan http.Header, 1000), release: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ready" {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		u.got <- r.Header
		if r.URL.Path == "/q" {
			<-u.release
		}
		w.Header().Set("X-Correlation-ID", r.Header.Get("X-Correlation-ID"))
	}))
	t.Cleanup(server.Close)
	u.host = strings.TrimPrefix(server.URL, "http://")
	return u
}

// reply is a response whose body was read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (s *proxySite) do(t *testing.T, r *http.Request) reply {
	t.Helper()
	response, err := s.client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return reply{response.StatusCode, response.Header, string(b)}
}

func TestProxyAuthenticatesCallers(t *testing.T) {
	eachProxy(t, func(t *testing.T, name string) {
		pacs := newHeldPACS(t)
		s := startProxy(t, name, newProxied(t).host())
		for caller, set := range map[string]func(*http.Request){
			"no credentials":   func(r *http.Request) { r.Header.Del("Authorization") },
			"a wrong password": func(r *http.Request) { r.SetBasicAuth(proxyUser, "wrong") },
			"a wrong user":     func(r *http.Request) { r.SetBasicAuth("bob", proxyPassword) },
			"an API key":       func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+proxyKey) },
		} {
			t.Run(caller, func(t *testing.T) {
				r := s.request(t.Context(), t, "/q", pacs.body(t, ""))
				r.Header.Set("X-Correlation-ID", "asked-by-me")
				set(r)
				got := s.do(t, r)
				assert.Equal(t, http.StatusUnauthorized, got.status)
				assert.Contains(t, got.header.Get("WWW-Authenticate"), "Basic")
				assert.Equal(t, []string{"asked-by-me"}, got.header.Values("X-Correlation-ID"))
			})
		}
		got := s.do(t, s.request(t.Context(), t, "/q", pacs.body(t, "")))
		assert.Equal(t, http.StatusOK, got.status, got.body)
		assert.Len(t, got.header.Values("X-Correlation-ID"), 1)

		for key, status := range map[string]int{programKey: http.StatusOK, "another": http.StatusUnauthorized} {
			r := s.request(t.Context(), t, "/q", pacs.body(t, ""))
			r.URL.Host = strings.TrimPrefix(s.keys, "https://")
			r.Header.Set("Authorization", "Bearer "+key)
			got := s.do(t, r)
			assert.Equal(t, status, got.status, got.body)
			assert.Len(t, got.header.Values("WWW-Authenticate"), map[int]int{http.StatusUnauthorized: 1}[status])
			assert.Len(t, got.header.Values("X-Correlation-ID"), 1)
		}
	})
}

func TestProxyPassesTheCallerToTheGateway(t *testing.T) {
	eachProxy(t, func(t *testing.T, name string) {
		u := newUpstream(t)
		s := startProxy(t, name, u.host)
		claim := func(r *http.Request) {
			r.Header.Set("X-Forwarded-User", "mallory")
			r.Header.Set("X-Forwarded-For", "192.0.2.1")
			r.Header.Set("X-Correlation-ID", "asked-by-me")
		}

		r := s.request(t.Context(), t, "/echo", strings.NewReader("{}"))
		claim(r)
		got := s.do(t, r)
		assert.Equal(t, http.StatusOK, got.status)
		assert.Equal(t, []string{"asked-by-me"}, got.header.Values("X-Correlation-ID"))
		passed := <-u.got
		assert.Equal(t, []string{proxyUser}, passed.Values("X-Forwarded-User"))
		assert.Equal(t, []string{"127.0.0.1"}, passed.Values("X-Forwarded-For"))
		assert.Equal(t, []string{"asked-by-me"}, passed.Values("X-Correlation-ID"))
		assert.Equal(t, []string{"Bearer " + proxyKey}, passed.Values("Authorization"), "the proxy must not pass on the password")

		r = s.request(t.Context(), t, "/echo", strings.NewReader("{}"))
		got = s.do(t, r)
		given := (<-u.got).Get("X-Correlation-ID")
		assert.NotEmpty(t, given)
		assert.Equal(t, given, got.header.Get("X-Correlation-ID"))

		withKey := func(authorization string) *http.Request {
			r := s.request(t.Context(), t, "/echo", strings.NewReader("{}"))
			r.URL.Host = strings.TrimPrefix(s.keys, "https://")
			claim(r)
			r.Header.Set("Authorization", authorization)
			return r
		}
		got = s.do(t, withKey("Bearer mine"))
		assert.Equal(t, http.StatusOK, got.status)
		passed = <-u.got
		assert.Equal(t, []string{"Bearer mine"}, passed.Values("Authorization"))
		assert.Empty(t, passed.Get("X-Forwarded-User"))

		r = withKey("Basic " + strings.Repeat("x", 8))
		got = s.do(t, r)
		assert.Equal(t, http.StatusUnauthorized, got.status)
		assert.Equal(t, []string{"Bearer"}, got.header.Values("WWW-Authenticate"))

		r = s.request(t.Context(), t, "/metrics", nil)
		r.Method = http.MethodGet
		got = s.do(t, r)
		assert.Equal(t, http.StatusNotFound, got.status)
		assert.Empty(t, u.got, "refused requests must not reach the gateway")
	})
}

func TestProxyLimitsRequests(t *testing.T) {
	eachProxy(t, func(t *testing.T, name string) {
		u := newUpstream(t)
		s := startProxy(t, name, u.host)
		got := s.do(t, s.request(t.Context(), t, "/echo", strings.NewReader(strings.Repeat(" ", 200<<10))))
		assert.Equal(t, http.StatusRequestEntityTooLarge, got.status)
		assert.Empty(t, u.got)
	})
	t.Run("nginx/rate", func(t *testing.T) {
		u := newUpstream(t)
		s := startProxy(t, "nginx", u.host)
		count := map[int]int{}
		for range 50 {
			got := s.do(t, s.request(t.Context(), t, "/echo", strings.NewReader("{}")))
			count[got.status]++
			assert.Equal(t, got.status == http.StatusTooManyRequests, got.header.Get("Retry-After") != "")
		}
		assert.GreaterOrEqual(t, count[http.StatusOK], 15)
		assert.GreaterOrEqual(t, count[http.StatusTooManyRequests], 1, "50 requests where 10 a second are allowed")
		assert.Len(t, count, 2)
	})
	t.Run("caddy/at once", func(t *testing.T) {
		u := newUpstream(t)
		s := startProxy(t, "caddy", u.host)
		// Caddy caches a correct password. Without this request it would check the password 64 times, which takes long.
		s.do(t, s.request(t.Context(), t, "/echo", strings.NewReader("{}")))
		<-u.got
		answers := make(chan int)
		for range 64 {
			go func() {
				response, err := s.client.Do(s.request(t.Context(), t, "/q", strings.NewReader("{}")))
				if assert.NoError(t, err) {
					response.Body.Close()
					answers <- response.StatusCode
				}
			}()
		}
		for range 64 {
			<-u.got
		}
		got := s.do(t, s.request(t.Context(), t, "/q", strings.NewReader("{}")))
		assert.Equal(t, http.StatusServiceUnavailable, got.status)
		close(u.release)
		for range 64 {
			assert.Equal(t, http.StatusOK, <-answers)
		}
		got = s.do(t, s.request(t.Context(), t, "/q", strings.NewReader("{}")))
		assert.Equal(t, http.StatusOK, got.status)
	})
}

// The PACS moves the next instance only when the event for the previous one has arrived.
func TestEventsPassAProxyOneByOne(t *testing.T) {
	eachProxy(t, func(t *testing.T, name string) {
		pacs := newHeldPACS(t)
		s := startProxy(t, name, newProxied(t).host())
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		names, err := events(t, s.client, s.request(ctx, t, "/qr", pacs.body(t, heldDestination)), func(e event) {
			if e.name == "matched" || e.name == "progress" {
				pacs.turns <- struct{}{}
			}
		})
		require.NoError(t, err)
		require.Greater(t, len(names), 4)
		assert.Equal(t, []string{"retrieved", "result"}, names[len(names)-2:])
	})
}

func TestDisconnectFromAProxyCancelsTheRetrieve(t *testing.T) {
	eachProxy(t, func(t *testing.T, name string) {
		pacs := newHeldPACS(t)
		s := startProxy(t, name, newProxied(t).host())
		ctx, leave := context.WithCancel(t.Context())
		_, err := events(t, s.client, s.request(ctx, t, "/qr", pacs.body(t, heldDestination)), pacs.midway(leave))
		require.ErrorIs(t, err, context.Canceled)
		soon(t, pacs.left, "the PACS goes on moving after the caller disconnected")
	})
}

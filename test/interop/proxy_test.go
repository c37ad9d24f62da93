//go:build interop

package interop

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

const (
	proxyUser, proxyPassword = "ann", "right"
	proxyKey                 = "the-key-of-the-proxy"
)

// proxySite is a proxy configured by the templates of samples/proxies, with two ports: for people, and for programs with keys.
type proxySite struct {
	*rig.Process
	people, keys string // base URLs
	client       *http.Client
	ca           []byte // the certificate of its authority, as PEM
	again        func() (*rig.Process, error)
}

// proxies are the proxies of samples/proxies.
var proxies = []struct {
	name string
	// start writes the files and returns a function that runs the proxy.
	start func(t *testing.T, dir string, settings map[string]string, changes *strings.Replacer) func() (*rig.Process, error)
}{
	{"nginx", nginxSample},
	{"caddy", caddySample},
}

// startProxy runs a proxy in front of the gateway at host:port and waits until it works.
func startProxy(t *testing.T, name, gateway string) *proxySite {
	t.Helper()
	return startProxyWith(t, name, gateway, strings.NewReplacer())
}

// startProxyWith runs a proxy whose files are changed.
func startProxyWith(t *testing.T, name, gateway string, changes *strings.Replacer) *proxySite {
	t.Helper()
	ca := newAuthority(t)
	ca.issue(t, "proxy")
	ports, err := freePorts(2)
	require.NoError(t, err)
	settings := map[string]string{
		"GATEWAY": gateway, "GATEWAY_KEY": proxyKey, "SERVER_NAME": "proxy",
		"CERTIFICATE_FILE": ca.file("proxy.crt"), "CERTIFICATE_KEY_FILE": ca.file("proxy.key"),
	}
	// nginx takes an address, Caddy a port.
	prefix := map[string]string{"nginx": "127.0.0.1:", "caddy": ":"}[name]
	settings["LISTEN"], settings["KEYS_LISTEN"] = fmt.Sprint(prefix, ports[0]), fmt.Sprint(prefix, ports[1])

	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	s := &proxySite{
		people: fmt.Sprintf("https://127.0.0.1:%d", ports[0]), keys: fmt.Sprintf("https://127.0.0.1:%d", ports[1]),
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}},
	}
	t.Cleanup(s.client.CloseIdleConnections)
	for _, p := range proxies {
		if p.name == name {
			s.again = p.start(t, t.TempDir(), settings, changes)
		}
	}
	s.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
	s.start(t)
	return s
}

// trusting returns a TLS configuration that trusts these authorities, PEM.
func trusting(t *testing.T, authorities []byte) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(authorities))
	return &tls.Config{RootCAs: roots}
}

func sha256Of(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// start starts the proxy, for the first time or again.
func (s *proxySite) start(t *testing.T) {
	t.Helper()
	p, err := s.again()
	started(t, p, err)
	s.Process = p
	s.await(t, http.StatusOK)
}

// await waits until the proxy answers /ready with this status.
func (s *proxySite) await(t *testing.T, status int) {
	t.Helper()
	require.NoError(t, s.Ready(func() error {
		response, err := s.client.Get(s.people + "/ready")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != status {
			return fmt.Errorf("/ready: %s, want %d", response.Status, status)
		}
		return nil
	}))
}

// request returns a POST of JSON to the port for people, with the credentials of the user.
func (s *proxySite) request(ctx context.Context, t *testing.T, path string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.people+path, body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth(proxyUser, proxyPassword)
	return r
}

func sample(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{root, "samples", "proxies"}, parts...)...))
	require.NoError(t, err)
	return string(b)
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func nginxSample(t *testing.T, dir string, settings map[string]string, changes *strings.Replacer) func() (*rig.Process, error) {
	t.Helper()
	digest := sha1.Sum([]byte(proxyPassword))
	settings["USERS_FILE"] = writeFile(t, filepath.Join(dir, "users"),
		proxyUser+":{SHA}"+base64.StdEncoding.EncodeToString(digest[:])+"\n")
	settings["ACCESS_LOG"] = filepath.Join(dir, "access.log")
	var names []string
	for name, value := range settings {
		names = append(names, "${"+name+"}", value)
	}
	for _, file := range []string{"gateway.conf", "keys.conf"} {
		writeFile(t, filepath.Join(dir, file), changes.Replace(strings.NewReplacer(names...).Replace(sample(t, "nginx", file+".template"))))
	}
	return func() (*rig.Process, error) { return startNginx(dir, "include gateway.conf; include keys.conf;") }
}

// startNginx runs nginx in the foreground with all its files in dir; conf is the http context.
func startNginx(dir, conf string) (*rig.Process, error) {
	path, err := lookup("nginx")
	if err != nil {
		return nil, err
	}
	text := "daemon off; pid nginx.pid; worker_processes 1; error_log stderr notice;\n"
	if os.Geteuid() == 0 {
		text += "user root;\n" // else the workers cannot write to dir
	}
	text += `events {}
http {
access_log off;
client_body_temp_path body;
proxy_temp_path proxy;
fastcgi_temp_path fastcgi;
uwsgi_temp_path uwsgi;
scgi_temp_path scgi;
`
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text+conf+"\n}\n"), 0o600); err != nil {
		return nil, err
	}
	return rig.Start(rig.Command{Path: path, Dir: dir, Args: []string{"-e", "stderr", "-p", dir, "-c", file}})
}

// caddyHash is computed once, because it takes Caddy a second.
var caddyHash = sync.OnceValues(func() (string, error) {
	path, err := lookup("caddy")
	if err != nil {
		return "", err
	}
	return run(path, "hash-password", "--plaintext", proxyPassword)
})

func caddySample(t *testing.T, dir string, settings map[string]string, changes *strings.Replacer) func() (*rig.Process, error) {
	t.Helper()
	path, err := lookup("caddy")
	require.NoError(t, err)
	hash, err := caddyHash()
	require.NoError(t, err)
	settings["USERS_FILE"] = writeFile(t, filepath.Join(dir, "users"), proxyUser+" "+strings.TrimSpace(hash)+"\n")
	env := []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	for name, value := range settings {
		env = append(env, name+"="+value)
	}
	for _, file := range []string{"Caddyfile", "keys.Caddyfile"} {
		writeFile(t, filepath.Join(dir, file), changes.Replace(sample(t, "caddy", file)))
	}
	return func() (*rig.Process, error) {
		return rig.Start(rig.Command{Path: path, Dir: dir, Env: env, Args: []string{
			"run", "--config", filepath.Join(dir, "keys.Caddyfile"), "--adapter", "caddyfile",
		}})
	}
}

// patience limits steps that are expected to be quick.
const patience = 20 * time.Second

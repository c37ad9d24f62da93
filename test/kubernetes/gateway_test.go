package kubernetes

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"dicom-qr-gateway/test/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// The built gateway runs with the environment of the manifests and with the Secrets that
// the commands of README.md create, and answers the probes and Prometheus.
func TestGatewayAnswersProbesAndPrometheus(t *testing.T) {
	secrets := makeSecrets(t)
	cluster := startNATS(t, secrets)

	each(t, func(t *testing.T, m *manifests) {
		environment := m.environment()
		if m.nats != nil {
			environment["NATS_URL"] = cluster
		}
		address := startGateway(t, environment, m.mount(t, secrets))
		for name, probe := range m.probes() {
			// The kubelet does not check certificates.
			kubelet := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
			assert.Equal(t, http.StatusOK, get(t, &kubelet, urlOf(string(probe.HTTPGet.Scheme), address, probe.HTTPGet.Path), ""), name)
			// Callers use a name of the Service.
			for _, host := range []string{"", "." + m.service.Namespace, "." + m.service.Namespace + ".svc", "." + m.service.Namespace + ".svc.cluster.local"} {
				docs := named{kubelet.Transport, m.service.Name + host}
				assert.Equal(t, http.StatusOK, get(t, &http.Client{Transport: docs}, urlOf(string(probe.HTTPGet.Scheme), address, "/docs"), ""), host)
			}
		}
		if m.monitor == nil {
			return
		}
		monitor := m.monitor.Spec.Endpoints[0]
		prometheus, key := http.Client{Transport: &http.Transport{}}, ""
		metrics := urlOf(monitor.Scheme.String(), address, monitor.Path)
		if monitor.TLSConfig != nil {
			ca := x509.NewCertPool()
			require.True(t, ca.AppendCertsFromPEM(secrets.value(t, monitor.TLSConfig.CA.Secret)))
			prometheus.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca, ServerName: *monitor.TLSConfig.ServerName}}
			assert.Equal(t, m.service.Name+"."+m.service.Namespace+".svc", *monitor.TLSConfig.ServerName)
		}
		if monitor.Authorization != nil {
			key = monitor.Authorization.Type + " " + string(secrets.value(t, monitor.Authorization.Credentials))
			assert.Equal(t, http.StatusUnauthorized, get(t, &prometheus, metrics, ""))
		}
		assert.Equal(t, http.StatusOK, get(t, &prometheus, metrics, key))
	})
}

// named sends requests under a host name.
type named struct {
	http.RoundTripper
	host string
}

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = n.host
	return n.RoundTripper.RoundTrip(r)
}

// urlOf returns the URL of the path; an empty scheme is HTTP.
func urlOf(scheme, address, path string) string {
	return cmp.Or(strings.ToLower(scheme), "http") + "://" + address + path
}

func get(t *testing.T, c *http.Client, url, authorization string) int {
	t.Helper()
	defer c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	response, err := c.Do(r)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// secretFiles is a folder that holds one folder for each Secret, with one file for each key.
type secretFiles string

func (s secretFiles) value(t *testing.T, key *corev1.SecretKeySelector) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(string(s), key.Name, key.Key))
	require.NoError(t, err)
	return content
}

// mount returns the folder that stands in for each mount path of the container.
func (m *manifests) mount(t *testing.T, secrets secretFiles) map[string]string {
	t.Helper()
	at := map[string]string{}
	for _, mount := range m.container().VolumeMounts {
		for _, volume := range m.deployment.Spec.Template.Spec.Volumes {
			switch {
			case volume.Name != mount.Name:
			case volume.EmptyDir != nil:
				at[mount.MountPath] = t.TempDir()
			case volume.ConfigMap != nil:
				require.Equal(t, m.pacs.Name, volume.ConfigMap.Name)
				at[mount.MountPath] = t.TempDir()
				require.NoError(t, os.WriteFile(filepath.Join(at[mount.MountPath], "pacs.yaml"), []byte(m.pacs.Data["pacs.yaml"]), 0o600))
			default:
				at[mount.MountPath] = filepath.Join(string(secrets), volume.Secret.SecretName)
			}
		}
		require.DirExists(t, at[mount.MountPath], "README.md creates no Secret for %s", mount.Name)
	}
	return at
}

// makeSecrets runs the commands of README.md with a kubectl that writes files.
func makeSecrets(t *testing.T) secretFiles {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(samples, "README.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(readme), "\n## Keys and certificates\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	const kubectl = `set -eu
kubectl() {
    [ "$1 $2 $3 $4 $5" = "-n dicom-qr-gateway create secret generic" ]
    secret=$6
    shift 6
    mkdir "$SECRETS/$secret"
    for argument; do
        argument=${argument#--from-file=}
        cp "${argument#*=}" "$SECRETS/$secret/${argument%%=*}"
    done
}
`
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1)
	require.Len(t, blocks, len(optional)-1)
	script := []string{kubectl}
	for _, block := range blocks {
		script = append(script, block[1])
	}
	dir, secrets := t.TempDir(), t.TempDir()
	certify(t, dir)
	sh := exec.Command("sh", "-c", strings.Join(script, ""))
	sh.Dir, sh.Env = dir, append(os.Environ(), "SECRETS="+secrets)
	out, err := sh.CombinedOutput()
	require.NoError(t, err, string(out))
	return secretFiles(secrets)
}

// certify writes a self-signed certificate that is its own CA.
func certify(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"dicom-qr-gateway.dicom-qr-gateway.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, // of NATS in this test
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, content := range map[string][]byte{
		"ca.crt": certificate, "tls.crt": certificate, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
}

// startGateway runs the gateway until the test ends and returns its address; the port differs
// from that of a pod. The gateway must exit cleanly, and must log no warnings or errors except
// the one about missing API keys when no component sets them.
func startGateway(t *testing.T, environment, mounts map[string]string) (address string) {
	t.Helper()
	var env []string
	for name, value := range environment {
		for path, dir := range mounts {
			if file, below := strings.CutPrefix(value+"/", path+"/"); below {
				value = filepath.Join(dir, file)
			}
		}
		if name == "LISTEN_ADDR" || name == "STORE_LISTEN_ADDR" {
			value = "127.0.0.1:0"
		}
		env = append(env, name+"="+value)
	}
	var g *rig.Gateway
	t.Cleanup(func() { // after the end of the gateway
		if g == nil {
			return
		}
		want := 0
		if environment["API_KEYS_FILE"] == "" {
			want = 1 // no API keys: anyone who reaches the gateway may use it
		}
		assert.Len(t, g.Lines(warning), want, g.String())
	})
	g = rig.RunGateway(t, rig.Command{Env: env, OnlyEnv: true})
	if environment["NATS_URL"] != "" {
		g.Await(t, rig.Message("connected to NATS"))
	}
	_, address, _ = strings.Cut(g.URL, "://")
	return address
}

func warning(l rig.Line) bool {
	return strings.Contains(l.Text, `"level":"warn"`) || strings.Contains(l.Text, `"level":"error"`)
}

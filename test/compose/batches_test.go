package compose

import (
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// secrets runs the commands of the README in a copy of the sample, and returns the folder that they fill.
func secrets(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("../../samples/batches/README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)\n## Secrets\n.*?```sh\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("README.md has no commands that write the secrets")
	}
	project := t.TempDir()
	sample := filepath.Join(project, "samples", "batches")
	if err := os.MkdirAll(sample, 0o700); err != nil {
		t.Fatal(err)
	}
	sh := exec.Command("sh", "-euc", string(block[1]))
	sh.Dir = project
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(sample, "secrets")
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// setting returns a variable of a service.
func setting(s types.ServiceConfig, name string) string {
	if value := s.Environment[name]; value != nil {
		return *value
	}
	return ""
}

func TestNATSAcceptsTheGatewaysOnly(t *testing.T) {
	dir, written := t.TempDir(), secrets(t)
	for _, file := range []string{"../../samples/batches/nats.conf", filepath.Join(written, "secrets.conf")} {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(content(t, file)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options, err := server.ProcessConfigFile(filepath.Join(dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !options.SyncAlways || options.JetStreamCipher != server.AES || len(options.JetStreamKey) < 32 {
		t.Error("JetStream does not sync or encrypt its files")
	}
	if options.Port != 4222 || options.HTTPHost != "127.0.0.1" {
		t.Errorf("NATS listens at port %d, its monitor on %s", options.Port, options.HTTPHost)
	}
	options.Host, options.Port, options.HTTPPort, options.StoreDir, options.NoSigs = "127.0.0.1", -1, 0, t.TempDir(), true
	nc, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	nc.Start()
	defer func() {
		nc.Shutdown()
		nc.WaitForShutdown()
	}()
	if !nc.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS does not start")
	}
	user, password, _ := strings.Cut(strings.TrimSpace(content(t, filepath.Join(written, "credentials"))), ":")
	connection, err := nats.Connect(nc.ClientURL(), nats.UserInfo(user, password))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	js, err := connection.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AccountInfo(); err != nil {
		t.Error(err)
	}
	if _, err := nats.Connect(nc.ClientURL()); err == nil {
		t.Error("NATS accepts anybody")
	}
}

func TestThreeGatewaysDifferInTheirNamesOnly(t *testing.T) {
	project := load(t, many)
	var first types.MappingWithEquals
	for _, name := range []string{"gateway1", "gateway2", "gateway3"} {
		gateway := project.Services[name]
		if got := setting(gateway, "GATEWAY_NAME"); got != name {
			t.Errorf("%s is named %q", name, got)
		}
		rest := maps.Clone(gateway.Environment)
		delete(rest, "GATEWAY_NAME")
		if first == nil {
			first = rest
		}
		if !maps.EqualFunc(first, rest, func(a, b *string) bool { return *a == *b }) {
			t.Errorf("%s has other settings", name)
		}
		if got := setting(gateway, "NATS_CREDENTIALS_FILE"); len(gateway.Secrets) != 1 || got != "/run/secrets/"+gateway.Secrets[0].Source {
			t.Errorf("%s reads its credentials from %q", name, got)
		}
		u, err := url.Parse(setting(gateway, "NATS_URL"))
		if err != nil || project.Services[u.Hostname()].Name == "" || u.Port() != "4222" {
			t.Errorf("%s connects to %v", name, u)
		}
	}
}

func TestOneGatewayKeepsItsJobsOnAVolumeOfItsUser(t *testing.T) {
	gateway := load(t, one).Services["gateway"]
	dir := setting(gateway, "JOBS_DIR")
	mounted := false
	for _, volume := range gateway.Volumes {
		mounted = mounted || volume.Type == types.VolumeTypeVolume && volume.Target == dir
	}
	if !mounted {
		t.Error("JOBS_DIR is not on a volume")
	}
	if !regexp.MustCompile(`(?m)^COPY .*--chown=10001:10001 \S+ ` + regexp.QuoteMeta(dir) + `$`).MatchString(content(t, "../../Dockerfile")) {
		t.Error("the image has no such folder for the user of the gateway")
	}
	if got := setting(gateway, "JOBS_KEY_FILE"); got != "/run/secrets/"+gateway.Secrets[0].Source {
		t.Errorf("the key is in %q", got)
	}
	if key := strings.TrimSpace(content(t, filepath.Join(secrets(t), "jobs.key"))); len(key) < 32 {
		t.Error("the key is too short")
	}
}

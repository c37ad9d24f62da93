// Package compose tests the compose files of samples/pacs, samples/ohif and samples/batches: that they are valid according to the reference
// implementation of the Compose Specification, and that they do what their README says. It is a
// separate module, so that the gateway does not depend on that implementation.
package compose

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const (
	pacs = "../../samples/pacs/compose.yaml"
	ohif = "../../samples/ohif/compose.yaml"
	many = "../../samples/batches/compose.yaml"
	one  = "../../samples/batches/one.yaml"
)

// load reads a compose file. It fails if the file does not match the schema or refers to
// something that it does not define.
func load(t *testing.T, file string, env ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(env), cli.WithNormalization(true), cli.WithConsistency(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestInvalidFilesAreRejected(t *testing.T) {
	content, err := os.ReadFile(pacs)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range []struct{ what, with string }{
		{"read_only: true", "readonly: true"},
		{"condition: service_healthy", "condition: healthy"},
		{"cap_drop: [ALL]", "cap_drop: ALL"},
		{"      orthanca:\n        condition", "      orthancc:\n        condition"},
	} {
		if !strings.Contains(string(content), fault.what) {
			t.Fatalf("%q is not in the file", fault.what)
		}
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(content), fault.what, fault.with)), 0o600); err != nil {
			t.Fatal(err)
		}
		options, err := cli.NewProjectOptions([]string{file}, cli.WithNormalization(true), cli.WithConsistency(true))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := options.LoadProject(t.Context()); err == nil {
			t.Errorf("the file is accepted with %q instead of %q", fault.with, fault.what)
		}
	}
}

func TestServicesArePinnedAndConfined(t *testing.T) {
	confined(t, pacs, "gateway", "loader", "orthanca", "orthancb")
	confined(t, ohif, "gateway", "ohif")
	confined(t, many, "gateway1", "gateway2", "gateway3", "loader", "nats", "orthanca", "orthancb")
	confined(t, one, "gateway")
}

// confined checks the services of a compose file, and that they are these.
func confined(t *testing.T, file string, want ...string) {
	t.Helper()
	project := load(t, file)
	names := project.ServiceNames()
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Fatalf("services %v", names)
	}
	pinned := regexp.MustCompile(`^[a-z/-]+:(local|\d+\.\d+\.\d+)$`)
	for name, service := range project.Services {
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s has more privileges than it needs", name)
		}
		if !pinned.MatchString(service.Image) {
			t.Errorf("%s: image %q is not pinned to a version", name, service.Image)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is published on %q", name, port.Published, port.HostIP)
			}
		}
		if service.Build == nil {
			continue
		}
		dockerfile := service.Build.Dockerfile
		if !filepath.IsAbs(dockerfile) {
			dockerfile = filepath.Join(service.Build.Context, dockerfile)
		}
		if _, err := os.Stat(dockerfile); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestYourOwnPACSReplacesORTHANCA(t *testing.T) {
	project := load(t, pacs, "PACS_AE_TITLE=MYPACS", "PACS_HOST=192.0.2.10", "ORTHANCB_BIND=0.0.0.0")
	environment := func(service, name string) string {
		value := project.Services[service].Environment[name]
		if value == nil {
			return ""
		}
		return *value
	}
	if got := environment("orthancb", "PACS_AE_TITLE"); got != "MYPACS" {
		t.Errorf("ORTHANCB accepts %q", got)
	}
	if got := environment("gateway", "PACS_ALLOWLIST"); got != "orthanca,orthancb,192.0.2.10" {
		t.Errorf("PACS_ALLOWLIST is %q", got)
	}
	if got := project.Services["orthancb"].Ports[0]; got.HostIP != "0.0.0.0" || got.Published != "4243" || got.Target != 4242 {
		t.Errorf("ORTHANCB listens on %+v", got)
	}
	if len(project.Services["gateway"].DependsOn) > 0 {
		t.Error("the gateway depends on ORTHANCA")
	}
}

func TestOrthancGetsOnlyVariablesThatItsConfigurationUses(t *testing.T) {
	config, err := os.ReadFile("../../samples/pacs/orthanc.json")
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, variable := range regexp.MustCompile(`\$\{(\w+)`).FindAllSubmatch(config, -1) {
		asked[string(variable[1])] = true
	}
	for _, name := range []string{"orthanca", "orthancb"} {
		for variable := range load(t, pacs).Services[name].Environment {
			if !asked[variable] {
				t.Errorf("%s: orthanc.json does not use %s", name, variable)
			}
		}
	}
}

func TestOHIFHasOneOriginAndACache(t *testing.T) {
	project := load(t, ohif)
	gateway, viewer := project.Services["gateway"], project.Services["ohif"]
	if size := gateway.Environment["CACHE_SIZE"]; size == nil || *size == "" {
		t.Error("the cache is off")
	}
	if url := viewer.Environment["GATEWAY_URL"]; url == nil || *url != "http://gateway:6000" {
		t.Error("the viewer has no gateway")
	}
}

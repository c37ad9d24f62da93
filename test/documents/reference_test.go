//go:build unix

package documents

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/test/rig"
)

func TestMain(m *testing.M) {
	status := rig.Main(m)
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// TestEverySettingIsDocumented compares docs/settings.md with the settings and defaults that the gateway logs at its start.
func TestEverySettingIsDocumented(t *testing.T) {
	page := read(t, "docs/settings.md")
	defaults := map[string]string{}
	for _, row := range page.Rows() {
		if row.Section == "Others" || row.Section == "Demonstration" {
			continue
		}
		for _, name := range names(row.Cells[0]) {
			assert.NotContains(t, defaults, name)
			defaults[name] = strings.Trim(row.Cells[1], "`")
		}
	}
	documented := sortedKeys(defaults)
	for name, value := range defaults {
		if other, isName := defaults[value]; isName {
			defaults[name] = other
		}
	}

	path, err := rig.Binary()
	require.NoError(t, err)
	gateway, err := rig.Start(rig.Command{Path: path, OnlyEnv: true, Env: []string{"MAX_MEMORY=256MiB"}})
	require.NoError(t, err)
	defer gateway.Kill()
	var starting struct{ Settings map[string]any }
	require.NoError(t, gateway.Await(t, rig.Message("starting")).Decode(&starting))
	delete(starting.Settings, "tracing") // on or off, by the variables of OpenTelemetry
	settings := map[string]string{}
	for name, value := range starting.Settings {
		settings[strings.ToUpper(name)] = fmt.Sprint(value)
	}
	assert.Equal(t, sortedKeys(settings), documented)
	assert.Equal(t, settings, defaults, "the defaults")
}

// TestSettingsAreDescribedAlikeByThePageAndTheProgram compares docs/settings.md with the descriptions that --help prints.
func TestSettingsAreDescribedAlikeByThePageAndTheProgram(t *testing.T) {
	page := read(t, "docs/settings.md")
	plain := strings.NewReplacer("`", "", "**", "")
	rows := map[string]Row{}
	for _, row := range page.Rows() {
		if row.Section != "Others" {
			rows[plain.Replace(row.Cells[0])] = row
		}
	}
	for _, setting := range config.Settings() {
		row, ok := rows[setting.Name]
		if assert.True(t, ok, setting.Name) {
			assert.Equal(t, setting.Group, row.Section, setting.Name)
			assert.Equal(t, setting.Default, plain.Replace(row.Cells[1]), setting.Name)
			assert.True(t, strings.HasPrefix(plain.Replace(row.Cells[2]), setting.Help), "%s: the page says %q, --help %q",
				setting.Name, row.Cells[2], setting.Help)
		}
		delete(rows, setting.Name)
	}
	assert.Empty(t, rows, "settings of the page that do not exist")
}

// Every variable that the pages name in capitals must exist, so that a renamed setting leaves no trace.
func TestPagesNameNoOtherSettings(t *testing.T) {
	known := sortedKeys(table(t, read(t, "docs/settings.md"), "Demonstration"))
	for _, row := range read(t, "docs/settings.md").Rows() {
		known = append(known, names(row.Cells[0])...)
	}
	for _, d := range append(pages(t), read(t, "CONTRIBUTING.md"), read(t, "SECURITY.md"), read(t, "dicomnet/CONFORMANCE.md")) {
		for _, name := range regexp.MustCompile("`([A-Z]+(?:_[A-Z]+)+)`").FindAllStringSubmatch(d.Text, -1) {
			if !strings.HasPrefix(name[1], "OTEL_") && name[1] != "IMAGE_REGISTRY" && !strings.HasPrefix(name[1], "CLIENT_") {
				assert.Contains(t, known, name[1], d.Path)
			}
		}
	}
}

// contract is what these tests need of openapi.yaml.
type contract struct {
	Paths      map[string]map[string]any
	Components struct {
		Schemas map[string]struct {
			Description string
			Required    []string
			Enum        []string
			Properties  map[string]any
		}
		Examples map[string]struct{ Value any }
	}
}

func readContract(t *testing.T) contract {
	t.Helper()
	root, err := rig.Root()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "openapi.yaml"))
	require.NoError(t, err)
	var c contract
	require.NoError(t, yaml.Unmarshal(text, &c))
	return c
}

func TestEveryProblemCodeIsDocumented(t *testing.T) {
	schema := readContract(t).Components.Schemas["ProblemCode"]
	rows := table(t, read(t, "docs/api.md"), "Problems")
	maps.Copy(rows, table(t, read(t, "docs/jobs.md"), "Problems"))
	assert.ElementsMatch(t, schema.Enum, sortedKeys(rows))
	for _, row := range (Document{Text: schema.Description}).Rows() {
		code := names(row.Cells[0])[0]
		if cells, ok := rows[code]; assert.True(t, ok, code) {
			assert.Equal(t, row.Cells[1], cells[1], "status of %s", code)
		}
	}
}

// The action for a 502 is a hint of the contract's examples, which other tests compare with the answers of the gateway.
func TestActionsForFailedOperationsAreTheirHints(t *testing.T) {
	hints := map[string][]string{}
	for _, example := range readContract(t).Components.Examples {
		if document, ok := example.Value.(map[string]any); ok && document["status"] == 502 {
			code := document["code"].(string)
			hints[code] = append(hints[code], document["hint"].(string))
		}
	}
	documented := 0
	for code, cells := range table(t, read(t, "docs/api.md"), "Problems") {
		if cells[1] != "502" {
			continue
		}
		documented++
		action := strings.ReplaceAll(cells[3], "`", "")
		if action == "depends on the cause: see hint" {
			slices.Sort(hints[code])
			assert.Greater(t, len(slices.Compact(hints[code])), 1, code)
			continue
		}
		assert.Contains(t, hints[code], action, code)
	}
	assert.Len(t, hints, documented)
}

func TestEveryWarningCodeIsDocumented(t *testing.T) {
	rows := table(t, read(t, "docs/api.md"), "Warnings")
	assert.ElementsMatch(t, readContract(t).Components.Schemas["WarningCode"].Enum, sortedKeys(rows))
}

func TestEveryRequestFieldIsDocumented(t *testing.T) {
	schema := readContract(t).Components.Schemas["RetrieveRequest"]
	rows := table(t, read(t, "docs/api.md"), "Request")
	assert.ElementsMatch(t, sortedKeys(schema.Properties), sortedKeys(rows))
	for field, cells := range rows {
		assert.Equal(t, slices.Contains(schema.Required, field), strings.Contains(cells[2], "yes"), field)
	}
}

func TestEveryRouteIsDocumented(t *testing.T) {
	page := read(t, "docs/api.md")
	documented := slices.Concat(
		sortedKeys(table(t, page, "Routes")), sortedKeys(table(t, page, "Other routes")), sortedKeys(table(t, read(t, "docs/jobs.md"), "Routes")))
	var routes []string
	for path, methods := range readContract(t).Paths {
		for method := range methods {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
	}
	assert.ElementsMatch(t, routes, documented)
}

package telemetry

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// registered returns the labels of all metrics by name.
func registered(t *testing.T) map[string][]string {
	t.Helper()
	tel, err := New(Options{})
	require.NoError(t, err)
	descriptions := make(chan *prometheus.Desc)
	go func() {
		tel.metrics.registry.Describe(descriptions)
		close(descriptions)
	}()
	found := map[string][]string{"up": nil} // a metric of Prometheus itself
	pattern := regexp.MustCompile(`fqName: "(\w+)".*constLabels: \{(.*?)\}, variableLabels: \{(.*?)\}`)
	for d := range descriptions {
		parts := pattern.FindStringSubmatch(d.String())
		require.NotNil(t, parts, d.String())
		constant, _, _ := strings.Cut(parts[2], "=")
		found[parts[1]] = append(strings.Split(parts[3], ","), constant)
	}
	return found
}

var (
	// selected is a metric with its label matchers.
	selected = regexp.MustCompile(`\b(up\b|(?:dicomqr|go|process)_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
	suffix   = regexp.MustCompile(`_(bucket|count|sum)$`)
)

// known checks the metrics in an expression against the registered ones and returns their names.
func known(t *testing.T, metrics map[string][]string, expression string) []string {
	t.Helper()
	var names []string
	for _, found := range selected.FindAllStringSubmatch(expression, -1) {
		name := found[1]
		labels, ok := metrics[name]
		if !ok {
			name = suffix.ReplaceAllString(name, "")
			labels, ok = metrics[name]
		}
		if !assert.True(t, ok, "%s in %s", found[1], expression) {
			continue
		}
		names = append(names, name)
		for _, m := range matcher.FindAllStringSubmatch(found[2], -1) {
			assert.Contains(t, append([]string{"job", "instance", "le"}, labels...), m[1], expression)
		}
	}
	assert.NotEmpty(t, names, expression)
	return names
}

func TestDashboardShowsAllMetricsAndNoOther(t *testing.T) {
	file, err := os.ReadFile("../../samples/grafana/dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(file, &dashboard))
	metrics := registered(t)
	var shown []string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			shown = append(shown, known(t, metrics, target.Expr)...)
		}
	}
	for name := range metrics {
		if strings.HasPrefix(name, namespace) {
			assert.True(t, slices.Contains(shown, name), "%s is on no panel", name)
		}
	}
}

func TestAlertsUseExistingMetrics(t *testing.T) {
	file, err := os.ReadFile("../../samples/grafana/alerts.yml")
	require.NoError(t, err)
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	require.NoError(t, yaml.Unmarshal(file, &rules))
	require.NotEmpty(t, rules.Groups)
	metrics := registered(t)
	for _, rule := range rules.Groups[0].Rules {
		known(t, metrics, rule.Expr)
	}
}

func TestOperationsPageListsEveryMetricWithItsLabels(t *testing.T) {
	file, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	for name, labels := range registered(t) {
		if !strings.HasPrefix(name, namespace) {
			continue
		}
		row := regexp.MustCompile("\\| `" + name + "` \\|([^|]*)\\|").FindStringSubmatch(string(file))
		if !assert.NotNil(t, row, "%s is not in docs/operations.md", name) {
			continue
		}
		for _, label := range labels {
			if label != "" {
				assert.Contains(t, row[1], "`"+label+"`", name)
			}
		}
	}
}

func TestDocumentsNameNoOtherMetric(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	metrics := registered(t)
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, name := range regexp.MustCompile(`\b`+namespace+`_\w+`).FindAllString(string(text), -1) {
			if _, ok := metrics[name]; !ok {
				assert.Contains(t, metrics, suffix.ReplaceAllString(name, ""), file)
			}
		}
	}
}

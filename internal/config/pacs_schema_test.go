package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

const root = "../../"

// schema returns the JSON Schema of PACS_FILE, compiled and as a document.
func schema(t testing.TB) (*jsonschema.Schema, map[string]any) {
	t.Helper()
	contents, err := os.ReadFile(root + "docs/pacs.schema.json")
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(contents))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("pacs.schema.json", document))
	compiled, err := compiler.Compile("pacs.schema.json")
	require.NoError(t, err)
	return compiled, document.(map[string]any)
}

// validates reports whether the schema accepts a YAML document.
func validates(t testing.TB, s *jsonschema.Schema, contents string) error {
	t.Helper()
	var value any
	require.NoError(t, yaml.Unmarshal([]byte(contents), &value))
	asJSON, err := json.Marshal(value)
	require.NoError(t, err)
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	require.NoError(t, err)
	return s.Validate(instance)
}

// faultsOf returns the faults that the parser finds, those of files apart.
func faultsOf(contents string) []string {
	var faults pacsFaults
	readPACSFile("pacs.yaml", []byte(contents), &pacsDefaults{maxAssociations: 10, storage: true}, &faults)
	return faults.lines("pacs.yaml")
}

// values are, for each field of an entry, values that are valid and values that are not, as YAML.
var values = map[string]struct{ valid, invalid []string }{
	"description":      {[]string{"Archive", `"ü 1"`, `"7"`}, []string{"''", "' '", "7", "true", "[]", "{}", `"a\nb"`, `"` + strings.Repeat("x", 201) + `"`}},
	"host":             {[]string{"h", "10.0.0.1", `"::1"`, "a_b.example", "pacs.example."}, []string{"''", "a b", "http://h", "7", "[h]", "null", `"` + strings.Repeat("a", 300) + `"`}},
	"port":             {[]string{"1", "104", "65535"}, []string{"0", "65536", "-1", "1.5", "'104'", "[]", "true"}},
	"ae_title":         {[]string{"PACS", `" A "`, "'1234'", `"A/B c"`}, []string{"''", "'  '", `'a\b'`, "'12345678901234567'", "Ä", "1234", "{}"}},
	"calling_ae_title": {[]string{"GATEWAY"}, []string{"''", "12"}},
	"tls":              {[]string{"true", "false", "{}", "{server_name: h}"}, []string{"1", "'true'", "[]", "{ca: x}", "{cert_file: x}", "{key_file: x}", "{ca_file: ''}", "{ca_file: 1}"}},
	"max_associations": {[]string{"2", "1000"}, []string{"0", "1001", "'2'", "2.5"}},
	"association_idle": {[]string{"0", "0.5", "30", "500ms", "1m30s", "1000000"}, []string{"-1", "1000001", "soon", "'-5s'", "[]", "true"}},
	"timeouts": {
		[]string{"{}", "{connection: 1, acse: 0.5, dimse: 3, move: 1h, network: 250ms}"},
		[]string{"[]", "1", "{move: 0}", "{move: -1}", "{dimse: later}", "{other: 1}", "{acse: true}"},
	},
	"default_character_set":   {[]string{"ISO_IR 100", `"ISO 2022 IR 6\\ISO 2022 IR 87"`}, []string{"''", "100", "[]"}},
	"model":                   {[]string{"study", "patient"}, []string{"Study", "''", "1", "[study]"}},
	"retrieve":                {[]string{"auto", "get", "move"}, []string{"push", "''", "false"}},
	"reserved_associations":   {[]string{"0", "2"}, []string{"-1", "1001", "'1'", "1.5"}},
	"max_retrievals":          {[]string{"1", "2"}, []string{"0", "1001", "'1'"}},
	"move_destinations":       {[]string{"[GATEWAY]", "[A, B]"}, []string{"GATEWAY", "[]", "[A, A]", "['']", "[1]"}},
	"store_from":              {[]string{"[10.0.0.0/8]", "['::1', 192.0.2.1]"}, []string{"10.0.0.0/8", "[]", "[pacs.example]", "[10.0.0.1, 10.0.0.1]", "[1]"}},
	"store_calling_ae_titles": {[]string{"[PACS]"}, []string{"PACS", "[]", `['a\b']`}},
	"profile": {
		[]string{"{}", "{relational_queries: true, image_level_find: false, uid_lists: true, study_keys: [ModalitiesInStudy]}", "{study_keys: []}"},
		[]string{"true", "{uid_lists: 1}", "{uid_lists: 'true'}", "{study_keys: ModalitiesInStudy}", "{study_keys: [modalities]}", "{study_keys: [PatientID, PatientID]}", "{other: 1}"},
	},
}

// Every field is in the schema, in the parser, and in the values of the tests.
func TestSchemaAndParserHaveTheSameFields(t *testing.T) {
	_, document := schema(t)
	definitions := document["$defs"].(map[string]any)
	properties := func(name string) []string {
		return slices.Sorted(maps.Keys(definitions[name].(map[string]any)["properties"].(map[string]any)))
	}
	assert.Equal(t, slices.Sorted(maps.Keys(values)), properties("pacs"))
	read := func(file string, fields ...string) {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, field := range fields {
			assert.Contains(t, string(source), `"`+field+`":`, "the parser has no field %s", field)
		}
	}
	for _, name := range []string{"pacs", "tls", "timeouts", "profile"} {
		read("pacs_file.go", properties(name)...)
	}
	source, err := os.ReadFile("pacs_file.go")
	require.NoError(t, err)
	inParser := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^\s+"([a-z_]+)":\s+(?:func|file)`).FindAllStringSubmatch(string(source), -1) {
		inParser[found[1]] = true
	}
	for _, name := range []string{"pacs", "tls", "timeouts", "profile"} {
		for _, field := range properties(name) {
			delete(inParser, field)
		}
	}
	assert.Empty(t, inParser, "fields that the schema lacks")
}

func entryWith(fields map[string]string) string {
	all := map[string]string{"host": "h", "port": "1", "ae_title": "A", "calling_ae_title": "B"}
	maps.Copy(all, fields)
	var b strings.Builder
	b.WriteString("pacs:\n  main:\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] != "" {
			fmt.Fprintf(&b, "    %s: %s\n", name, all[name])
		}
	}
	return b.String()
}

func TestSchemaAndParserAgreeOnEveryValue(t *testing.T) {
	s, _ := schema(t)
	for name, of := range values {
		for _, value := range of.valid {
			contents := entryWith(map[string]string{name: value})
			assert.NoError(t, validates(t, s, contents), contents)
			assert.Empty(t, faultsOf(contents), contents)
		}
		for _, value := range of.invalid {
			contents := entryWith(map[string]string{name: value})
			assert.Error(t, validates(t, s, contents), contents)
			assert.NotEmpty(t, faultsOf(contents), contents)
		}
	}
	for _, contents := range []string{
		"{}", "pacs: {}", "pacs: []", "pacs: {main: 1}", "other: 1", "pacs: {main: {host: h}}", "pacs: {Main: {host: h, port: 1, ae_title: A, calling_ae_title: B}}",
		entryWith(map[string]string{"host": ""}), entryWith(map[string]string{"other": "1"}),
	} {
		assert.Error(t, validates(t, s, contents), contents)
		assert.NotEmpty(t, faultsOf(contents), contents)
	}
}

// Files of random fields with random values are valid for both or for none.
func TestSchemaAndParserAgreeOnRandomFiles(t *testing.T) {
	s, _ := schema(t)
	names := slices.Sorted(maps.Keys(values))
	rapid.Check(t, func(r *rapid.T) {
		fields := map[string]string{}
		valid := true
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[string]).Draw(r, "fields") {
			of := values[name]
			if rapid.IntRange(0, 9).Draw(r, "kind") == 0 {
				fields[name], valid = rapid.SampledFrom(of.invalid).Draw(r, name), false
			} else {
				fields[name] = rapid.SampledFrom(of.valid).Draw(r, name)
			}
		}
		if rapid.IntRange(0, 9).Draw(r, "unknown") == 0 {
			name := rapid.StringMatching(`[a-z_]{1,12}`).Draw(r, "name")
			if _, known := values[name]; !known {
				fields[name], valid = "1", false
			}
		}
		contents := entryWith(fields)
		fromSchema, faults := validates(t, s, contents), faultsOf(contents)
		if (fromSchema == nil) != valid || (len(faults) == 0) != valid {
			r.Fatalf("%s\nvalid: %t\nschema: %v\nparser: %v", contents, valid, fromSchema, faults)
		}
	})
}

// Every file of PACS in the repository names the schema in its first line, is valid for it, and is read without a fault.
func TestSamplesOfPACSFilesAreValid(t *testing.T) {
	s, _ := schema(t)
	var files []string
	for _, pattern := range []string{"samples/*/pacs.yaml", "samples/*/*/pacs.yaml"} {
		found, err := filepath.Glob(root + pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	require.GreaterOrEqual(t, len(files), 2)
	line := regexp.MustCompile(`^# yaml-language-server: \$schema=(\S+)\n`)
	for _, file := range files {
		contents, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.NoError(t, validates(t, s, string(contents)), file)
		assert.Empty(t, faultsOf(string(contents)), file)
		named := line.FindStringSubmatch(string(contents))
		require.NotNil(t, named, "%s does not name its schema in the first line", file)
		assert.FileExists(t, filepath.Join(filepath.Dir(file), named[1]))
	}
}

// FuzzPACSFile reads any bytes: it neither panics nor hangs, and a file without faults has entries that can be used.
func FuzzPACSFile(f *testing.F) {
	f.Add(everything)
	f.Add(with("tls: {ca_file: a, cert_file: b, key_file: c}", "timeouts: {move: 1h}"))
	f.Add("pacs: {a: &x {}, b: *x}\n---\n")
	f.Add("%YAML 1.2\n---\npacs:\n  ? [a]\n  : |\n    x\n")
	f.Fuzz(func(t *testing.T, contents string) {
		var faults pacsFaults
		entries := readPACSFile("pacs.yaml", []byte(contents), &pacsDefaults{maxAssociations: 10, storage: true}, &faults)
		for _, line := range faults.lines("pacs.yaml") {
			if strings.ContainsAny(line, "\n\x00") {
				t.Fatalf("fault of several lines: %q", line)
			}
		}
		if len(faults.all) > 0 {
			return
		}
		if len(entries) == 0 {
			t.Fatal("neither entries nor faults")
		}
		for _, e := range entries {
			if e.peer.Name == "" || e.peer.Host == "" || e.peer.Port < 1 || e.peer.CalledAETitle == "" || e.peer.CallingAETitle == "" ||
				e.peer.Settings.MaxAssociations < 1 || e.peer.Settings.MaxRetrievals < 1 || len(e.peer.Settings.StoreCallingAETitles) == 0 {
				t.Fatalf("incomplete: %+v", e.peer)
			}
		}
	})
}

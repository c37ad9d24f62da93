package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/config"
)

// writeFile writes lines to a new file and returns its path.
func writeFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.env")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

func TestCommands(t *testing.T) {
	const hint = "\nTry 'dicom-qr-gateway --help'.\n"
	for name, test := range map[string]struct {
		args           []string
		env            map[string]string
		status         int
		stdout, stderr string
	}{
		"version":                  {[]string{"version"}, nil, 0, "dicom-qr-gateway ", ""},
		"version as an option":     {[]string{"--version"}, nil, 0, "dicom-qr-gateway ", ""},
		"version of a command":     {[]string{"serve", "--version"}, nil, 0, "dicom-qr-gateway ", ""},
		"help":                     {[]string{"help"}, nil, 0, "usage: dicom-qr-gateway", ""},
		"help as an option":        {[]string{"--help"}, nil, 0, "usage: dicom-qr-gateway", ""},
		"help in short":            {[]string{"-h"}, nil, 0, "usage: dicom-qr-gateway", ""},
		"help of a command":        {[]string{"check", "--help"}, nil, 0, "usage: dicom-qr-gateway", ""},
		"help despite a bad file":  {[]string{"--env-file", "/nowhere", "--help"}, nil, 0, "usage: dicom-qr-gateway", ""},
		"unknown command":          {[]string{"find"}, nil, 2, "", "dicom-qr-gateway: unknown command \"find\"" + hint},
		"unknown option":           {[]string{"--verbose"}, nil, 2, "", "-verbose" + hint},
		"unknown option afterward": {[]string{"serve", "-x"}, nil, 2, "", "-x" + hint},
		"two arguments":            {[]string{"serve", "now"}, nil, 2, "", "too many arguments, want one command" + hint},
		"two commands":             {[]string{"check", "--env-file", "x", "serve"}, nil, 2, "", "too many arguments" + ", want one command" + hint},
		"file without a name":      {[]string{"check", "--env-file"}, nil, 2, "", "flag needs an argument: -env-file" + hint},
		"file with an empty name":  {[]string{"check", "--env-file="}, nil, 2, "", "want the path of a file" + hint},
		"file that is missing": {
			[]string{"check", "--env-file", "/nowhere/gateway.env"},
			nil, 1, "", "--env-file: /nowhere/gateway.env: no such file or directory\n",
		},
		"file that is a folder": {[]string{"serve", "--env-file=/"}, nil, 1, "", "--env-file: /: is a directory\n"},
		"faulty settings": {
			nil,
			map[string]string{"ACSE_TIMEOUT": "soon", "MAX_MATCHES": "0"},
			1, "", "ACSE_TIMEOUT: want seconds, 0 to 1000000, or a duration such as 500ms or 1m30s; MAX_MATCHES",
		},
		"setting with a typo": {
			nil,
			map[string]string{"PACS_ALOWLIST": "192.0.2.7"},
			1, "", "PACS_ALOWLIST: no such setting, did you mean PACS_ALLOWLIST?\n",
		},
		"demo with a setting with a typo": {[]string{"demo"}, map[string]string{"listen_addr": ":1"}, 1, "", "did you mean LISTEN_ADDR?"},
		"demo on all addresses": {
			[]string{"demo"},
			map[string]string{"DEMO_PACS_A_ADDR": ":4242"},
			1, "", "DEMO_PACS_A_ADDR: want a loopback address",
		},
		"unknown time zone":               {nil, map[string]string{"TZ": "Europe/Berlln"}, 1, "", "TZ: want the name of a time zone"},
		"healthcheck of a faulty address": {[]string{"healthcheck"}, map[string]string{"LISTEN_ADDR": "x"}, 1, "", "LISTEN_ADDR"},
		"healthcheck without a gateway":   {[]string{"healthcheck"}, map[string]string{"LISTEN_ADDR": closedPort(t)}, 1, "", "not healthy"},
		"valid settings": {
			[]string{"check"},
			map[string]string{"ACSE_TIMEOUT": "1m30s", "PATH": "/bin", "PACS_PORT": "104", "SSL_CERT_FILE": "/x"},
			0, "The settings are valid.\n", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			args := append([]string{"dicom-qr-gateway"}, test.args...)
			assert.Equal(t, test.status, run(t.Context(), args, environ(test.env), &stdout, &stderr))
			assert.Contains(t, stdout.String(), test.stdout)
			assert.Contains(t, stderr.String(), test.stderr)
			if test.status == 0 {
				assert.Empty(t, stderr.String())
			} else {
				assert.Empty(t, stdout.String())
			}
		})
	}
}

func TestCheckReportsEveryFaultOnALineOfItsOwn(t *testing.T) {
	file := writeFile(t, "# settings", "LOG_FORMAT=xml-xyz", "oops xyz", "export TZ='Nowhere'")
	var stdout, stderr bytes.Buffer
	env := environ(map[string]string{
		"API_KEYS_FILE": "/nowhere/keys", "MAX_ASSOCIATION_PER_PACS": "xyz", "ACSE_TIMEOUT": "xyz", "DEMO_DELAY": "xyz", "GOMEMLIMIT": "xyz",
	})
	assert.Equal(t, 1, run(t.Context(), []string{"dicom-qr-gateway", "check", "--env-file", file}, env, &stdout, &stderr))
	assert.Empty(t, stdout.String())
	assert.Equal(t, strings.Join([]string{
		"--env-file: " + file + ": line 3: want NAME=VALUE",
		"ACSE_TIMEOUT: want seconds, 0 to 1000000, or a duration such as 500ms or 1m30s",
		"API_KEYS_FILE: /nowhere/keys: no such file or directory",
		"LOG_FORMAT: want json or console",
		"MAX_ASSOCIATION_PER_PACS: no such setting, did you mean MAX_ASSOCIATIONS_PER_PACS?",
		"TZ: want the name of a time zone, such as Europe/Berlin or UTC",
		"DEMO_DELAY: want seconds, 0 to 1000000, or a duration such as 500ms or 1m30s",
		"GOMEMLIMIT: want a number of bytes with or without a unit, such as 224MiB, or off",
	}, "\n")+"\n", stderr.String())
}

// Check and serve agree: what check accepts starts.
func TestCheckStartsNothing(t *testing.T) {
	listener := listen(t)
	defer func() { require.NoError(t, listener.Close()) }()
	log := filepath.Join(t.TempDir(), "audit.log")
	var stdout, stderr bytes.Buffer
	env := environ(map[string]string{"LISTEN_ADDR": listener.Addr().String(), "AUDIT_LOG": log})
	assert.Zero(t, run(t.Context(), []string{"dicom-qr-gateway", "check"}, env, &stdout, &stderr), "the gateway may be running")
	assert.NoFileExists(t, log)
}

func TestServeReadsSettingsFromFiles(t *testing.T) {
	// The gateway sets what the files contain, for libraries.
	for _, name := range []string{"QUEUE_TIMEOUT", "MAX_MATCHES", "LOG_FORMAT", "MAX_OPERATIONS", "OTEL_SERVICE_NAME"} {
		t.Setenv(name, "")
	}
	first := writeFile(t, "QUEUE_TIMEOUT=1m30s", "MAX_MATCHES=1", `LOG_FORMAT="console"`, "OTEL_SERVICE_NAME='from the file'")
	second := writeFile(t, "export MAX_MATCHES=2", "MAX_OPERATIONS=3")
	output := runStoppedWith(t, []string{"--env-file", first, "serve", "--env-file=" + second},
		map[string]string{"LOG_FORMAT": "json", "MAX_OPERATIONS": ""})
	var starting struct{ Settings map[string]any }
	first, _, _ = strings.Cut(output, "\n")
	require.NoError(t, json.Unmarshal([]byte(first), &starting))
	assert.EqualValues(t, 90, starting.Settings["queue_timeout"])
	assert.EqualValues(t, 2, starting.Settings["max_matches"], "the later file wins")
	assert.Equal(t, "json", starting.Settings["log_format"], "the environment wins")
	assert.EqualValues(t, 3, starting.Settings["max_operations"], "an empty variable counts as not set")
	assert.Equal(t, "from the file", os.Getenv("OTEL_SERVICE_NAME"))
}

func TestHelpListsEverySettingWithDefaultAndMeaning(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"dicom-qr-gateway", "--help"}, nil, &stdout, &stderr))
	for _, setting := range config.Settings() {
		lines := "\n  " + setting.Name
		if setting.Default != "" {
			lines += " (default " + setting.Default + ")"
		}
		assert.Contains(t, stdout.String(), lines+"\n      "+setting.Help+"\n")
	}
	for _, other := range []string{"\n  check ", "\n  healthcheck ", "--env-file FILE", "--version", "GOMEMLIMIT", "MOVE_TIMEOUT (default DIMSE_TIMEOUT)"} {
		assert.Contains(t, stdout.String(), other)
	}
}

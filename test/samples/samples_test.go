//go:build samples

// Package samples tests what the repository has for users to copy: the programs of samples/clients, the packages
// client/typescript and client/python, the README examples of the clients, the alert rules and the dashboard of samples/grafana,
// and the unit of samples/systemd. Its scripts are in testdata; package script documents their commands.
package samples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"dicom-qr-gateway/test/rig"
	"dicom-qr-gateway/test/script"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// readme has the commands that build and run the programs.
const readme = "samples/clients/README.md"

// clients holds the command line of each program, in samples/clients.
var clients = map[string]string{
	"curl":       "curl/gateway.sh",
	"go":         "go/gateway",
	"typescript": "node typescript/main.js",
	"python":     "python/gateway.py",
}

// downloads holds the command line of each program that downloads a study, in samples/clients.
var downloads = map[string]string{
	"download-go":         "go/download/download",
	"download-typescript": "node typescript/download.js",
	"download-python":     "python/download.py",
}

// batches holds the command line of each program that moves a list, in samples/clients.
var batches = map[string]string{
	"batch-go":         "go/batch/batch",
	"batch-typescript": "node typescript/batch.js",
	"batch-python":     "python/batch.py",
}

func TestSamples(t *testing.T) {
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	build(t, root)
	gateway, err := rig.Binary()
	if err != nil {
		t.Fatal(err)
	}
	script.Run(t, "testdata", nil, func(env *testscript.Env) error {
		env.Setenv("GATEWAY", gateway)
		return nil
	})
	for folder, programs := range map[string]map[string]string{"clients": clients, "downloads": downloads, "batches": batches} {
		for name, command := range programs {
			path := wrapper(t, root, command)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				commands := map[string]script.Function{"foreign": startForeign, "answers": startAnswers, "batches": startBatches}
				script.Run(t, filepath.Join("testdata", folder), commands, func(env *testscript.Env) error {
					env.Setenv("PATH", path+string(os.PathListSeparator)+env.Getenv("PATH"))
					return nil
				})
			})
		}
	}
}

// build runs the build commands of the README, twice if the first run fails: npm downloads packages.
func build(t *testing.T, root string) {
	t.Helper()
	commands, err := script.Block(root, readme, "go build")
	if err != nil {
		t.Fatal(err)
	}
	for attempt := 1; ; attempt++ {
		shell := exec.CommandContext(t.Context(), "bash", "-ec", commands)
		shell.Dir = root
		out, err := shell.CombinedOutput()
		if err == nil {
			return
		}
		if attempt == 2 {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// wrapper returns a folder with the program as the command "client". All of them are written before the scripts run side by side:
// a file cannot be executed while another process, forked meanwhile, still has it open for writing.
func wrapper(t *testing.T, root, command string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\ncd '%s' && exec %s \"$@\"\n", filepath.Join(root, "samples", "clients"), command)
	if err := os.WriteFile(filepath.Join(folder, "client"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return folder
}

// Package rig runs the gateway for tests: as a process, built once for each test binary, or in the test's own process. It
// gives the gateway's URL and its log, parsed, and ends it in order. Other programs, such as a PACS, run as a [Process] too.
//
// The package needs the standard library only, so that tests of other modules can use it.
package rig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Patience bounds every wait of this package.
const Patience = 30 * time.Second

// module begins the go.mod at the root of the repository.
const module = "module dicom-qr-gateway\n"

// Root returns the root of the repository, above the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod")) //nolint:gosec // a folder above the test
		if err == nil && bytes.HasPrefix(content, []byte(module)) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is not in the repository of the gateway")
		}
		dir = parent
	}
}

// folder is where [Binary] builds the gateway; [Main] makes and removes it.
var folder string

var binary = sync.OnceValues(build)

// Binary returns the path of the gateway under test: the one that GATEWAY_BIN names, or else one that the first call builds
// from this tree. The test binary must run under [Main].
func Binary() (string, error) { return binary() }

func build() (string, error) {
	if path := os.Getenv("GATEWAY_BIN"); path != "" {
		return filepath.Abs(path)
	}
	if folder == "" {
		return "", errors.New("no folder for the gateway: TestMain does not call rig.Main")
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "dicom-qr-gateway")
	// Without default.pgo the compiler takes what the other tests have compiled already.
	command := exec.Command("go", "build", "-pgo=off", "-o", path, ".") //nolint:gosec,noctx // TestMain made the folder; it ends with the test binary
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return path, nil
}

// Main runs the tests, for TestMain, and returns their exit status. It removes what [Binary] built.
func Main(tests interface{ Run() int }) int {
	dir, err := os.MkdirTemp("", "rig")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	folder = dir
	defer os.RemoveAll(dir)
	return tests.Run()
}

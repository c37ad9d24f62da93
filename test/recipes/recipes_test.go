//go:build recipes

// Package recipes runs the commands of documents that need more than the gateway and a PACS: make run, API keys, the proxies
// of samples/proxies, and the verification of a release, which make release-check must have built. Its scripts are in
// testdata; package script documents their commands.
package recipes

import (
	"os"
	"testing"

	"dicom-qr-gateway/test/rig"
	"dicom-qr-gateway/test/script"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

func TestRecipes(t *testing.T) { script.Run(t, "testdata", nil, nil) }

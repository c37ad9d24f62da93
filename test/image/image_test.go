//go:build image

// Package image builds the image with buildah, without a Docker engine and without a network, and tests it: it has the binary
// of make build, it is small, and it runs as its user on a read-only root file system, where it queries a PACS. Package script
// documents the commands of its script in testdata. The test needs root.
package image

import (
	"os"
	"testing"

	"dicom-qr-gateway/test/rig"
	"dicom-qr-gateway/test/script"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

func TestImage(t *testing.T) { script.Run(t, "testdata", nil, nil) }

package documents

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// TestImportsFollowTheTableOfPackages compares the table of docs/architecture.md with the source: every package of the gateway
// is in it, and imports only packages further down.
func TestImportsFollowTheTableOfPackages(t *testing.T) {
	root, err := rig.Root()
	require.NoError(t, err)
	var packages []string
	for _, row := range read(t, "docs/architecture.md").Rows() {
		for _, cell := range names(row.Cells[0]) {
			if name, ok := strings.CutSuffix(cell, "/"); ok && row.Section == "Packages" && len(row.Cells) == 3 {
				packages = append(packages, name)
			}
		}
	}
	require.Greater(t, len(packages), 10)
	// The gateway also links these packages, which the table does not have.
	beside := []string{"gen/api", "internal/demo", "dicomnet/dicomtest"}
	for _, name := range append(slices.Clone(packages), ".") {
		for _, imported := range imports(t, filepath.Join(root, name)) {
			if slices.Contains(beside, imported) {
				continue
			}
			if assert.Contains(t, packages, imported, "imported by %s", name) {
				assert.Greater(t, slices.Index(packages, imported), slices.Index(packages, name), "%s imports %s", name, imported)
			}
		}
	}
}

// imports returns the packages of this module that the files of a folder import, its tests excluded.
func imports(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	var all []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if own, ok := strings.CutPrefix(path, "dicom-qr-gateway/"); ok {
				all = append(all, own)
			}
		}
	}
	require.NotEmpty(t, files, folder)
	return all
}

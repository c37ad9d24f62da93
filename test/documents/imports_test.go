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

// TestImportsGoDownTheTableOfRooms holds the table of docs/architecture.md against the source: every package of the gateway
// is in it, and imports only packages further down.
func TestImportsGoDownTheTableOfRooms(t *testing.T) {
	root, err := rig.Root()
	require.NoError(t, err)
	var rooms []string
	for _, row := range read(t, "docs/architecture.md").Rows() {
		for _, name := range names(row.Cells[0]) {
			if room, ok := strings.CutSuffix(name, "/"); ok && row.Section == "Rooms" && len(row.Cells) == 3 {
				rooms = append(rooms, room)
			}
		}
	}
	require.Greater(t, len(rooms), 10)
	// Of the packages beside the rooms, the gateway links these.
	beside := []string{"gen/api", "internal/demo", "dicomnet/dicomtest"}
	for _, room := range append(slices.Clone(rooms), ".") {
		for _, imported := range imports(t, filepath.Join(root, room)) {
			if slices.Contains(beside, imported) {
				continue
			}
			if assert.Contains(t, rooms, imported, "imported by %s", room) {
				assert.Greater(t, slices.Index(rooms, imported), slices.Index(rooms, room), "%s imports %s", room, imported)
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

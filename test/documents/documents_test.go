package documents

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

func read(t *testing.T, file string) Document {
	t.Helper()
	root, err := rig.Root()
	require.NoError(t, err)
	d, err := Read(root, file)
	require.NoError(t, err)
	return d
}

// pages returns README.md and docs/.
func pages(t *testing.T) []Document {
	t.Helper()
	root, err := rig.Root()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := []Document{read(t, "README.md")}
	for _, file := range files {
		all = append(all, read(t, "docs/"+filepath.Base(file)))
	}
	return all
}

func TestREADMEIsShort(t *testing.T) {
	assert.LessOrEqual(t, strings.Count(read(t, "README.md").Text, "\n"), 250, "lines")
}

func TestREADMELinksEveryPage(t *testing.T) {
	readme := read(t, "README.md").Text
	for _, d := range pages(t)[1:] {
		assert.Contains(t, readme, "]("+d.Path+")")
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinksResolve covers every Markdown file of the repository.
func TestLinksResolve(t *testing.T) {
	root, err := rig.Root()
	require.NoError(t, err)
	for _, d := range allDocuments(t, root) {
		for _, found := range link.FindAllStringSubmatch(d.Prose(), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			file, anchor, hasAnchor := strings.Cut(found[1], "#")
			target := d
			if file != "" {
				at := path.Join(path.Dir(d.Path), file)
				if _, err := os.Stat(filepath.Join(root, at)); !assert.NoError(t, err, "%s links %s", d.Path, found[1]) {
					continue
				}
				if hasAnchor {
					target = read(t, at)
				}
			}
			if hasAnchor {
				assert.Contains(t, anchors(target), anchor, "%s links %s", d.Path, found[1])
			}
		}
	}
}

func allDocuments(t *testing.T, root string) []Document {
	t.Helper()
	var all []Document
	require.NoError(t, filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules" || entry.Name() == "dist" || entry.Name() == "bin") {
			return filepath.SkipDir
		}
		if filepath.Ext(file) == ".md" {
			relative, err := filepath.Rel(root, file)
			if err != nil {
				return err
			}
			all = append(all, read(t, filepath.ToSlash(relative)))
		}
		return nil
	}))
	require.Greater(t, len(all), 10)
	return all
}

// anchors returns the anchors that GitHub makes of the headings.
func anchors(d Document) []string {
	var all []string
	for _, heading := range d.Headings() {
		slug := strings.ToLower(regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(heading, ""))
		all = append(all, strings.ReplaceAll(slug, " ", "-"))
	}
	return all
}

var (
	quoted = regexp.MustCompile("`([^`\n]+)`")
	// cited is a file, a folder, or a file and a function in it, such as server/server.go:New.
	cited = regexp.MustCompile(`^([.\w-]+(?:/[.\w-]+)*(?:/|\.(?:go|md|ya?ml|mod|sh)))(?::(\w+))?$`)
)

// TestCitedFilesExist covers the documents that lead through the source.
func TestCitedFilesExist(t *testing.T) {
	root, err := rig.Root()
	require.NoError(t, err)
	for _, file := range []string{"CONTRIBUTING.md", "docs/architecture.md"} {
		count := 0
		for _, found := range quoted.FindAllStringSubmatch(read(t, file).Text, -1) {
			name := cited.FindStringSubmatch(found[1])
			if name == nil || strings.HasPrefix(found[1], "dist/") || strings.HasPrefix(found[1], "bin/") { // built
				continue
			}
			count++
			at := filepath.Join(root, name[1])
			if _, err := os.Stat(at); !assert.NoError(t, err, "%s cites %s", file, found[1]) || name[2] == "" {
				continue
			}
			source, err := os.ReadFile(at)
			require.NoError(t, err)
			assert.Regexp(t, `(?m)^(func (\([^)]*\) )?|type )`+name[2]+`\b`, string(source), "%s cites %s", file, found[1])
		}
		assert.Greater(t, count, 10, file)
	}
}

// names returns the code-quoted names of a cell.
func names(cell string) []string {
	var all []string
	for _, found := range quoted.FindAllStringSubmatch(cell, -1) {
		all = append(all, found[1])
	}
	return all
}

// table returns the rows of the tables below a heading, by the names in their first cell.
func table(t *testing.T, d Document, section string) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for _, row := range d.Rows() {
		if row.Section != section {
			continue
		}
		for _, name := range names(row.Cells[0]) {
			assert.NotContains(t, rows, name, "%s, %s", d.Path, section)
			rows[name] = row.Cells
		}
	}
	require.NotEmpty(t, rows, "%s, %s", d.Path, section)
	return rows
}

func sortedKeys[V any](m map[string]V) []string {
	var all []string
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

package documents

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// citedTest is a test as documents name it: main.TestX is at the root of the repository, qr.TestX in its folder qr.
var citedTest = regexp.MustCompile("`([a-z][a-z0-9/]*)\\.((?:Test|Fuzz)\\w+)`")

// TestEveryPromiseHasItsTests compares the promises of SECURITY.md, the defences of docs/security.md and the findings of
// test/siege/README.md with the tests that they name.
func TestEveryPromiseHasItsTests(t *testing.T) {
	functions := testFunctions(t)
	promises := read(t, "SECURITY.md").Items("What is promised")
	assert.Greater(t, len(promises), 10)
	for file, section := range map[string]string{"docs/security.md": "What it guards against", "test/siege/README.md": "Findings"} {
		count := 0
		for _, row := range read(t, file).Rows() {
			if row.Section == section {
				count++
				promises = append(promises, strings.Join(row.Cells, " | "))
			}
		}
		assert.Greater(t, count, 9, "%s, %s", file, section)
	}
	for _, promise := range promises {
		found := citedTest.FindAllStringSubmatch(promise, -1)
		assert.NotEmpty(t, found, "no test: %s", promise)
		for _, test := range found {
			assert.True(t, functions[test[1]+"."+test[2]], "no such test: %s.%s", test[1], test[2])
		}
	}
	for _, name := range []string{"SECURITY.md", "docs/security.md", "test/siege/README.md"} {
		for _, found := range quoted.FindAllStringSubmatch(read(t, name).Text, -1) {
			if strings.Contains(found[1], ".Test") || strings.Contains(found[1], ".Fuzz") {
				assert.Regexp(t, citedTest, found[0], "%s names a test in another form", name)
			}
		}
	}
}

// testFunctions returns all tests and fuzz targets of the repository, as folder.Name, whatever their build tags.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	root, err := rig.Root()
	require.NoError(t, err)
	functions := map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules") && file != root {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		source, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		folder = filepath.ToSlash(folder)
		if folder == "." {
			folder = "main"
		}
		for _, declaration := range source.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && isTest(function) {
				functions[folder+"."+function.Name.Name] = true
			}
		}
		return nil
	}))
	require.Greater(t, len(functions), 300)
	return functions
}

// isTest reports whether go test runs the function: TestX(t *testing.T) or FuzzX(f *testing.F).
func isTest(function *ast.FuncDecl) bool {
	if function.Recv != nil || len(function.Type.Params.List) != 1 {
		return false
	}
	pointer, ok := function.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	of, ok := pointer.X.(*ast.SelectorExpr)
	return ok && (strings.HasPrefix(function.Name.Name, "Test") && of.Sel.Name == "T" ||
		strings.HasPrefix(function.Name.Name, "Fuzz") && of.Sel.Name == "F")
}

package client_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A new value of an enumeration in the contract needs a constant in types.go.
func TestTypesHaveAllConstantsOfGoclient(t *testing.T) {
	aliases, err := parser.ParseFile(token.NewFileSet(), "types.go", nil, 0)
	require.NoError(t, err)
	types, constants := map[string]bool{}, map[string]bool{}
	eachSpec(aliases, token.TYPE, func(s ast.Spec) { types[s.(*ast.TypeSpec).Name.Name] = true })
	eachSpec(aliases, token.CONST, func(s ast.Spec) { constants[s.(*ast.ValueSpec).Names[0].Name] = true })

	generated, err := parser.ParseFile(token.NewFileSet(), "../../gen/goclient/goclient.gen.go", nil, 0)
	require.NoError(t, err)
	checked := 0
	eachSpec(generated, token.CONST, func(s ast.Spec) {
		spec := s.(*ast.ValueSpec)
		if kind, ok := spec.Type.(*ast.Ident); ok && types[kind.Name] {
			assert.Contains(t, constants, spec.Names[0].Name, kind.Name)
			checked++
		}
	})
	assert.Len(t, constants, checked)
}

func eachSpec(file *ast.File, kind token.Token, use func(ast.Spec)) {
	for _, declaration := range file.Decls {
		if d, ok := declaration.(*ast.GenDecl); ok && d.Tok == kind {
			for _, spec := range d.Specs {
				use(spec)
			}
		}
	}
}

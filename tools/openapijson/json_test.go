package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJSONKeepsTheOrderAndTheTypesOfTheYAML(t *testing.T) {
	for name, test := range map[string]struct{ yaml, json string }{
		"order":                  {"b: 1\na: 2", `{"b":1,"a":2}`},
		"keys are strings":       {"200: x\ntrue: y", `{"200":"x","true":"y"}`},
		"scalars":                {"[1, -2.5, true, null, ~, text, '1', \"true\"]", `[1,-2.5,true,null,null,"text","1","true"]`},
		"dates are strings":      {"2024-01-31", `"2024-01-31"`},
		"markup is left alone":   {"'<a> & b'", `"<a> & b"`},
		"block text":             {"a: |\n  one\n  two\n", `{"a":"one\ntwo\n"}`},
		"anchors are filled in":  {"a: &x {b: 1}\nc: *x", `{"a":{"b":1},"c":{"b":1}}`},
		"empty":                  {"{a: [], b: {}}", `{"a":[],"b":{}}`},
		"control characters":     {`"\x01\t"`, `"\u0001\t"`},
		"outside of 16 bits":     {`"\U0001F600"`, `"😀"`},
		"numbers of other bases": {"0x1F", "31"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := yamlToJSON([]byte(test.yaml))
			require.NoError(t, err)
			compact := strings.Join(strings.Fields(string(got)), "")
			assert.Equal(t, strings.Join(strings.Fields(test.json), ""), compact)
		})
	}
}

func TestADocumentThatHasNoJSONIsAnError(t *testing.T) {
	for name, document := range map[string]string{
		"empty":                      "",
		"not YAML":                   "a: [",
		"a key that is not a scalar": "{[a]: b}",
		"an error inside a list":     "[{[a]: b}]",
		"a number that JSON lacks":   "a: .inf",
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			require.Error(t, run(strings.NewReader(document), &out))
			assert.Empty(t, out.Bytes())
		})
	}
	failure := errors.New("read failed")
	require.ErrorIs(t, run(iotest.ErrReader(failure), &bytes.Buffer{}), failure)
}

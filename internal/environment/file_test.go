package environment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseReadsFilesAsDockerAndSystemdDo(t *testing.T) {
	variables, faults := parse("\ufeffBOM=1\r\n" + `
# comment
   ; comment
  INDENTED=value
export EXPORTED=value
exported_not=1
EMPTY=
EMPTY_QUOTES=""
BLANKS=  a b 	
HASH=a # b
EQUALS=a=b=c
SINGLE='a "b" \n $c'
DOUBLE="a 'b' \"c\" \\ \$d \n"
QUOTE_INSIDE=it's
WINDOWS=C:\keys\file
TWICE=1
TWICE=2
lower_1=x
LAST=without line feed`)
	assert.Empty(t, faults)
	assert.Equal(t, map[string]string{
		"BOM": "1", "INDENTED": "value", "EXPORTED": "value", "exported_not": "1", "EMPTY": "", "EMPTY_QUOTES": "", "BLANKS": "a b",
		"HASH": "a # b", "EQUALS": "a=b=c", "SINGLE": `a "b" \n $c`, "DOUBLE": `a 'b' "c" \ $d \n`, "QUOTE_INSIDE": "it's",
		"WINDOWS": `C:\keys\file`, "TWICE": "2", "lower_1": "x", "LAST": "without line feed",
	}, variables)
}

func TestFaultsHaveTheLineAndNoText(t *testing.T) {
	variables, faults := parse("A=1\nxyz\n\nB = xyz\n=xyz\n1B=xyz\nexport\nC='xyz\nD=\"xyz\\\"\nE=\"x\" # xyz\nF: xyz\nG=\xff\nLISTEN-ADDR=xyz\nH=2")
	assert.Equal(t, map[string]string{"A": "1", "H": "2"}, variables)
	const form, open = "want NAME=VALUE", "the quote is not closed"
	assert.Equal(t, []fault{
		{2, "xyz", form},
		{4, "B", form},
		{5, "", form},
		{6, "", form},
		{7, "export", form},
		{8, "C", open},
		{9, "D", open},
		{10, "E", "text after the closing quote"},
		{11, "F", form},
		{12, "G", "want text in UTF-8"},
		{13, "LISTEN", form},
	}, faults)
	assert.Equal(t, "line 2: want NAME=VALUE", faults[0].String())
}

func TestReadSaysWhyAFileCannotBereadFile(t *testing.T) {
	dir := t.TempDir()
	_, _, err := readFile(filepath.Join(dir, "none"))
	require.ErrorContains(t, err, "no such file")
	_, _, err = readFile(dir)
	require.ErrorContains(t, err, "is a directory")
	large := filepath.Join(dir, "large")
	require.NoError(t, os.WriteFile(large, []byte(strings.Repeat("#", maxSize+1)), 0o600))
	_, _, err = readFile(large)
	require.ErrorContains(t, err, "larger than 1 MiB")
	variables, faults, err := readFile(os.DevNull)
	require.NoError(t, err)
	assert.Empty(t, variables)
	assert.Empty(t, faults)
}

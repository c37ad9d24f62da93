package dataset_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
)

var updateKeywords = flag.Bool("update-keywords", false, "write keywords.txt from the dictionary of the library")

// TestKeywordsAreThoseOfTheDictionary reads the source of the library, because its dictionary cannot be enumerated.
func TestKeywordsAreThoseOfTheDictionary(t *testing.T) {
	directory, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/suyashkumar/dicom").Output()
	require.NoError(t, err)
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(directory)), "pkg", "tag", "tag_definitions.go"))
	require.NoError(t, err)

	tags := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^var (\w+) = Tag\{0x(\w{4}), 0x(\w{4})\}`).FindAllStringSubmatch(string(source), -1) {
		tags[m[1]] = strings.ToUpper(m[2] + m[3])
	}
	var lines []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+):\s+Info\{\w+, \[\]string\{[^}]*\}, "[^"]*", "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		n, err := strconv.ParseUint(tags[m[1]], 16, 32)
		require.NoError(t, err)
		// The library gives some retired attributes of repeating groups one tag.
		if dataset.Keyword(dataset.Tag{Group: uint16(n >> 16), Element: uint16(n)}) == m[2] {
			lines = append(lines, fmt.Sprintf("%s %s\n", m[2], tags[m[1]]))
		}
	}
	require.Greater(t, len(lines), 5000)
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	if *updateKeywords {
		require.NoError(t, os.WriteFile("keywords.txt", []byte(strings.Join(lines, "")), 0o600))
		return
	}
	have, err := os.ReadFile("keywords.txt")
	require.NoError(t, err)
	assert.Equal(t, strings.Join(lines, ""), string(have), "go test -update-keywords")
}

func TestEveryKeywordIsFoundInAnyCase(t *testing.T) {
	have, err := os.ReadFile("keywords.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(have)) {
		keyword, _, _ := strings.Cut(line, " ")
		for _, given := range []string{keyword, strings.ToLower(keyword), strings.ToUpper(keyword)} {
			tag, spelling, ok := dataset.FindKeyword(given)
			require.True(t, ok, given)
			require.Equal(t, keyword, spelling)
			require.Equal(t, keyword, dataset.Keyword(tag))
		}
	}
	for _, given := range []string{"", "A", "PatientIDs", "PatientI", "Patient ID", "Patient's Name", "zzz", "PatientID "} {
		_, _, ok := dataset.FindKeyword(given)
		assert.False(t, ok, given)
	}
}

func TestTheDictionaryGivesAnAttributeItsVR(t *testing.T) {
	assert.Equal(t, "LO", dataset.DictionaryVR(dataset.PatientID))
	assert.Equal(t, "US", dataset.DictionaryVR(dataset.Tag{Group: 0x0028, Element: 0x0106}), "US or SS")
	assert.Equal(t, "LO", dataset.DictionaryVR(dataset.Tag{Group: 0x0029, Element: 0x0010}), "a private creator")
	assert.Equal(t, "UN", dataset.DictionaryVR(dataset.Tag{Group: 0x0029, Element: 0x1010}))
}

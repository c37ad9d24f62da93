package access

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/principal"
)

const (
	worklistKey = "SECRET-KEY-worklist"
	viewerKey   = "SECRET-KEY-viewer"
)

func keyLine(name, key string) string {
	digest := sha256.Sum256([]byte(key))
	return name + ":" + hex.EncodeToString(digest[:]) + "\n"
}

func TestTwoAuthorizationFieldsCountAsNone(t *testing.T) {
	token, ok := bearerToken(http.Header{"Authorization": {"Bearer a", "Bearer b"}})
	assert.False(t, ok)
	assert.Empty(t, token)
}

func TestParseKeysReportsTheLineOfAFault(t *testing.T) {
	digest := strings.TrimPrefix(keyLine("", worklistKey), ":")
	for content, reason := range map[string]string{
		"":                                     "the file holds no key",
		"# a comment\n\n":                      "the file holds no key",
		"worklist":                             "line 1: want name:digest",
		"\nworklist:abcd\n":                    "line 2: want name:digest",
		"worklist:" + worklistKey:              "line 1: want name:digest",
		"worklist:" + strings.Repeat("z", 64):  "line 1: want name:digest",
		":" + digest:                           "line 1: want a name",
		"work list:" + digest:                  "line 1: want a name",
		"a:" + digest + "b:" + digest:          "line 2: duplicate digest",
		"a:" + strings.TrimSpace(digest) + ":": "line 1: want nothing after the digest",
		"a:" + strings.TrimSpace(digest) + ":root":          "line 1: want nothing after the digest",
		"a:" + strings.TrimSpace(digest) + ":admin:admin":   "line 1: want nothing after the digest",
		"a:" + strings.TrimSpace(digest) + ":pacs=":         "line 1: want nothing after the digest",
		"a:" + strings.TrimSpace(digest) + ":pacs=main,":    "line 1: want nothing after the digest",
		"a:" + strings.TrimSpace(digest) + ":pacs=Main":     "line 1: want nothing after the digest",
		"a:" + strings.TrimSpace(digest) + ":pacs=a:pacs=b": "line 1: want nothing after the digest",
	} {
		_, err := ParseKeys(content)
		require.ErrorContains(t, err, reason)
		assert.NotContains(t, err.Error(), worklistKey)
	}
}

func TestParseKeysAcceptsSpacesAndUpperCaseDigits(t *testing.T) {
	digest := strings.TrimPrefix(keyLine("", worklistKey), ":")
	keys, err := ParseKeys("\ufeffa : " + strings.ToUpper(digest) + "\r\n" + keyLine("a", viewerKey))
	require.NoError(t, err)
	name, rights, ok := keys.Find(viewerKey)
	assert.True(t, ok)
	assert.Equal(t, "a", name)
	assert.Nil(t, rights)
	_, _, ok = keys.Find("another")
	assert.False(t, ok)
}

func TestKeysHaveRights(t *testing.T) {
	line := func(name, key, rights string) string { return strings.TrimSpace(keyLine(name, key)) + rights + "\n" }
	keys, err := ParseKeys(line("a", "1", "") + line("b", "2", ":admin") + line("c", "3", " : pacs=main, other-2 ") + line("d", "4", ":pacs=main:admin"))
	require.NoError(t, err)
	for key, want := range map[string]*principal.Rights{
		"1": nil, "2": {Admin: true}, "3": {PACS: []string{"main", "other-2"}}, "4": {Admin: true, PACS: []string{"main"}},
	} {
		_, rights, ok := keys.Find(key)
		require.True(t, ok)
		assert.Equal(t, want, rights)
		caller := principal.Principal{Rights: rights}
		assert.Equal(t, want != nil && want.Admin, caller.Admin())
		assert.True(t, caller.MayUse("main"))
		everything := want == nil || want.PACS == nil
		assert.Equal(t, everything, caller.MayUse("third"))
		assert.Equal(t, everything, caller.MayUse(""), "an address")
	}
}

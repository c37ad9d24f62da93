package access

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
		"":                                    "the file holds no key",
		"# a comment\n\n":                     "the file holds no key",
		"worklist":                            "line 1: want name:digest",
		"\nworklist:abcd\n":                   "line 2: want name:digest",
		"worklist:" + worklistKey:             "line 1: want name:digest",
		"worklist:" + strings.Repeat("z", 64): "line 1: want name:digest",
		":" + digest:                          "line 1: want a name",
		"work list:" + digest:                 "line 1: want a name",
		"a:" + digest + "b:" + digest:         "line 2: duplicate digest",
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
	name, ok := keys.Find(viewerKey)
	assert.True(t, ok)
	assert.Equal(t, "a", name)
	_, ok = keys.Find("another")
	assert.False(t, ok)
}

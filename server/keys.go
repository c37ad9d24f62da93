package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// apiKeys are the keys that callers may use: names and digests, never the keys.
type apiKeys struct{ entries []apiKey }

type apiKey struct {
	name   string
	digest [sha256.Size]byte
}

const maxKeyName = 64

// parseAPIKeys reads one name:sha256-hex a line. Several lines may have one name,
// so that a key can be replaced without a moment in which neither is valid.
func parseAPIKeys(text string) (*apiKeys, error) {
	keys := &apiKeys{}
	known := map[[sha256.Size]byte]bool{}
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, digest, _ := strings.Cut(line, ":")
		key := apiKey{name: strings.TrimSpace(name)}
		decoded, err := hex.DecodeString(strings.TrimSpace(digest))
		switch {
		case !validKeyName(key.name):
			return nil, fmt.Errorf("line %d: want a name of 1 to %d visible ASCII characters", number, maxKeyName)
		case err != nil || len(decoded) != sha256.Size:
			return nil, fmt.Errorf("line %d: want name:digest, the digest being SHA-256 as 64 hexadecimal digits", number)
		}
		key.digest = [sha256.Size]byte(decoded)
		if known[key.digest] {
			return nil, fmt.Errorf("line %d: the digest of an earlier line", number)
		}
		known[key.digest] = true
		keys.entries = append(keys.entries, key)
	}
	if len(keys.entries) == 0 {
		return nil, errors.New("the file holds no key")
	}
	return keys, nil
}

func validKeyName(name string) bool {
	return len(name) <= maxKeyName && validCorrelationID(name)
}

// find is the name of a key; it takes the same time for every key that is not there
// and every one that is.
func (k *apiKeys) find(key string) (name string, ok bool) {
	digest := sha256.Sum256([]byte(key))
	found := -1
	for i := range k.entries {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(digest[:], k.entries[i].digest[:]), i, found)
	}
	if found < 0 {
		return "", false
	}
	return k.entries[found].name, true
}

// bearerToken is the token of Authorization (RFC 6750 section 2.1).
func bearerToken(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

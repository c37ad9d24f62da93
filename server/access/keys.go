package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Keys holds the API keys that callers may use: names and digests, never the keys themselves. It is immutable.
type Keys struct{ entries []key }

type key struct {
	name   string
	digest [sha256.Size]byte
}

const maxKeyName = 64

// ParseKeys reads one name:sha256-hex per line. Empty lines and lines that start with # are skipped. Several lines may have
// the same name, so that a key can be replaced while both are valid. Errors hold the number of the line and nothing of its
// text.
func ParseKeys(text string) (*Keys, error) {
	keys := &Keys{}
	known := map[[sha256.Size]byte]bool{}
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, digest, _ := strings.Cut(line, ":")
		k := key{name: strings.TrimSpace(name)}
		decoded, err := hex.DecodeString(strings.TrimSpace(digest))
		switch {
		case !validKeyName(k.name):
			return nil, fmt.Errorf("line %d: want a name of 1 to %d visible ASCII characters", number, maxKeyName)
		case err != nil || len(decoded) != sha256.Size:
			return nil, fmt.Errorf("line %d: want name:digest, with the SHA-256 digest as 64 hexadecimal digits", number)
		}
		k.digest = [sha256.Size]byte(decoded)
		if known[k.digest] {
			return nil, fmt.Errorf("line %d: duplicate digest", number)
		}
		known[k.digest] = true
		keys.entries = append(keys.entries, k)
	}
	if len(keys.entries) == 0 {
		return nil, errors.New("the file holds no key")
	}
	return keys, nil
}

func validKeyName(name string) bool {
	return len(name) <= maxKeyName && ValidCorrelationID(name)
}

// Find returns the name of a key. It takes the same time for every key, whether the key is valid or not.
func (k *Keys) Find(token string) (name string, ok bool) {
	digest := sha256.Sum256([]byte(token))
	found := -1
	for i := range k.entries {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(digest[:], k.entries[i].digest[:]), i, found)
	}
	if found < 0 {
		return "", false
	}
	return k.entries[found].name, true
}

// bearerToken returns the token in Authorization (RFC 6750 section 2.1).
func bearerToken(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

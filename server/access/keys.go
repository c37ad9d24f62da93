package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"dicom-qr-gateway/internal/principal"
)

// Keys holds the API keys that callers may use: names and digests, never the keys themselves. It is immutable.
type Keys struct{ entries []key }

type key struct {
	name   string
	digest [sha256.Size]byte
	rights *principal.Rights // nil: it may use every PACS, and nothing else
}

const maxKeyName = 64

// ParseKeys reads one key per line: name:sha256-hex, followed by its rights, :admin and :pacs=main,other, each at most once. Empty
// lines and lines that start with # are skipped. Several lines may have the same name, so that a key can be replaced while both
// are valid. Errors hold the number of the line and nothing of its text.
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
		name, rest, _ := strings.Cut(line, ":")
		digest, rights, restricted := strings.Cut(rest, ":")
		k := key{name: strings.TrimSpace(name)}
		decoded, err := hex.DecodeString(strings.TrimSpace(digest))
		switch {
		case !validKeyName(k.name):
			return nil, fmt.Errorf("line %d: want a name of 1 to %d visible ASCII characters", number, maxKeyName)
		case err != nil || len(decoded) != sha256.Size:
			return nil, fmt.Errorf("line %d: want name:digest, with the SHA-256 digest as 64 hexadecimal digits", number)
		}
		if restricted {
			if k.rights = parseRights(rights); k.rights == nil {
				return nil, fmt.Errorf("line %d: want nothing after the digest, or :admin and :pacs= with names of PACS separated by commas", number)
			}
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

// parseRights returns nil if the text is not valid.
func parseRights(text string) *principal.Rights {
	rights := &principal.Rights{}
	for right := range strings.SplitSeq(text, ":") {
		right = strings.TrimSpace(right)
		list, isPACS := strings.CutPrefix(right, "pacs=")
		switch {
		case right == "admin" && !rights.Admin:
			rights.Admin = true
		case isPACS && rights.PACS == nil:
			for name := range strings.SplitSeq(list, ",") {
				if name = strings.TrimSpace(name); !ValidPACSName(name) {
					return nil
				}
				rights.PACS = append(rights.PACS, name)
			}
		default:
			return nil
		}
	}
	return rights
}

var pacsName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ValidPACSName reports whether a PACS can have the name: 1 to 63 lower-case letters, digits and hyphens, the first one no hyphen.
func ValidPACSName(name string) bool { return pacsName.MatchString(name) }

func validKeyName(name string) bool {
	return len(name) <= maxKeyName && ValidCorrelationID(name)
}

// Find returns the name and the rights of a key. It takes the same time for every key, whether the key is valid or not.
func (k *Keys) Find(token string) (name string, rights *principal.Rights, ok bool) {
	digest := sha256.Sum256([]byte(token))
	found := -1
	for i := range k.entries {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(digest[:], k.entries[i].digest[:]), i, found)
	}
	if found < 0 {
		return "", nil, false
	}
	return k.entries[found].name, k.entries[found].rights, true
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

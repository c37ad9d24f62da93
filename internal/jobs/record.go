package jobs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"dicom-qr-gateway/internal/principal"
)

// record is what a job is. It never changes.
type record struct {
	ID          string    `json:"id"`
	Caller      caller    `json:"caller"`
	PACS        string    `json:"pacs"`
	Destination string    `json:"destination,omitempty"`
	DryRun      bool      `json:"dry_run,omitempty"`
	NotBefore   time.Time `json:"not_before,omitzero"`
	Window      *Window   `json:"window,omitempty"`
	Priority    Priority  `json:"priority"`
	FiledAt     time.Time `json:"filed_at"`
	// Ends has, for each chunk of items, the index that follows its last item.
	Ends []int `json:"ends"`
}

// items returns the number of items.
func (r *record) items() int {
	if len(r.Ends) == 0 {
		return 0
	}
	return r.Ends[len(r.Ends)-1]
}

// chunk returns the chunk that has the item, and the index of its first item.
func (r *record) chunk(item int) (chunk, first int) {
	for i, end := range r.Ends {
		if item < end {
			return i, first
		}
		first = end
	}
	return len(r.Ends), first
}

// caller is who filed a job, as it is kept.
type caller struct {
	User          string `json:"user,omitempty"`
	Key           string `json:"key,omitempty"`
	Certificate   string `json:"certificate,omitempty"`
	Address       string `json:"address,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

func callerOf(p principal.Principal) caller {
	return caller{User: p.User, Key: p.Key, Certificate: p.Certificate, Address: p.Address, CorrelationID: p.CorrelationID}
}

func (c caller) principal() principal.Principal {
	return principal.Principal{User: c.User, Key: c.Key, Certificate: c.Certificate, Address: c.Address, CorrelationID: c.CorrelationID}
}

// owner returns the token that stands for who owns the jobs of a caller: its user, API key or certificate. All callers without
// credentials are one owner. The token does not reveal the name.
func (c caller) owner() string {
	kind, name := "anonymous", ""
	switch {
	case c.User != "":
		kind, name = "user", c.User
	case c.Key != "":
		kind, name = "key", c.Key
	case c.Certificate != "":
		kind, name = "certificate", c.Certificate
	}
	return digest(kind, name)
}

// digest returns a token for texts.
func digest(texts ...string) string {
	encoded, _ := json.Marshal(texts) // never fails
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:16])
}

const (
	idAlphabet   = "0123456789abcdefghjkmnpqrstvwxyz"
	idTimeLength = 10
	idLength     = 26
)

// newID returns an identifier that nobody can guess. Identifiers sort by time.
func newID(at time.Time) string {
	var id [idLength]byte
	_, _ = rand.Read(id[idTimeLength:]) // never fails
	for i := idTimeLength; i < idLength; i++ {
		id[i] = idAlphabet[id[i]%32]
	}
	milliseconds := at.UnixMilli()
	for i := idTimeLength - 1; i >= 0; i-- {
		id[i] = idAlphabet[milliseconds%32]
		milliseconds /= 32
	}
	return string(id[:])
}

// validID reports whether text may be an identifier; one that is none must not become part of a subject.
func validID(text string) bool {
	if len(text) != idLength {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

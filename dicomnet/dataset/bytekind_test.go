package dataset

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKindsInUnitesTheKindsOfAllBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]byteKind{
		"":           0,
		"DOE^JOHN 1": 0,
		"A~B":        tilde,
		`CT\MR`:      backslash,
		"tab\t":      unprintable,
		"\x7f":       unprintable,
		"M\xfcller":  unprintable,
	} {
		assert.Equal(t, want, kindsIn(text)&(unprintable|tilde|backslash), "%q", text)
	}
}

func TestForbiddenBytesOfVRs(t *testing.T) {
	t.Parallel()
	for name, characters := range map[string]string{
		"AS": "0123456789DWMY", "DA": "0123456789.-", "DS": "0123456789+-.eE", "DT": "0123456789+-.", "IS": "0123456789+-.",
		"TM": "0123456789.:-", "UI": "0123456789.",
	} {
		outside := vrOf(name).traits().forbidden
		for c := range 256 {
			assert.Equal(t, !strings.ContainsRune(characters, rune(c)) || c > 0x7f, byteKinds[c]&outside != 0, "%s: %q", name, c)
		}
	}
	assert.Zero(t, vrLO.traits().forbidden)
}

package access

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseOriginsRefusesOtherThanOrigins(t *testing.T) {
	for _, list := range []string{
		"viewer.example", "https://viewer.example/", "*,https://viewer.example", "https://", "ftp://x", "https://a@b", "https://x?y",
	} {
		_, err := ParseOrigins(list)
		require.ErrorContains(t, err, "want origins", list)
	}
}

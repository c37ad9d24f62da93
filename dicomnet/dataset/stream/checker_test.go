package stream_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
)

// truncated passes a data set in parts of n bytes.
func truncated(s string, ts dataset.TransferSyntax, n int) bool {
	c := stream.NewChecker(ts)
	for s != "" {
		part := s[:min(n, len(s))]
		c.Add([]byte(part))
		s = s[len(part):]
	}
	return c.Truncated()
}

// decodes reports whether a data set can be read to its end.
func decodes(s string, ts dataset.TransferSyntax) bool {
	d := stream.NewDecoder(strings.NewReader(s), ts, stream.Limits{})
	defer d.Close()
	for {
		if _, err := d.Next(); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

func TestDataSetThatEndsWithinAnElementIsTruncated(t *testing.T) {
	for _, s := range syntaxes {
		t.Run(s.name, func(t *testing.T) {
			beginning := s.us(0x00280010, 1) + s.sequence(0x00283000, "SQ", s.item(s.element(0x00283006, "OW", "abcd")), s.definedItem(s.us(0x00280010, 1)))
			for name, last := range map[string]string{
				"native pixel data":       s.element(0x7fe00010, "OW", strings.Repeat("p", 300)),
				"encapsulated pixel data": s.sequence(0x7fe00010, "OB", s.definedItem(), s.definedItem(strings.Repeat("p", 300))),
			} {
				whole := beginning + last
				for _, n := range []int{1, 7, len(whole)} {
					assert.False(t, truncated(whole, s.ts, n), name)
					assert.False(t, truncated(whole+"\x00\x00", s.ts, n), "%s with padding", name)
				}
				for cut := len(beginning) + 8; cut < len(whole); cut++ {
					require.True(t, truncated(whole[:cut], s.ts, 5), "%s, %d of %d bytes", name, cut, len(whole))
				}
			}
		})
	}
}

func TestDataSetThatCannotBeFollowedIsNotTruncated(t *testing.T) {
	assert.False(t, truncated(explicit.definedItem("abcd")+explicit.header(0x7fe00010, "OB", 99), dataset.ExplicitVRLittleEndian, 3))
	assert.False(t, truncated(explicit.header(0x7fe00010, "OB", 99), dataset.DeflatedExplicitVRLittleEndian, 3))
	assert.False(t, truncated(explicit.header(0x7fe00010, "OB", 99), "1.2.3", 3))
	assert.False(t, truncated("", dataset.ExplicitVRLittleEndian, 1))
}

// FuzzChecker checks that a data set that is called truncated cannot be read to its end, and that the verdict does not depend on how the
// bytes arrive.
func FuzzChecker(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte, ts uint8) {
		syntax := fuzzed[ts%4]
		verdict := truncated(string(b), syntax, 1)
		if verdict != truncated(string(b), syntax, max(len(b), 1)) {
			t.Fatalf("the verdict depends on the parts")
		}
		if verdict && decodes(string(b), syntax) {
			t.Fatalf("a data set that can be read to its end is called truncated")
		}
	})
}

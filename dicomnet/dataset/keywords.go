package dataset

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// keywordLines has one line for each attribute of the dictionary (PS3.6 section 6): keyword and tag, sorted by keyword without
// regard to case. The library has its dictionary in a map by tag only, so that finding a keyword would read all of it.
//
//go:embed keywords.txt
var keywordLines string

// keywordStarts are where the lines begin.
var keywordStarts = sync.OnceValue(func() []uint32 {
	starts := make([]uint32, 0, strings.Count(keywordLines, "\n"))
	for pos := 0; pos < len(keywordLines); {
		starts = append(starts, uint32(pos))
		pos += strings.IndexByte(keywordLines[pos:], '\n') + 1
	}
	return starts
})

// FindKeyword returns the attribute with the given keyword in PS3.6, such as PatientID, and the keyword as PS3.6 spells it: it ignores
// case, which counts in PS3.6. It returns false if the dictionary has no such keyword.
func FindKeyword(keyword string) (t Tag, spelling string, ok bool) {
	starts := keywordStarts()
	low, high := 0, len(starts)
	for low < high {
		middle := (low + high) / 2
		line := keywordLines[starts[middle]:]
		space := strings.IndexByte(line, ' ')
		switch c := compareFold(line[:space], keyword); {
		case c < 0:
			low = middle + 1
		case c > 0:
			high = middle
		default:
			n, _ := strconv.ParseUint(line[space+1:space+1+len("ggggeeee")], 16, 32)
			return tagOf(uint32(n)), line[:space], true
		}
	}
	return Tag{}, "", false
}

// compareFold compares two strings without regard to the case of ASCII letters.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// DictionaryVR returns the VR of an attribute in PS3.6, UN if the dictionary does not have it. Of an attribute with several it returns
// OW, which implicit VR implies (PS3.5 annex A.1), else the first.
func DictionaryVR(t Tag) string { return dictionaryVR(t).traits().name }

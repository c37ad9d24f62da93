package dicomtest

import (
	"slices"
	"strings"

	"github.com/suyashkumar/dicom"
)

// universal reports whether a key restricts nothing: it has no value
// (PS3.4 section C.2.2.2.3), or nothing but "*" where wildcards work.
func universal(key *dicom.Element) bool {
	for _, v := range elementValues(key) {
		if strings.Trim(v, "*") != "" || (v != "" && !wildcards[key.RawValueRepresentation]) {
			return false
		}
	}
	return true
}

// wildcards are the value representations in which * and ? stand for other
// characters (PS3.4 section C.2.2.2.4).
var wildcards = map[string]bool{
	"AE": true, "CS": true, "LO": true, "LT": true, "PN": true,
	"SH": true, "ST": true, "UC": true, "UR": true, "UT": true,
}

// matches reports whether an attribute with these values matches the key. An
// attribute with several values matches where one of them does (PS3.4 section
// C.2.2.2.1), and one without any only a universal key.
func matches(key *dicom.Element, values []string) bool {
	if universal(key) {
		return true
	}
	wanted := elementValues(key)
	return slices.ContainsFunc(values, func(value string) bool {
		switch vr := key.RawValueRepresentation; {
		case vr == "UI": // list of UID matching, PS3.4 section C.2.2.2.2
			return slices.Contains(wanted, value)
		case vr == "DA":
			return dates.matchesRange(wanted[0], value)
		case vr == "TM":
			return times.matchesRange(wanted[0], value)
		case vr == "PN":
			return matchesName(wanted[0], value)
		case wildcards[vr]:
			return matchesWildcard(wanted[0], value)
		}
		return wanted[0] == value
	})
}

// severalValues reports whether a key asks for what only extended negotiation
// would define: several values outside a list of UIDs (PS3.4 section C.2.2.2.8).
func severalValues(key *dicom.Element) bool {
	return key.RawValueRepresentation != "UI" && len(elementValues(key)) > 1
}

// matchesName takes a name for matching where it does so as a whole or by one of
// its component groups, and ignores case, as PS3.4 section C.2.2.2.1 allows.
func matchesName(key, name string) bool {
	fold := func(s string) string { return strings.ToUpper(strings.TrimRight(s, "^=")) }
	pattern := fold(key)
	return matchesWildcard(pattern, fold(name)) ||
		slices.ContainsFunc(strings.Split(name, "="), func(group string) bool {
			return group != "" && matchesWildcard(pattern, fold(group))
		})
}

// matchesWildcard is single value matching where pattern has neither * nor ?.
func matchesWildcard(pattern, value string) bool {
	p, v := []rune(pattern), []rune(value)
	// star and mark are where to go on after a mismatch: behind the last *, with
	// one character more of the value given to it. Linear space, no recursion.
	i, j, star, mark := 0, 0, -1, 0
	for j < len(v) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == v[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(string(p[i:]), "*") == ""
}

// What a shortened date or time may stand for at the least and at the most.
var (
	dates = bounds{"00000000", "99999999"}
	times = bounds{"000000.000000", "999999.999999"}
)

type bounds struct{ least, most string }

// matchesRange is range matching (PS3.4 section C.2.2.2.5): a, a-b, a- or -b, both
// ends included. A value or an end that is shortened stands for all it abbreviates.
func (b bounds) matchesRange(key, value string) bool {
	if value == "" {
		return false
	}
	from, to, isRange := strings.Cut(key, "-")
	if !isRange {
		to = from
	}
	return (from == "" || fill(value, b.most) >= fill(from, b.least)) &&
		(to == "" || fill(value, b.least) <= fill(to, b.most))
}

func fill(s, pattern string) string { return s + pattern[min(len(s), len(pattern)):] }

package dicomtest

import (
	"slices"
	"strings"

	"github.com/suyashkumar/dicom"
)

// universal reports whether a key matches everything: it has no value (PS3.4 section C.2.2.2.3), or only "*" in a value
// representation with wildcards.
func universal(key *dicom.Element) bool {
	for _, v := range elementValues(key) {
		if strings.Trim(v, "*") != "" || (v != "" && !wildcards[key.RawValueRepresentation]) {
			return false
		}
	}
	return true
}

// wildcards are the value representations in which * and ? are wildcards (PS3.4 section C.2.2.2.4).
var wildcards = map[string]bool{
	"AE": true, "CS": true, "LO": true, "LT": true, "PN": true,
	"SH": true, "ST": true, "UC": true, "UR": true, "UT": true,
}

// matches reports whether an attribute with these values matches the key. An attribute with several values matches if one of them
// does (PS3.4 section C.2.2.2.1); an attribute without a value matches only a universal key.
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
		case vr == "DT":
			return dateTimes.matchesRange(wanted[0], value)
		case vr == "PN":
			return matchesName(wanted[0], value)
		case wildcards[vr]:
			return matchesWildcard(wanted[0], value)
		}
		return wanted[0] == value
	})
}

// severalValues reports whether a key other than a list of UIDs has several values, which is only defined with extended
// negotiation (PS3.4 section C.2.2.2.8), or a sequence several items (section C.2.2.2.6).
func severalValues(key *dicom.Element) bool {
	return key.RawValueRepresentation != "UI" && (len(elementValues(key)) > 1 || len(items(key)) > 1)
}

// items returns the items of a sequence, which may be nil.
func items(e *dicom.Element) [][]*dicom.Element {
	if e == nil || e.Value == nil {
		return nil
	}
	values, _ := e.Value.GetValue().([]*dicom.SequenceItemValue)
	list := make([][]*dicom.Element, 0, len(values))
	for _, v := range values {
		elements, _ := v.GetValue().([]*dicom.Element)
		list = append(list, elements)
	}
	return list
}

// matchesSequence reports whether a sequence matches a key (PS3.4 section C.2.2.2.6): one of its items matches all keys of the
// item of the key. A key without a value at any depth is universal.
func matchesSequence(key, sequence *dicom.Element) bool {
	return universalSequence(key) || len(matchingItems(key, sequence)) > 0
}

func universalSequence(key *dicom.Element) bool {
	for _, item := range items(key) {
		for _, e := range item {
			if e.RawValueRepresentation == "SQ" && !universalSequence(e) || !universal(e) {
				return false
			}
		}
	}
	return true
}

// matchingItems returns the items of a sequence that match a key, with the attributes that the key asks for: all of them if its
// item is empty.
func matchingItems(key, sequence *dicom.Element) [][]*dicom.Element {
	wanted := items(key)
	found := [][]*dicom.Element{}
	for _, item := range items(sequence) {
		if len(wanted) == 0 || len(wanted[0]) == 0 {
			found = append(found, item)
		} else if requested, ok := matchItem(wanted[0], item); ok {
			found = append(found, requested)
		}
	}
	return found
}

// matchItem returns the attributes of an item that the keys ask for, and whether the item matches them.
func matchItem(keys, item []*dicom.Element) (requested []*dicom.Element, ok bool) {
	for _, key := range keys {
		i := slices.IndexFunc(item, func(e *dicom.Element) bool { return e.Tag == key.Tag })
		var e *dicom.Element
		if i >= 0 {
			e = item[i]
		}
		if key.RawValueRepresentation == "SQ" {
			if !matchesSequence(key, e) {
				return nil, false
			}
			var b builder
			b.add(key.Tag, matchingItems(key, e))
			requested = append(requested, b.elements...)
			continue
		}
		if !matches(key, elementValues(e)) {
			return nil, false
		}
		if e != nil {
			requested = append(requested, e)
		}
	}
	return requested, true
}

// matchesName reports whether a name matches as a whole or by one of its component groups. It ignores case, as PS3.4 section
// C.2.2.2.1 allows.
func matchesName(key, name string) bool {
	fold := func(s string) string { return strings.ToUpper(strings.TrimRight(s, "^=")) }
	pattern := fold(key)
	return matchesWildcard(pattern, fold(name)) ||
		slices.ContainsFunc(strings.Split(name, "="), func(group string) bool {
			return group != "" && matchesWildcard(pattern, fold(group))
		})
}

// matchesWildcard reports whether value matches pattern with its wildcards * and ?.
func matchesWildcard(pattern, value string) bool {
	p, v := []rune(pattern), []rune(value)
	// After a mismatch the search continues behind the last *, at star, which then covers one character more, up to mark.
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

// The least and the largest values that an abbreviated date, time or date-time stands for.
var (
	dates = bounds{"00000000", "99999999"}
	times = bounds{"000000.000000", "999999.999999"}
	// An offset from UTC is not understood.
	dateTimes = bounds{"00000000000000.000000", "99999999999999.999999"}
)

type bounds struct{ least, most string }

// matchesRange reports whether a value is in a range (PS3.4 section C.2.2.2.5): a, a-b, a- or -b, both ends included. An
// abbreviated value or end stands for everything that it abbreviates.
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

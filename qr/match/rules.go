package match

import (
	"strings"
	"unicode/utf8"

	"dicom-qr-gateway/dicomnet/dataset"
)

// rule is what PS3.4 section C.2.2.2 and PS3.5 table 6.2-1 say about the keys of a VR.
type rule struct {
	kind kind
	noun string // what a value is, for an error
	// maxLength is the greatest length of a value in characters, without "*". Archives hold longer values of SH than the standard
	// allows, and texts without a limit of their own need one as keys.
	maxLength int
	wildcards bool
	ranges    bool
	// backslash means that a backslash is part of the text, since the VR always has one value.
	backslash bool
}

type kind uint8

const (
	unmatched kind = iota // no value can be matched
	textKind
	codeKind // text that matches exactly
	nameKind
	uidKind
	dateKind
	timeKind
	dateTimeKind
	numberKind
	tagKind
)

var rules = map[string]rule{
	"AE": {kind: codeKind, noun: "an AE title", maxLength: 16, wildcards: true},
	"AS": {kind: codeKind, noun: "an age such as 018M"},
	"AT": {kind: tagKind, noun: "a tag of eight hexadecimal digits"},
	"CS": {kind: codeKind, noun: "a code of upper case letters, digits, spaces and underscores", maxLength: 16, wildcards: true},
	"DA": {kind: dateKind, noun: "a date such as 20240131, or a range of dates", ranges: true},
	"DS": {kind: numberKind, noun: "a decimal number"},
	"DT": {kind: dateTimeKind, noun: "a date-time such as 20240131101530, or a range of date-times", ranges: true},
	"FD": {kind: numberKind, noun: "a number"},
	"FL": {kind: numberKind, noun: "a number"},
	"IS": {kind: numberKind, noun: "an integer of the VR"},
	"LO": {kind: textKind, maxLength: 64, wildcards: true},
	"LT": {kind: textKind, maxLength: maxPattern, wildcards: true, backslash: true},
	"OB": {}, "OD": {}, "OF": {}, "OL": {}, "OV": {}, "OW": {},
	"PN": {kind: nameKind, noun: "a person name: at most three groups of five components and 64 characters", wildcards: true},
	"SH": {kind: textKind, maxLength: 64, wildcards: true},
	"SL": {kind: numberKind, noun: "an integer of the VR"},
	"SQ": {},
	"SS": {kind: numberKind, noun: "an integer of the VR"},
	"ST": {kind: textKind, maxLength: maxPattern, wildcards: true, backslash: true},
	"SV": {kind: numberKind, noun: "an integer of the VR"},
	"TM": {kind: timeKind, noun: "a time such as 101530, or a range of times", ranges: true},
	"UC": {kind: textKind, maxLength: maxPattern, wildcards: true},
	"UI": {kind: uidKind, noun: "a UID"},
	"UL": {kind: numberKind, noun: "an integer of the VR"},
	"UN": {kind: textKind, maxLength: 64, wildcards: true}, // a private attribute, read as LO
	"UR": {kind: codeKind, noun: "a URI", maxLength: maxPattern, wildcards: true, backslash: true},
	"US": {kind: numberKind, noun: "an integer of the VR"},
	"UT": {kind: textKind, maxLength: maxPattern, wildcards: true, backslash: true},
	"UV": {kind: numberKind, noun: "an integer of the VR"},
}

// exactTags are attributes with a VR of text that identify something: a variant in case or accents is another thing.
var exactTags = map[dataset.Tag]bool{
	dataset.PatientID:                true,
	dataset.IssuerOfPatientID:        true,
	dataset.UniversalEntityID:        true,
	{Group: 0x0008, Element: 0x0100}: true, // Code Value
	{Group: 0x0008, Element: 0x0102}: true, // Coding Scheme Designator
	{Group: 0x0008, Element: 0x0119}: true, // Long Code Value
	{Group: 0x0010, Element: 0x1000}: true, // Other Patient IDs
}

const (
	// maxPath is the greatest number of tags in a path. The sequences of a query are hardly nested.
	maxPath = 8
	// maxAlternatives bounds the work for the values of one key. Lists of UIDs have no such bound: they cost the same whatever
	// their length.
	maxAlternatives = 100
)

// newKey returns a key without values.
func newKey(path Path, vr string) (Key, error) {
	if reason := checkPath(path); reason != "" {
		return Key{}, &ValueError{Path: path, VR: vr, Reason: reason}
	}
	if vr == "" {
		vr = dataset.DictionaryVR(path[len(path)-1])
	}
	k := Key{Path: path, VR: vr}
	if _, ok := rules[vr]; !ok {
		return k, k.fault("has a VR that the standard does not define")
	}
	return k, nil
}

// checkPath returns what is wrong with a path; "" if nothing is.
func checkPath(path Path) string {
	switch {
	case len(path) == 0:
		return "has no tag"
	case len(path) > maxPath:
		return "is nested too deeply"
	}
	for i, t := range path {
		if t.Element == 0 || t.Group < 8 || t.Group == 0xfffe || isPrivate(t) && t.Element < 0x10 {
			return "is no attribute of a data set"
		}
		if i == len(path)-1 {
			break
		}
		if vr := dataset.DictionaryVR(t); vr != "SQ" && (vr != "UN" || !isPrivate(t)) {
			return "leads into an attribute that is no sequence"
		}
	}
	return ""
}

func isPrivate(t dataset.Tag) bool { return t.Group&1 == 1 }

func (k *Key) fault(reason string) error { return &ValueError{Path: k.Path, VR: k.VR, Reason: reason} }

// clean returns the values in the form in which they are sent, nil if they match everything.
func (k *Key) clean(values []string) ([]string, error) {
	r := rules[k.VR]
	cleaned := make([]string, 0, len(values))
	for _, value := range values {
		if !utf8.ValidString(value) {
			return nil, k.fault("is not valid UTF-8")
		}
		parts := []string{value}
		if r.kind == uidKind {
			parts = strings.Split(value, `\`)
		}
		for _, part := range parts {
			part = strings.Trim(part, " ")
			if part == "" && (len(values) > 1 || len(parts) > 1) {
				return nil, k.fault("has an empty value among several")
			}
			if r.wildcards && part != "" && strings.Trim(part, "*") == "" {
				part = ""
			}
			if part == "" {
				return nil, nil
			}
			cleaned = append(cleaned, part)
		}
	}
	k.any = r.kind != uidKind && len(cleaned) > 1
	return cleaned, nil
}

// compile checks the values and returns the test of the key.
func (k *Key) compile() (test, error) {
	r := rules[k.VR]
	tag := k.Path[len(k.Path)-1]
	single := dataset.VM(tag) == "1"
	switch {
	case r.kind == unmatched:
		return nil, k.fault("has a VR whose values cannot be matched")
	case tag == dataset.SpecificCharacterSet:
		return nil, k.fault("is never matched")
	case r.kind == uidKind:
		for _, uid := range k.Values {
			if reason := r.check(uid, ValidUID); reason != "" {
				return nil, k.fault(reason)
			}
		}
		return newUIDTest(k.Values, single), nil
	case len(k.Values) > maxAlternatives:
		return nil, k.fault("has too many values")
	}
	tests := make(anyOf, 0, len(k.Values))
	for i, value := range k.Values {
		t, reason := k.compileOne(&r, value, single)
		if reason != "" {
			return nil, k.fault(reason)
		}
		k.Values[i] = wire(k.VR, value)
		tests = append(tests, t)
	}
	if len(tests) == 1 {
		return tests[0], nil
	}
	return tests, nil
}

// compileOne returns the test of one value, or the reason why it cannot be a key.
func (k *Key) compileOne(r *rule, value string, single bool) (test, string) {
	var n number
	var valid func(string) bool
	switch r.kind {
	case dateKind:
		return k.compileSpan(r, value, func(s string) (dateTime, bool) {
			d, ok := parseDate(s, false)
			return dateTime{interval: d}, ok
		})
	case timeKind:
		return k.compileSpan(r, value, func(s string) (dateTime, bool) {
			t, ok := parseTime(s, false)
			return dateTime{interval: t}, ok
		})
	case dateTimeKind:
		return k.compileSpan(r, value, parseDateTime)
	case numberKind:
		valid = func(s string) (ok bool) { n, ok = validNumber(s, k.VR); return ok }
	case tagKind:
		valid = func(s string) bool { _, ok := newTagTest(s); return ok }
	case nameKind:
		valid = validName
	case codeKind:
		switch k.VR {
		case "CS":
			valid = validCode
		case "AS":
			valid = validAge
		default:
			valid = isPrintableASCII
		}
	}
	if reason := r.check(value, valid); reason != "" {
		return nil, reason
	}
	switch r.kind {
	case numberKind:
		return newNumberTest(n), ""
	case tagKind:
		t, _ := newTagTest(value)
		return t, ""
	case nameKind:
		return newNameTest(value, k.Fuzzy), ""
	}
	tag := k.Path[len(k.Path)-1]
	exact := r.kind == codeKind || exactTags[tag] || isPrivate(tag) && tag.Element <= 0xff
	return newTextTest(value, exact, exact && single), ""
}

// wire returns a value that was checked in the form in which it is sent: a range without the spaces that a caller may write
// around its hyphen, and a binary integer without a sign that means nothing.
func wire(vr, value string) string {
	r := rules[vr]
	if _, integer := integerVRs[vr]; integer && vr != "IS" {
		n, _ := parseNumber(value)
		return string(n.appendDecimal(nil))
	}
	if r.ranges {
		return strings.ReplaceAll(value, " ", "")
	}
	return value
}

// check returns what is wrong with one value; "" if nothing is. valid checks its form; nil: the VR has no form.
func (r *rule) check(value string, valid func(string) bool) string {
	switch {
	case hasControl(value):
		return "has a control character"
	case !r.backslash && strings.Contains(value, `\`):
		return "has a backslash, which would separate two values"
	case !r.wildcards && strings.ContainsAny(value, "*?"):
		return "has a wildcard, which its VR does not allow"
	case r.maxLength > 0 && utf8.RuneCountInString(value)-strings.Count(value, "*") > r.maxLength:
		return "is too long"
	case valid == nil || valid(value):
		return ""
	case !r.ranges && !r.wildcards && isRange(value, valid):
		return "is a range, which its VR does not allow"
	}
	return "is not " + r.noun
}

// isRange reports whether value is a range of valid values.
func isRange(value string, valid func(string) bool) bool {
	for i := range len(value) {
		if value[i] != '-' {
			continue
		}
		from, to := strings.Trim(value[:i], " "), strings.Trim(value[i+1:], " ")
		if from != "" && valid(from) && (to == "" || valid(to)) {
			return true
		}
	}
	return false
}

func (k *Key) compileSpan(r *rule, value string, parse func(string) (dateTime, bool)) (test, string) {
	if reason := r.check(value, nil); reason != "" {
		return nil, reason
	}
	s, reason := parseSpan(value, parse)
	switch {
	case reason == notAValue:
		return nil, "is not " + r.noun
	case reason != "":
		return nil, reason
	}
	switch r.kind {
	case dateKind:
		return &dateTest{span: s}, ""
	case timeKind:
		return &dateTest{span: s, isTime: true}, ""
	}
	return &dateTimeTest{s}, ""
}

func hasControl(s string) bool {
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return true
		}
	}
	return false
}

func isPrintableASCII(s string) bool { return isASCII([]byte(s)) }

// anyOf matches if one of the tests does.
type anyOf []test

func (a anyOf) judge(v dataset.Value, at place) Verdict {
	best := Differs
	for _, t := range a {
		switch t.judge(v, at) {
		case Matches:
			return Matches
		case Unknown:
			best = Unknown
		}
	}
	return best
}

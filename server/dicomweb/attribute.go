package dicomweb

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/match"
)

// maxPath is the number of attributes in a path: as deep as data sets are read.
const maxPath = 8

// parameterNames are the parameters of a search that are no attributes.
var parameterNames = [...]string{
	"accept", "emptyvaluematching", "fuzzymatching", "includefield", "limit", "multiplevaluematching", "offset",
}

// isOtherName reports whether name is that of a parameter that PS3.18 does not define, which is ignored: lower case, and nothing that
// the caller may have meant as an attribute.
func isOtherName(name string) bool {
	const longest = 32
	if name == "" || len(name) > longest || name[0] >= '0' && name[0] <= '9' || isTagLike(name) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	_, _, keyword := dataset.FindKeyword(name)
	return !keyword
}

func isTagLike(name string) bool {
	if len(name) != len("ggggeeee") {
		return false
	}
	_, err := strconv.ParseUint(name, 16, 32)
	return err == nil
}

// parseAttribute reads the name of an attribute: a keyword or a tag, or several with dots between them, of which all but the last are
// sequences (PS3.18 section 8.3.4.1). It returns what is wrong, or "".
func parseAttribute(name string) (path match.Path, reason string) {
	n := strings.Count(name, ".") + 1
	if n > maxPath {
		return nil, "has more than " + strconv.Itoa(maxPath) + " attributes in its path"
	}
	path = make(match.Path, 0, n)
	for rest, more := name, true; more; {
		var id string
		id, rest, more = strings.Cut(rest, ".")
		t, reason := parseAttributeID(id)
		if reason != "" {
			return nil, reason
		}
		if vr := dataset.DictionaryVR(t); more && vr != "SQ" && !isPrivate(t) {
			return nil, "has a path through an attribute that is no sequence"
		}
		path = append(path, t)
	}
	return path, ""
}

const notAnAttribute = "is not an attribute: use its keyword in PS3.6, such as PatientID, or its tag as eight hexadecimal digits"

func parseAttributeID(id string) (t dataset.Tag, reason string) {
	if isTagLike(id) {
		n, _ := strconv.ParseUint(id, 16, 32)
		t = dataset.Tag{Group: uint16(n >> 16), Element: uint16(n)}
		if !isDataElement(t) {
			return t, "is not the tag of an attribute that can be searched"
		}
		return t, ""
	}
	t, keyword, ok := dataset.FindKeyword(id)
	switch {
	case ok && keyword == id && isDataElement(t):
		return t, ""
	case ok && keyword != id:
		return t, "is not an attribute; did you mean \"" + keyword + "\"?"
	case ok:
		return t, "is not an attribute that can be searched"
	}
	for _, parameter := range parameterNames {
		if strings.EqualFold(id, parameter) {
			return t, "is not an attribute; did you mean \"" + parameter + "\"?"
		}
	}
	return t, notAnAttribute
}

// isDataElement reports whether t can be an attribute of a data set: one of the dictionary, or a private one (PS3.5 section 7.8).
func isDataElement(t dataset.Tag) bool {
	switch {
	case t.Group < 0x0008 || t.Group == 0xfffe || t.Group == 0xffff || t.Element == 0:
		return false
	case t.Group&1 == 1:
		return t.Element >= 0x0010 && (t.Element <= 0x00ff || t.Element >= 0x1000)
	}
	return dataset.Keyword(t) != ""
}

func isPrivate(t dataset.Tag) bool { return t.Group&1 == 1 }

// isCreator reports whether t, which is private, is that of a private creator.
func isCreator(t dataset.Tag) bool { return t.Element <= 0x00ff }

// The attributes of an answer that are the gateway's: what a PACS sends in them is about the C-FIND.
var (
	retrieveURL = dataset.Tag{Group: 0x0008, Element: 0x1190}
	own         = [...]dataset.Tag{dataset.SpecificCharacterSet, dataset.QueryRetrieveLevel, retrieveURL}
)

func isOwn(t dataset.Tag) bool { return t == own[0] || t == own[1] || t == own[2] }

// below reports whether the attribute is one of a lower level than that of the search.
func below(t dataset.Tag, level qr.Level) bool {
	of, ok := qr.LevelOf(t)
	return ok && depth(of) > depth(level)
}

func depth(level qr.Level) int {
	switch level {
	case qr.LevelSeries:
		return 1
	case qr.LevelImage:
		return 2
	}
	return 0
}

const maxPointerName = 64

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// pointerTo returns the JSON Pointer (RFC 6901) to the parameter of that name. Longer names than maxPointerName are truncated.
func pointerTo(name string) string {
	if len(name) > maxPointerName && utf8.RuneCountInString(name) > maxPointerName {
		name = string([]rune(name)[:maxPointerName]) + "…"
	}
	return "/" + pointerEscaper.Replace(name)
}

// Known reports whether the pointer of a fault holds no name but those of PS3.18 and of the dictionary. What a caller takes for the name
// of a parameter can be a value.
func Known(pointer string) bool {
	name, index, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	switch name {
	case "", "study", "series":
		return pointer == "" || index == "" && name != ""
	case "includefield":
		_, err := strconv.Atoi(index)
		return index == "" || err == nil
	}
	if index != "" {
		return false
	}
	if slices.Contains(parameterNames[:], name) {
		return true
	}
	if _, _, ok := dataset.FindKeyword(name); ok {
		return true
	}
	// Eight digits can be a private tag and a date.
	path, reason := parseAttribute(name)
	return reason == "" && !slices.ContainsFunc(path, isPrivate)
}

package dicomweb

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/match"
)

// The limits of a query string. The server limits its length.
const (
	maxParameters = 100
	maxIncludes   = 300
	maxPage       = 1_000_000_000 // limit and offset
	maxValue      = 1024          // characters of a value that is no list of UIDs
)

// Resource is what a search is for: all studies, series or instances, or those below a study or a series.
type Resource struct {
	Level qr.Level
	// Study and Series are the UIDs in the path; nil if the resource has none.
	Study, Series *string
}

// Parameters are those of a search.
type Parameters struct {
	Search qr.Search
	// Empty reports that the limit is zero: the answer is empty without a search.
	Empty bool
	// Accept is the query parameter of that name, which goes before the header field; nil if it is not given.
	Accept *string
	// Warnings say what was ignored, without a value.
	Warnings []string
}

// ParseParameters reads the query string of a search (PS3.18 section 8.3.4). It returns every fault at once. A pointer is the name of
// a parameter; no fault contains a value.
func ParseParameters(resource Resource, query string) (*Parameters, []api.Fault) {
	p := parser{
		level: resource.Level,
		out:   Parameters{Search: qr.Search{Level: resource.Level}},
	}
	p.pathUID(&p.out.Search.StudyInstanceUID, "study", resource.Study)
	p.pathUID(&p.out.Search.SeriesInstanceUID, "series", resource.Series)
	p.parse(query)
	p.checkCreators()
	p.warnIgnored()
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	return &p.out, nil
}

type parser struct {
	level  qr.Level
	out    Parameters
	faults []api.Fault
	// given are the names of the parameters that occur once, and the paths of the keys, with the name that the caller used.
	given    []string
	keys     []named
	includes []named
	fields   int // elements of all includefield parameters
	ignored  []string
	fuzzy    bool
}

// named is an attribute, and where it is named.
type named struct {
	path  match.Path
	name  string // of the parameter of a key; "" for an attribute to include
	field int    // its place in all includefield parameters
	value string // of a key
}

// pointer returns the pointer of a fault of the attribute.
func (n *named) pointer() string {
	if n.name == "" {
		return fieldPointer(n.field)
	}
	return pointerTo(n.name)
}

func fieldPointer(field int) string { return "/includefield/" + strconv.Itoa(field) }

func (p *parser) fault(pointer, detail string) {
	p.faults = append(p.faults, api.Fault{Pointer: pointer, Detail: detail})
}

func (p *parser) warn(text string) { p.out.Warnings = append(p.out.Warnings, text) }

func (p *parser) pathUID(to *string, name string, uid *string) {
	if uid == nil {
		return
	}
	if !match.ValidUID(*uid) {
		p.fault("/"+name, "must be a DICOM unique identifier: groups of digits with dots between them, at most 64 characters")
		return
	}
	*to = *uid
}

// parse reads the parameters. It makes the keys at the end, because fuzzymatching may follow them.
func (p *parser) parse(query string) {
	count := 0
	for query != "" {
		var pair string
		if pair, query, _ = strings.Cut(query, "&"); pair == "" {
			continue
		}
		if count++; count > maxParameters {
			p.fault("", fmt.Sprintf("has more than %d parameters", maxParameters))
			break
		}
		p.parameter(pair)
	}
	for i := range p.keys {
		p.key(&p.keys[i])
	}
}

func (p *parser) parameter(pair string) {
	rawName, rawValue, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(rawName)
	if err != nil || !utf8.ValidString(name) {
		p.fault("/?", "is a name that is not valid UTF-8 in percent-encoding")
		return
	}
	value, err := url.QueryUnescape(rawValue)
	switch {
	case err != nil || !utf8.ValidString(value):
		p.fault(pointerTo(name), "must be UTF-8 in percent-encoding")
		return
	case strings.ContainsFunc(value, unicode.IsControl) || strings.ContainsRune(value, utf8.RuneError):
		p.fault(pointerTo(name), "must not contain control characters or undecodable ones")
		return
	}
	switch name {
	case "includefield":
		p.includeField(value)
	case "accept":
		p.accept(value)
	case "limit", "offset":
		p.page(name, value)
	case "fuzzymatching", "emptyvaluematching", "multiplevaluematching":
		p.option(name, value)
	default:
		p.attribute(name, value)
	}
}

// once reports whether the parameter is given the first time.
func (p *parser) once(name string) bool {
	if slices.Contains(p.given, name) {
		p.fault("/"+name, twice)
		return false
	}
	p.given = append(p.given, name)
	return true
}

const twice = "is given more than once"

func (p *parser) page(name, value string) {
	if !p.once(name) {
		return
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || n > maxPage {
		p.fault("/"+name, fmt.Sprintf("must be an integer from 0 to %d", maxPage))
		return
	}
	if name == "offset" {
		p.out.Search.Offset = int(n)
		return
	}
	p.out.Search.Limit, p.out.Empty = int(n), n == 0
}

// option reads an option of matching (PS3.18 sections 8.3.4.2, 8.3.4.5 and 8.3.4.6). Those that are not supported give a warning.
func (p *parser) option(name, value string) {
	if !p.once(name) {
		return
	}
	switch value {
	case "true":
		if name == "fuzzymatching" {
			p.fuzzy = true
		} else {
			p.warn("The " + name + " parameter is not supported. Only literal matching has been performed.")
		}
	case "false":
	default:
		p.fault("/"+name, "must be true or false")
	}
}

func (p *parser) accept(value string) {
	if p.out.Accept != nil {
		value = *p.out.Accept + "," + value
	}
	p.out.Accept = &value
}

func (p *parser) includeField(value string) {
	n := min(strings.Count(value, ",")+1, maxIncludes)
	p.includes = slices.Grow(p.includes, n)
	p.out.Search.Include = slices.Grow(p.out.Search.Include, n)
	for field := range strings.SplitSeq(value, ",") {
		field = strings.TrimSpace(field)
		if field == "" {
			continue // an empty element of a list has no meaning (RFC 9110 section 5.6.1.2)
		}
		at := p.fields
		if p.fields++; p.fields == maxIncludes+1 {
			p.fault("/includefield", fmt.Sprintf("has more than %d attributes", maxIncludes))
		}
		if p.fields > maxIncludes {
			return
		}
		if field == "all" {
			p.out.Search.IncludeAll = true
			continue
		}
		path, reason := parseAttribute(field)
		if reason != "" {
			p.fault(fieldPointer(at), reason)
			continue
		}
		p.includes = append(p.includes, named{path: path, field: at})
		if !below(path[0], p.level) && !isOwn(path[0]) {
			p.out.Search.Include = append(p.out.Search.Include, path)
		}
	}
}

// attribute reads a parameter that may be a matching key.
func (p *parser) attribute(name, value string) {
	if isOtherName(name) {
		p.ignored = append(p.ignored, name)
		return
	}
	path, reason := parseAttribute(name)
	if reason != "" {
		p.fault(pointerTo(name), reason)
		return
	}
	for _, k := range p.keys {
		if slices.Equal(k.path, path) {
			p.fault(pointerTo(name), twice)
			return
		}
	}
	p.keys = append(p.keys, named{path: path, name: name, value: value})
}

// key makes the matching key of an attribute.
func (p *parser) key(k *named) {
	last := k.path[len(k.path)-1]
	switch {
	case isOwn(k.path[0]):
		p.fault(k.pointer(), "cannot be matched")
		return
	case below(k.path[0], p.level):
		p.fault(k.pointer(), "is an attribute of a lower level than this search")
		return
	case k.value != "" && isPrivate(last) && !isCreator(last):
		p.fault(k.pointer(), "is a private attribute: its value representation is not known, so it can be included and not matched")
		return
	}
	vr := dataset.DictionaryVR(last)
	values := valuesOf(k.path, vr, k.value)
	if vr != "UI" && utf8.RuneCountInString(k.value) > maxValue {
		p.fault(k.pointer(), fmt.Sprintf("must have at most %d characters", maxValue))
		return
	}
	if len(values) == 0 && k.value != "" {
		p.fault(k.pointer(), "has no value between its commas")
		return
	}
	if len(k.path) == 1 && last == dataset.ModalitiesInStudy {
		p.modalities(k, values)
		return
	}
	key, err := match.NewKey(k.path, vr, values, p.fuzzy)
	if err != nil {
		reason := "is not a value of this attribute"
		if fault, ok := errors.AsType[*match.ValueError](err); ok {
			reason = fault.Reason
		}
		p.fault(k.pointer(), reason)
		return
	}
	p.out.Search.Keys = append(p.out.Search.Keys, key)
}

// valuesOf returns the values of a parameter. Lists of UIDs have commas (PS3.18 section 8.3.4.1) or, from viewers, backslashes;
// viewers list modalities alike.
func valuesOf(path match.Path, vr, value string) []string {
	switch {
	case value == "":
		return nil
	case vr == "UI", len(path) == 1 && path[0] == dataset.ModalitiesInStudy:
		return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == '\\' })
	case vr == "DT":
		// The plus sign of an offset from UTC is a space if the caller did not escape it.
		return []string{strings.ReplaceAll(value, " ", "+")}
	}
	return []string{value}
}

// modalities reads the value of Modalities in Study, which the search checks by itself.
func (p *parser) modalities(k *named, values []string) {
	for _, modality := range values {
		if modality = strings.Trim(modality, " "); modality == "*" && len(values) == 1 {
			return // universal matching
		}
		if !isCode(modality) {
			p.fault(k.pointer(), "must be modalities with commas between them, each 1 to 16 upper-case letters, digits, spaces and underscores")
			return
		}
		p.out.Search.Modalities = append(p.out.Search.Modalities, modality)
	}
}

func isCode(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != ' ' && c != '_' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 16
}

// checkCreators requires the private creator of each private attribute, since the number of its block means nothing alone (PS3.18
// section 8.3.4.3, PS3.5 section 7.8.1).
func (p *parser) checkCreators() {
	for _, list := range [...][]named{p.keys, p.includes} {
		for i := range list {
			p.checkCreator(&list[i])
		}
	}
}

func (p *parser) checkCreator(n *named) {
	for i, t := range n.path {
		if !isPrivate(t) || isCreator(t) {
			continue
		}
		creator := append(slices.Clone(n.path[:i]), dataset.Tag{Group: t.Group, Element: t.Element >> 8})
		if !slices.ContainsFunc(p.keys, func(k named) bool { return slices.Equal(k.path, creator) && k.value != "" }) {
			p.fault(n.pointer(), "needs its private creator, as the value of the parameter "+creator.String())
			return
		}
	}
}

// maxNamed is the number of ignored parameters that warnings name, because clients limit the length of a header.
const maxNamed = 5

// warnIgnored adds the warnings about parameters that are ignored (PS3.18 section 8.3).
func (p *parser) warnIgnored() {
	if len(p.ignored) > maxNamed {
		p.warn(strconv.Itoa(len(p.ignored)) + " parameters are not supported and were ignored.")
		return
	}
	for _, name := range p.ignored {
		p.warn("The parameter " + name + " is not supported and was ignored.")
	}
}

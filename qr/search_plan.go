package qr

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr/match"
)

// searchPlan is a checked Search, divided into the queries of its levels.
type searchPlan struct {
	level         Level
	limit, offset int
	modalities    []string
	levels        map[Level]*levelPlan // those of the search and those above
	relational    *levelPlan           // all of them together, for one relational query

	// studies, series and instances are the UIDs that are asked for, each list nil for any.
	studies, series, instances []string
	// studyGiven and seriesGiven report that the caller named the parent beside the keys, so that its attributes are part of the answer
	// only if the caller asks for some.
	studyGiven, seriesGiven bool
	patientID               string // the one that is asked for; "": any
	isPatient               match.Key
	// windowed reports a search to be divided into windows of Study Date, from earliest to latest.
	windowed         bool
	earliest, latest int
	all              bool // attributes, whatever the PACS returns
}

// levelPlan is what is asked at one level.
type levelPlan struct {
	level    Level
	keys     []match.Key // with values; without the unique keys of this level and those above
	optional []bool      // of keys: the PACS may not support the key
	filter   *match.Filter
	include  []match.Path
	wanted   []dataset.Tag // the attributes to keep, in ascending order
	asked    bool          // the caller includes an attribute of this level
}

// levelsDown are the levels of a search from the top.
var levelsDown = []Level{LevelStudy, LevelSeries, LevelImage}

func newSearchPlan(s *Search, profile pool.Profile) (*searchPlan, error) {
	p := &searchPlan{
		level: s.Level, limit: s.Limit, offset: s.Offset, modalities: s.Modalities, all: s.IncludeAll,
		levels: map[Level]*levelPlan{}, studyGiven: s.StudyInstanceUID != "", seriesGiven: s.SeriesInstanceUID != "",
	}
	depth := slices.Index(levelsDown, s.Level)
	switch {
	case depth < 0:
		return nil, &FilterError{Field: "level"}
	case s.Limit < 0:
		return nil, &FilterError{Field: "limit"}
	case s.Offset < 0:
		return nil, &FilterError{Field: "offset"}
	case p.studyGiven && depth < 1, p.seriesGiven && (depth < 2 || !p.studyGiven):
		return nil, &FilterError{Field: "level"}
	}
	for _, level := range levelsDown[:depth+1] {
		p.levels[level] = newLevelPlan(level, s.IncludeAll)
	}
	for _, given := range []struct {
		uid string
		in  *[]string
	}{{s.StudyInstanceUID, &p.studies}, {s.SeriesInstanceUID, &p.series}} {
		if given.uid == "" {
			continue
		}
		if !validUID(given.uid) {
			return nil, &FilterError{Field: "UID"}
		}
		*given.in = []string{given.uid}
	}
	for _, m := range s.Modalities {
		if !isModality(m) || m == "" {
			return nil, &FilterError{Field: "modalities"}
		}
	}
	for _, path := range s.Include {
		p.include(path)
	}
	for _, key := range s.Keys {
		if err := p.addKey(key, profile); err != nil {
			return nil, err
		}
	}
	for _, level := range levelsDown[:depth+1] {
		l := p.levels[level]
		l.filter = match.NewFilter(l.keys)
	}
	p.relational = p.levels[LevelStudy]
	if depth > 0 {
		p.relational = newLevelPlan(s.Level, s.IncludeAll)
		for _, level := range levelsDown[:depth+1] {
			p.relational.join(p.levels[level])
		}
		p.relational.filter = match.NewFilter(p.relational.keys)
	}
	p.setWindows()
	return p, nil
}

// newLevelPlan returns a plan that asks for the defaults of a level, or for all its attributes.
func newLevelPlan(level Level, all bool) *levelPlan {
	asked := &searchLevels[level].defaults
	if all {
		asked = &searchLevels[level].all
	}
	return &levelPlan{level: level, include: slices.Clip(asked.include), wanted: slices.Clip(asked.wanted)}
}

// asked are the attributes that a C-FIND asks for, and which of them to keep, in ascending order.
type asked struct {
	include []match.Path
	wanted  []dataset.Tag
}

// askedFor returns the attributes that are asked for whatever the search includes.
func askedFor(attributes []SearchAttribute, all bool) asked {
	l := &levelPlan{wanted: []dataset.Tag{dataset.SpecificCharacterSet}}
	for i := range attributes {
		if a := &attributes[i]; a.Default || all {
			l.add(a.Path)
		}
	}
	return asked{l.include, l.wanted}
}

func (l *levelPlan) add(path match.Path) {
	if !slices.ContainsFunc(l.include, func(p match.Path) bool { return slices.Equal(p, path) }) {
		l.include = append(l.include, path)
	}
	if i, found := slices.BinarySearchFunc(l.wanted, path[0], compareTags); !found {
		l.wanted = slices.Insert(l.wanted, i, path[0])
	}
}

// join adds what another level asks for.
func (l *levelPlan) join(other *levelPlan) {
	for _, path := range other.include {
		l.add(path)
	}
	l.keys, l.optional = append(l.keys, other.keys...), append(l.optional, other.optional...)
}

// notReturned are attributes that are no keys of a C-FIND: they say how the data set is encoded or where it is.
var notReturned = []dataset.Tag{dataset.SpecificCharacterSet, dataset.QueryRetrieveLevel, retrieveURL}

// include asks for an attribute at its level. One of a level below the search is left out, as PS3.18 section 8.3.4.3 says.
func (p *searchPlan) include(path match.Path) {
	if len(path) == 0 || slices.Contains(notReturned, path[0]) {
		return
	}
	level, known := LevelOf(path[0])
	if !known {
		level = p.level
	}
	if l := p.levels[level]; l != nil {
		l.add(path)
		l.asked = l.asked || path[0] != searchLevels[level].unique
	}
}

// addKey adds a key at the level of its attribute, and the values of a unique key to the UIDs that are asked for.
func (p *searchPlan) addKey(key match.Key, profile pool.Profile) error {
	if len(key.Path) == 0 {
		return &FilterError{Field: "key"}
	}
	if key.IsUniversal() {
		p.include(key.Path)
		return nil
	}
	first := key.Path[0]
	level, known := LevelOf(first)
	if !known {
		level = p.level
	}
	l := p.levels[level]
	if l == nil || first == dataset.ModalitiesInStudy {
		return &FilterError{Field: key.Path.String()}
	}
	for _, unique := range [...]struct {
		tag dataset.Tag
		in  *[]string
	}{
		{dataset.StudyInstanceUID, &p.studies}, {dataset.SeriesInstanceUID, &p.series}, {sopInstanceUID, &p.instances},
	} {
		if first == unique.tag {
			return addUIDs(unique.in, key)
		}
	}
	if first == dataset.PatientID && p.patientID == "" && isSingle(key) {
		p.patientID, p.isPatient = trim(key.Values[0]), key
	}
	l.add(key.Path)
	l.keys = append(l.keys, key)
	l.optional = append(l.optional, !required(key.Path) && !(level == LevelStudy && slices.Contains(profile.StudyKeys, first)))
	return nil
}

// addUIDs restricts the UIDs that are asked for to those of a key.
func addUIDs(in *[]string, key match.Key) error {
	var uids []string
	for _, uid := range key.Values {
		if uid = trim(uid); !validUID(uid) {
			return &FilterError{Field: key.Path.String()}
		}
		if !slices.Contains(uids, uid) && (*in == nil || slices.Contains(*in, uid)) {
			uids = append(uids, uid)
		}
	}
	if len(uids) > maxUIDs {
		return &FilterError{Field: key.Path.String()}
	}
	*in = append([]string{}, uids...)
	return nil
}

// maxUIDs is the largest number of UIDs in a key: each may be a C-FIND.
const maxUIDs = 1000

// required reports whether every PACS supports a key at its level (PS3.4 section C.6).
func required(path match.Path) bool {
	for i := range searchAttributes {
		if a := &searchAttributes[i]; slices.Equal(a.Path, path) {
			return a.Key != Optional
		}
	}
	return false
}

// isSingle reports whether a key has one value without wildcards.
func isSingle(key match.Key) bool {
	return len(key.Values) == 1 && trim(key.Values[0]) != "" && !strings.ContainsAny(key.Values[0], `*?\`)
}

// impossible reports whether no match is possible, so that nothing is sent.
func (p *searchPlan) impossible() bool {
	empty := func(uids []string) bool { return uids != nil && len(uids) == 0 }
	return empty(p.studies) || empty(p.series) || empty(p.instances)
}

// setWindows decides whether the search is divided into windows.
func (p *searchPlan) setWindows() {
	if p.level != LevelStudy || p.limit == 0 || p.studies != nil || p.patientID != "" {
		return
	}
	p.windowed = true
	for _, key := range p.levels[LevelStudy].keys {
		switch key.Path[0] {
		case dataset.AccessionNumber:
			p.windowed = p.windowed && !isSingle(key)
		case dataset.StudyDate:
			var ok bool
			p.earliest, p.latest, ok = dateBounds(key.Values)
			p.windowed = p.windowed && ok
		}
	}
}

// dateBounds returns the days of a DA key, zero for no bound.
func dateBounds(values []string) (from, to int, ok bool) {
	if len(values) != 1 {
		return 0, 0, false
	}
	first, last, isRange := strings.Cut(trim(values[0]), "-")
	if !isRange {
		last = first
	}
	for _, bound := range [...]struct {
		text string
		day  *int
	}{{first, &from}, {last, &to}} {
		if bound.text == "" {
			continue
		}
		if *bound.day, ok = parseDate(bound.text); !ok {
			return 0, 0, false
		}
	}
	return from, to, from != 0 || to != 0
}

// dated reports whether the caller asks for a range of Study Date.
func (p *searchPlan) dated() bool { return p.earliest != 0 || p.latest != 0 }

// plainer returns the key for a PACS that found nothing or refused the query: without a value if the PACS may not support the key, and text in
// upper case, with wildcards for what is not ASCII, since some archives compare bytes. It returns false if that is the same key.
func plainer(key match.Key, optional bool) (match.Key, bool) {
	if optional {
		return key.Universal(), true
	}
	if len(key.Values) != 1 || key.VR != "PN" && key.VR != "LO" && key.VR != "SH" || key.Path[0] == dataset.PatientID {
		return key, false
	}
	value := upperASCII(key.Values[0])
	if value == key.Values[0] {
		return key, false
	}
	if strings.Trim(value, "*") == "" {
		return key.Universal(), true
	}
	wide, err := match.NewKey(key.Path, key.VR, []string{value}, key.Fuzzy)
	return wide, err == nil
}

func upperASCII(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(unicode.ToUpper(r))
		case !strings.HasSuffix(b.String(), "*"):
			b.WriteByte('*')
		}
	}
	return b.String()
}

// identifier returns the data set of the C-FIND. Every match is checked against all keys, whatever is sent.
func (s *searcher) identifier(r *request) (*dataset.Dataset, error) {
	keys, include := s.sentKeys(r), slices.Clone(r.include)
	if s.plain {
		include = slices.DeleteFunc(include, func(path match.Path) bool { return !required(path) })
	}
	for _, parent := range levelsDown[:slices.Index(levelsDown, r.level)] {
		unique, uid := searchLevels[parent].unique, r.study
		if parent == LevelSeries {
			uid = r.series
		}
		if uid == "" {
			include = append(include, match.Path{unique})
			continue
		}
		keys = append(keys, keyOf(unique, "UI", uid))
	}
	if len(r.uids) > 0 {
		keys = append(keys, keyOf(searchLevels[r.level].unique, "UI", r.uids...))
	}
	if s.findModel == dicomnet.PatientRoot && r.level != LevelStudy && r.patientID != "" && literal(r.patientID, 64) && !hasKey(keys, dataset.PatientID) {
		keys = append(keys, keyOf(dataset.PatientID, "LO", r.patientID))
	}
	query, err := match.Identifier(string(r.level), keys, include)
	if fault, ok := errors.AsType[*match.ValueError](err); ok {
		return nil, &FilterError{Field: fault.Path.String()}
	}
	return query, err
}

// sentKeys returns the keys that the C-FIND has beside those of UIDs, those of its window included.
func (s *searcher) sentKeys(r *request) []match.Key {
	keys := make([]match.Key, 0, len(r.keys)+4)
	for i, key := range r.keys {
		if r.window != nil && (key.Path[0] == dataset.StudyDate || key.Path[0] == dataset.StudyTime && r.window.Timed) {
			continue // the window is narrower
		}
		key = containing(key)
		if r.plain || s.plain {
			key, _ = plainer(key, r.optional[i])
		}
		keys = append(keys, key)
	}
	if r.window == nil {
		return keys
	}
	if dates := r.window.Dates(); dates != "" {
		keys = append(keys, keyOf(dataset.StudyDate, "DA", dates))
	}
	if r.window.Timed {
		keys = append(keys, keyOf(dataset.StudyTime, "TM", r.window.Times()))
	}
	return keys
}

// containing returns the key that a PACS needs for one with fuzzy matching, which PS3.4 leaves to negotiation: names that contain
// the longest word. It returns any other key unchanged.
func containing(key match.Key) match.Key {
	if !key.Fuzzy || key.VR != "PN" || len(key.Values) != 1 {
		return key
	}
	longest := ""
	for _, word := range strings.FieldsFunc(key.Values[0], func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if len(word) > len(longest) {
			longest = word
		}
	}
	wide, err := match.NewKey(key.Path, key.VR, []string{"*" + longest + "*"}, false)
	if longest == "" || err != nil {
		return key.Universal()
	}
	return wide
}

func hasKey(keys []match.Key, t dataset.Tag) bool {
	return slices.ContainsFunc(keys, func(key match.Key) bool { return len(key.Path) == 1 && key.Path[0] == t })
}

// onlyUID returns the only UID of a list; "" if there are none or several.
func onlyUID(uids []string) string {
	if len(uids) == 1 {
		return uids[0]
	}
	return ""
}

// keyOf returns a key for a value that the gateway made or a PACS returned. If the latter is not as the VR wants it, it is sent as
// it is: the key is not used to judge a match.
func keyOf(t dataset.Tag, vr string, values ...string) match.Key {
	key, err := match.NewKey(match.Path{t}, vr, values, false)
	if err != nil {
		key = match.Key{Path: match.Path{t}, VR: vr, Values: values}
	}
	return key
}

package qr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr/match"
	"dicom-qr-gateway/qr/window"
)

// searcher runs one Search.
type searcher struct {
	*operation
	tally
	plan    *searchPlan
	profile pool.Profile
	plain   bool // the PACS has refused a query with every key
	held    int  // bytes of memory that are counted for matches
	unknown map[unknownKey]int
	// otherPatients holds the Study Instance UIDs that were listed for another patient than the one that is asked for.
	otherPatients map[string]struct{}
	modalities    int // how many studies were asked for their modalities
}

// unknownKey is a key that some matches cannot show, and what happened to them.
type unknownKey struct{ keyword, fate string }

// What happens to a match that cannot show a key.
const (
	keptUnchecked    = "kept without being checked,"
	droppedUnchecked = "dropped"
)

// request is one C-FIND of a search.
type request struct {
	*levelPlan
	parent        *Match   // of the matches; nil: none, or named by the caller
	study, series string   // Instance UIDs of the parents; "" if the PACS is asked for those of any
	patientID     string   // that the parents belong to; "" if it is not known
	uids          []string // unique keys that are asked for; nil: any
	window        *window.Window
	seen          map[string]struct{} // unique keys of matches to ignore
	plain         bool
	related       bool // the matches are no part of the answer: see relatedPlans
}

// found collects the matches of one level.
type found struct {
	list     []*Match
	byUID    map[string]*Match
	size     int      // bytes that the matches hold
	outside  int      // matches that are not of the window
	timeless []string // UIDs of matches without a time, on a day of which a part was asked for
}

func newFound() *found { return &found{byUID: map[string]*Match{}} }

// add adds the matches of another list that this one does not have.
func (f *found) add(list ...*Match) {
	for _, m := range list {
		if _, seen := f.byUID[m.uid()]; !seen {
			f.byUID[m.uid()] = m
			f.list = append(f.list, m)
		}
	}
}

// ask runs one C-FIND and adds its matches to f.
func (s *searcher) ask(ctx context.Context, r *request, f *found) error {
	query, err := s.identifier(r)
	if err != nil {
		return err
	}
	a := &answer{searcher: s, request: r, found: f}
	size, taken := 0, 0
	err = s.matches(ctx, r.level, query, &s.tally, func(m dicomnet.Match) {
		a.add(&m)
		taken += s.take(ctx, a.keeper.Size()-size)
		size = a.keeper.Size()
	})
	s.held += taken
	f.size += taken
	if _, ok := errors.AsType[*budget.TooLargeError](err); ok {
		return &SearchTooBroadError{Max: s.gateway.options.MaxMatches}
	}
	if tooMany, ok := errors.AsType[*TooManyMatchesError](err); ok {
		return &SearchTooBroadError{Max: tooMany.Max}
	}
	return err
}

// answer checks the matches of one C-FIND and keeps those that are right.
type answer struct {
	*searcher
	*request
	*found
	keeper  dataset.Keeper
	missing []int               // reused
	free    []Match             // the unused rest of a slab
	lists   map[string][]string // of modalities, by the encoded Modalities in Study
}

// add checks one match and keeps it.
func (a *answer) add(row *dicomnet.Match) {
	set := row.Set
	uid := single(set, searchLevels[a.level].unique)
	if row.Final && uid == "" {
		return // the identifier of the final success is no match
	}
	if _, seen := a.seen[uid]; seen {
		return
	}
	if level := set.String(dataset.QueryRetrieveLevel); level != "" && level != string(a.level) {
		a.drop(set, otherLevel)
		return
	}
	m := a.fresh()
	if !a.identify(m, set, uid) || !a.belongs(m, set) || !a.judge(set) {
		return
	}
	a.sortKeys(m, set)
	if !a.inWindow(m) {
		return
	}
	m.patientID = single(set, dataset.PatientID)
	if a.level == LevelStudy {
		m.Modalities = a.modalitiesIn(set)
	}
	a.counts.addText(set.Warnings())
	if known := a.byUID[m.uid()]; known != nil {
		a.counts[repeated]++
		a.merge(known, m, set)
		return
	}
	m.set, a.free = a.keep(set), a.free[1:]
	a.found.add(m)
}

// fresh returns the next match of a slab. The next call overwrites it unless add keeps it.
func (a *answer) fresh() *Match {
	if len(a.free) == 0 {
		const most = 64
		a.free = make([]Match, min(most, len(a.list)+8))
	}
	a.free[0] = Match{parent: a.parent}
	return &a.free[0]
}

// modalitiesIn decodes Modalities in Study. Studies with the same value share the list.
func (a *answer) modalitiesIn(set *dataset.Set) []string {
	raw, _ := set.Bytes(dataset.ModalitiesInStudy)
	if list, known := a.lists[string(raw)]; known {
		return list
	}
	list := slices.Clip(addModalities(nil, set.Strings(dataset.ModalitiesInStudy)))
	if set.Warnings() != 0 || len(raw) > maxListed || len(a.lists) == maxLists {
		return list // with warnings it is decoded each time, so that each is counted
	}
	if a.lists == nil {
		a.lists = map[string][]string{}
	}
	a.lists[string(raw)] = list
	return list
}

// maxLists bounds the lists that are remembered, maxListed the encoded value of each. Most studies have one of few combinations.
const maxLists, maxListed = 64, 128

// identify sets the UIDs of a match. Those of the parents must be the ones that were asked for.
func (a *answer) identify(m *Match, set *dataset.Set, uid string) bool {
	unique := [...]struct {
		level Level
		tag   dataset.Tag
		asked string
		to    *string
	}{
		{LevelStudy, dataset.StudyInstanceUID, a.study, &m.StudyInstanceUID},
		{LevelSeries, dataset.SeriesInstanceUID, a.series, &m.SeriesInstanceUID},
		{LevelImage, sopInstanceUID, "", &m.SOPInstanceUID},
	}
	for i := range unique {
		u := &unique[i]
		value := uid
		if u.level != a.level {
			value = single(set, u.tag)
			if u.asked != "" {
				if value != u.asked && (value != "" || set.Has(u.tag)) {
					a.drop(set, otherParent)
					return false
				}
				value = u.asked
			}
		}
		if !validUID(value) {
			a.drop(set, withoutUID)
			return false
		}
		*u.to = value
		if u.level == a.level {
			return true
		}
	}
	return true
}

// belongs reports whether a match is of the patient, study, series and instances that are asked for.
func (a *answer) belongs(m *Match, set *dataset.Set) bool {
	p := a.plan
	if p.patientID != "" && a.asksForPatient() {
		switch p.isPatient.Judge(set) {
		case match.Differs:
			if single(set, dataset.PatientID) == "" {
				a.drop(set, withoutPatientID)
				return false
			}
			a.drop(set, otherPatient)
			a.distrust(m.StudyInstanceUID)
			return false
		case match.Unknown:
			a.drop(set, withoutPatientID)
			return false
		case match.Matches:
		}
	} else if a.patientID != "" && differs(&a.patientID, single(set, dataset.PatientID)) {
		a.drop(set, otherPatient)
		return false
	}
	if a.related {
		return true
	}
	wanted := func(uids []string, uid string) bool { return uids == nil || uid == "" || slices.Contains(uids, uid) }
	return wanted(p.studies, m.StudyInstanceUID) && wanted(p.series, m.SeriesInstanceUID) && wanted(p.instances, m.SOPInstanceUID)
}

// asksForPatient reports whether Patient ID is one of the keys.
func (a *answer) asksForPatient() bool { return hasKey(a.keys, dataset.PatientID) }

func (s *searcher) distrust(studyInstanceUID string) {
	if s.otherPatients == nil {
		s.otherPatients = map[string]struct{}{}
	}
	s.otherPatients[studyInstanceUID] = struct{}{}
}

// judge checks a match against the keys.
func (a *answer) judge(set *dataset.Set) bool {
	verdict, missing := a.filter.Judge(set, a.missing[:0])
	a.missing = missing
	switch verdict {
	case match.Matches:
		return true
	case match.Differs:
		return false
	case match.Unknown:
	}
	kept := true
	for _, i := range missing {
		if !a.supports(a.keys[i]) {
			kept = false
		}
	}
	fate := droppedUnchecked
	if kept {
		fate = keptUnchecked
	}
	for _, i := range missing {
		if a.supports(a.keys[i]) == kept {
			a.unknown[unknownKey{nameOf(a.keys[i].Path), fate}]++
		}
	}
	return kept
}

// supports reports whether the profile of the PACS says that it matches a key. A private creator is no condition: it only says
// whose attributes the search includes (PS3.18 section 8.3.4.3).
func (s *searcher) supports(key match.Key) bool {
	t := key.Path[len(key.Path)-1]
	creator := t.Group%2 == 1 && t.Element >= 0x0010 && t.Element <= 0x00ff
	return creator || s.profile.Known && slices.Contains(s.profile.StudyKeys, key.Path[0])
}

// nameOf returns the keyword of an attribute, or its path.
func nameOf(path match.Path) string {
	if name := dataset.Keyword(path[len(path)-1]); name != "" {
		return name
	}
	return path.String()
}

// inWindow reports whether a study is of the window that was asked for.
func (a *answer) inWindow(m *Match) bool {
	w := a.window
	switch {
	case w == nil:
		return true
	case m.date == 0:
		return false // undated studies are asked for after the last window
	case !w.Contains(m.date):
		a.outside++
		return false
	case w.Timed && m.time == 0:
		a.timeless = append(a.timeless, m.StudyInstanceUID)
		return false
	case !w.ContainsTime(m.time - 1):
		a.outside++
		return false
	}
	return true
}

func (a *answer) keep(set *dataset.Set) *dataset.Set {
	if a.plan.all && !a.related {
		return a.keeper.Keep(set)
	}
	return a.keeper.KeepTags(set, a.wanted)
}

// sortKeys sets what a match is sorted by. A date or number that is not as DICOM writes it counts as none: PACS do not agree
// about what it matches.
func (a *answer) sortKeys(m *Match, set *dataset.Set) {
	switch a.level {
	case LevelStudy:
		if text := set.String(dataset.StudyDate); len(text) == len("20240131") {
			m.date, _ = parseDate(text)
		}
		if m.date != 0 {
			m.time = parseTime(set.String(dataset.StudyTime))
		}
	case LevelSeries:
		m.number = numberOf(set, seriesNumber)
	default:
		m.number = numberOf(set, instanceNumber)
	}
}

// numberOf returns the value of an IS attribute, unnumbered if it has none.
func numberOf(set *dataset.Set, t dataset.Tag) int64 {
	n, err := strconv.ParseInt(set.String(t), 10, 32)
	if err != nil {
		return unnumbered
	}
	return n
}

// unnumbered is larger than any IS value.
const unnumbered = 1 << 40

// merge adds what another match of the same study, series or instance has: some PACS send a match for each of its instances or
// modalities. If both have a value, the first stands; of two patients it is the one whose ID sorts first, so that the order of
// the matches does not matter.
func (a *answer) merge(known, m *Match, set *dataset.Set) {
	if known.patientID != m.patientID && known.patientID != "" && m.patientID != "" {
		a.counts[sharedUID]++
		if m.patientID < known.patientID {
			m.set = a.keep(set)
			*known = *m
		}
		return
	}
	known.Modalities = addModalities(known.Modalities, m.Modalities)
	if m.date > known.date || m.date == known.date && m.time > known.time {
		known.date, known.time = m.date, m.time
	}
	known.number = min(known.number, m.number)
	if known.patientID == "" {
		known.patientID = m.patientID
	}
	if len(known.more) < maxMerged && known.lacks(set) {
		known.more = append(known.more, a.keep(set))
	}
}

// maxMerged bounds the matches that are merged into one.
const maxMerged = 16

// entities runs the C-FINDs that one level needs: one for each UID if there are several and the PACS may not read a list, and
// again in a plainer form if the PACS refuses the keys or finds nothing with them.
func (s *searcher) entities(ctx context.Context, r request) (*found, error) {
	before := s.remember()
	f, err := s.findForm(ctx, &r)
	if refused(err) && !s.plain && !r.related {
		s.forget(before)
		s.plain = true
		s.counts[optionalKeysRefused]++
		if f, err = s.findForm(ctx, &r); refused(err) {
			s.plain = false // it makes no difference
			s.forget(before)
		}
	}
	if err != nil || len(f.list) > 0 || s.plain || r.window != nil || !s.hasPlainer(&r) {
		return f, err
	}
	first := s.remember()
	s.forget(before)
	r.plain = true
	switch plain, err := s.findForm(ctx, &r); {
	case err == nil:
		return plain, nil
	case ctx.Err() != nil:
		return nil, err
	}
	s.forget(first) // the first answer was complete and stands
	s.counts[uncertain]++
	return f, nil
}

// memory is what a searcher has counted at some moment.
type memory struct {
	tally
	held    int
	unknown map[unknownKey]int
}

func (s *searcher) remember() memory { return memory{s.tally, s.held, maps.Clone(s.unknown)} }

// forget drops what was counted since then: the matches of those queries are not part of the answer.
func (s *searcher) forget(since memory) {
	s.give(s.held - since.held)
	s.tally, s.unknown = since.tally, maps.Clone(since.unknown)
}

// give returns the memory of matches that are not kept.
func (s *searcher) give(bytes int) {
	s.held -= bytes
	s.memory.Give(bytes)
}

// hasPlainer reports whether the request has a plainer form.
func (s *searcher) hasPlainer(r *request) bool {
	for i, key := range r.keys {
		if _, differs := plainer(key, r.optional[i]); differs {
			return true
		}
	}
	return false
}

func (s *searcher) findForm(ctx context.Context, r *request) (*found, error) {
	f := newFound()
	if len(r.uids) < 2 || s.profile.UIDLists {
		return f, s.ask(ctx, r, f)
	}
	if r.study != "" || r.patientID != "" || s.plan.patientID != "" {
		siblings := *r
		siblings.uids = nil // all of them are few, and each is checked
		return f, s.ask(ctx, &siblings, f)
	}
	for _, uid := range r.uids {
		one := *r
		one.uids = []string{uid}
		if err := s.ask(ctx, &one, f); err != nil {
			return f, err
		}
	}
	return f, nil
}

// warnings returns the warnings of the search.
func (s *searcher) warnings() []Warning {
	list := s.counts.warnings()
	keys := make([]unknownKey, 0, len(s.unknown))
	for key := range s.unknown {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b unknownKey) int {
		return cmp.Or(cmp.Compare(a.keyword, b.keyword), cmp.Compare(a.fate, b.fate))
	})
	for _, key := range keys {
		n, matches := s.unknown[key], "matches were"
		if n == 1 {
			matches = "match was"
		}
		list = append(list, Warning{WarningKeyUnchecked, fmt.Sprintf(
			"%d %s %s because the PACS does not return %s", n, matches, key.fate, key.keyword)})
	}
	return list
}

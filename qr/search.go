package qr

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr/match"
)

// Search is a query at one level with any keys. Zero fields do not restrict.
type Search struct {
	Level Level // LevelStudy, LevelSeries or LevelImage
	// StudyInstanceUID and SeriesInstanceUID name the study and the series whose series and instances are asked for.
	StudyInstanceUID, SeriesInstanceUID string
	// Keys are the matching keys (PS3.4 section C.2.2.2). Every match is checked against all of them. Keys of a level above Level
	// are checked on the study or series that a match belongs to. Modalities in Study is no key: see Modalities.
	Keys []match.Key
	// Modalities selects studies with at least one of these modalities.
	Modalities []string
	// Include are attributes to return, beside those that [SearchAttributes] marks as defaults. Those of a lower level are left
	// out. IncludeAll asks for every attribute of the table and keeps whatever the PACS returns.
	Include    []match.Path
	IncludeAll bool
	// Limit and Offset select a page of the matches in their order. Limit zero: all of them.
	Limit, Offset int
}

// SearchResult is a complete answer, or one whose warnings say what is missing.
type SearchResult struct {
	// Matches are the page that was asked for. Studies are in the order of date and time, newest first, those without a readable
	// date last; series and instances in the order of their number, those without one last. The UID decides between equals, so
	// that the order depends on the content of the PACS alone.
	Matches []*Match
	// More reports that at least one match follows the page.
	More     bool
	Warnings []Warning
}

// Match is a study, series or instance that matches. Matches of one result share memory: they are read by one goroutine at a
// time.
type Match struct {
	// The UIDs down to the level of the match, even if the PACS returned only the last. Those of lower levels are "".
	StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID string
	// Modalities are those of a study: all that the PACS listed for it, or those of its series if they were asked for. nil: they
	// are unknown, whatever Set has.
	Modalities []string
	// RelatedSeries and RelatedInstances are the numbers of series and instances of the study, or of instances of the series, if
	// the PACS does not return them and they were counted by queries at lower levels. Zero: see Set.
	RelatedSeries, RelatedInstances int

	set    *dataset.Set
	more   []*dataset.Set // of other matches of the same UID
	parent *Match

	patientID string
	date      int   // as 20240131; zero if there is none
	time      int64 // in microseconds plus one; zero if there is none
	number    int64
	late      bool // found by the search for undated studies, although it has a date
}

// uid returns the UID of the match's own level.
func (m *Match) uid() string {
	switch {
	case m.SOPInstanceUID != "":
		return m.SOPInstanceUID
	case m.SeriesInstanceUID != "":
		return m.SeriesInstanceUID
	}
	return m.StudyInstanceUID
}

// lacks reports whether set has a value that the match does not have.
func (m *Match) lacks(set *dataset.Set) bool {
	for t := range set.Tags() {
		if t == dataset.SpecificCharacterSet || !hasValueOf(set, t) {
			continue
		}
		if !hasValueOf(m.set, t) && !slices.ContainsFunc(m.more, func(more *dataset.Set) bool { return hasValueOf(more, t) }) {
			return true
		}
	}
	return false
}

func hasValueOf(set *dataset.Set, t dataset.Tag) bool {
	value, _ := set.Bytes(t)
	return len(value) > 0
}

// merged makes one data set of the first match and what others add, in Unicode. If it cannot be encoded, the first stands.
func (m *Match) merged() {
	if len(m.more) == 0 {
		return
	}
	all := map[dataset.Tag]*dataset.Element{dataset.SpecificCharacterSet: utf8CharacterSet()}
	filled := map[dataset.Tag]bool{dataset.SpecificCharacterSet: true}
	for _, set := range append([]*dataset.Set{m.set}, m.more...) {
		elements, err := set.Dataset()
		if err != nil {
			return
		}
		for _, e := range elements.Elements {
			if all[e.Tag] == nil || !filled[e.Tag] {
				all[e.Tag], filled[e.Tag] = e, hasValueOf(set, e.Tag)
			}
		}
	}
	encoded, err := dataset.Encode(&dataset.Dataset{Elements: slices.Collect(maps.Values(all))}, dataset.ExplicitVRLittleEndian)
	if err != nil {
		return
	}
	if set, err := dataset.Parse(encoded, dataset.ExplicitVRLittleEndian, dataset.Limits{}); err == nil {
		m.set, m.more = set, nil
	}
}

// Set returns the attributes that the PACS returned for the match. If it listed the match more than once, they are merged.
func (m *Match) Set() *dataset.Set { return m.set }

// Parent returns the study of a series, or the series of an instance, with its attributes, if the search had to find it. It is nil
// if the caller named it and asked for nothing of it, and if the match itself has the attributes. Matches share their parents.
func (m *Match) Parent() *Match { return m.parent }

// Search runs a query at one level. Nothing in the result depends on the PACS having applied a key: a match that differs from
// one is dropped. A match that lacks the attribute of a key is dropped too, unless the profile of the PACS says that it supports
// the key; a warning reports either.
//
// A search for studies with a limit, but without a single Study Instance UID, Patient ID or Accession Number, asks for one range
// of Study Date after the other, newest first, until it has enough studies. A search for series or instances without their study
// goes to a PACS with relational queries as it is; for another PACS the studies that Patient ID or Study Instance UID name are
// searched one by one.
//
// The error is a *FilterError, a *SearchTooBroadError, a *ModalityUnknownError, a *RelationalQueryError, or one of those of
// Query.
func (g *Gateway) Search(ctx context.Context, c Call, p Peer, s Search) (*SearchResult, error) {
	plan, err := newSearchPlan(&s, p.Profile())
	if err != nil {
		return nil, err
	}
	if plan.impossible() {
		return &SearchResult{Matches: []*Match{}, Warnings: []Warning{}}, nil
	}
	ctx, cancel := g.Bounded(ctx)
	defer cancel()
	o := g.begin(c, p)
	defer o.End(ctx)
	defer o.memory.Settle()
	if plan.patientID == "" {
		o.findModel, o.preferred = dicomnet.StudyRoot, dicomnet.StudyRoot
	}
	if err := o.requireFind(ctx); err != nil {
		return nil, err
	}
	run := &searcher{operation: o, plan: plan, profile: p.Profile(), unknown: map[unknownKey]int{}}
	return run.page(ctx)
}

// page runs the search and returns the page that was asked for.
func (s *searcher) page(ctx context.Context) (*SearchResult, error) {
	matches, err := s.all(ctx)
	if err != nil {
		return nil, err
	}
	// An answer without matches would be wrong if one could not be read.
	if len(matches) == 0 && s.unreadable != nil {
		return nil, pool.Failure(ctx, dicomnet.StepFind, s.unreadable)
	}
	if len(matches) == 0 && s.counts[modalitiesUnknown] > 0 {
		return nil, &ModalityUnknownError{}
	}
	from := min(s.plan.offset, len(matches))
	to := len(matches)
	if s.plan.limit > 0 {
		to = min(to, from+s.plan.limit)
	}
	result := &SearchResult{Matches: slices.Clip(matches[from:to]), More: to < len(matches)}
	for _, m := range result.Matches {
		m.merged()
	}
	if err := s.fill(ctx, result.Matches); err != nil {
		return nil, err
	}
	result.Warnings = s.warnings()
	return result, nil
}

// all returns the matches in order, at least up to the end of the page and one more. A windowed search keeps no attributes of
// those before the page.
func (s *searcher) all(ctx context.Context) ([]*Match, error) {
	switch {
	case s.plan.windowed:
		return s.newest(ctx)
	case s.plan.level == LevelStudy:
		f, err := s.studies(ctx)
		if err != nil {
			return nil, err
		}
		return f.list, nil
	}
	f, err := s.below(ctx)
	if err != nil {
		return nil, err
	}
	sortMatches(f.list)
	return f.list, nil
}

// NewMatch returns a match with these attributes, for a fake of Search. Its UIDs are those of the set and of the parent.
func NewMatch(set *dataset.Set, parent *Match) *Match {
	m := &Match{set: set, parent: parent}
	if parent != nil {
		m.StudyInstanceUID, m.SeriesInstanceUID = parent.StudyInstanceUID, parent.SeriesInstanceUID
	}
	m.StudyInstanceUID = cmp.Or(single(set, dataset.StudyInstanceUID), m.StudyInstanceUID)
	m.SeriesInstanceUID = cmp.Or(single(set, dataset.SeriesInstanceUID), m.SeriesInstanceUID)
	m.SOPInstanceUID = single(set, sopInstanceUID)
	m.Modalities = addModalities(nil, set.Strings(dataset.ModalitiesInStudy))
	return m
}

// sortMatches sorts studies by date and time, newest first and undated last, and series and instances by number. Matches of the
// same time or number are in the order of their UIDs.
func sortMatches(list []*Match) {
	slices.SortFunc(list, func(a, b *Match) int {
		switch {
		case a.late != b.late:
			if b.late {
				return -1
			}
			return 1
		case a.date != b.date:
			return cmp.Compare(b.date, a.date)
		case a.time != b.time:
			return cmp.Compare(b.time, a.time)
		case a.number != b.number:
			return cmp.Compare(a.number, b.number)
		}
		return strings.Compare(a.uid(), b.uid())
	})
}

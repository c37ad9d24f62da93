package qr

import (
	"context"
	"slices"

	"dicom-qr-gateway/dicomnet"
)

// maxWalk is the largest number of studies and series below which a search asks for series and instances.
const maxWalk = 1000

// studies returns the studies of a search that is not divided into windows, in order.
func (s *searcher) studies(ctx context.Context) (*found, error) {
	f, err := s.entities(ctx, request{levelPlan: s.plan.levels[LevelStudy], uids: s.plan.studies})
	if err != nil {
		return nil, err
	}
	if len(s.plan.modalities) == 0 && len(s.otherPatients) == 0 {
		sortMatches(f.list)
		return f, nil
	}
	kept := newFound()
	return kept, s.keepStudies(ctx, f.list, kept, 0)
}

// keepStudies adds studies to kept, in order, that are of the patient and of one of the modalities; most zero stands for all of
// them.
func (s *searcher) keepStudies(ctx context.Context, studies []*Match, kept *found, most int) error {
	studies = slices.DeleteFunc(studies, func(m *Match) bool {
		_, shared := s.otherPatients[m.StudyInstanceUID]
		if shared {
			s.counts[sharedStudyUID]++
		}
		return shared
	})
	sortMatches(studies)
	if len(s.plan.modalities) == 0 {
		kept.add(studies...)
		return nil
	}
	for _, study := range studies {
		if most > 0 && len(kept.list) >= most {
			break
		}
		wanted, known, err := s.hasModality(ctx, study)
		switch {
		case err != nil:
			return err
		case !known:
			s.counts[modalitiesUnknown]++
		case wanted:
			kept.add(study)
		}
	}
	return nil
}

// anchor is a study or series below which a search asks for series or instances.
type anchor struct {
	study, series string
	patientID     string
	match         *Match // nil if the caller named it and nothing else is asked of it
}

// below returns the series or instances of a search.
func (s *searcher) below(ctx context.Context) (*found, error) {
	p := s.plan
	if s.asksRelationally() {
		return s.relational(ctx)
	}
	anchors, err := s.studyAnchors(ctx)
	if err != nil {
		return nil, err
	}
	if p.level == LevelImage {
		if anchors, err = s.seriesAnchors(ctx, anchors); err != nil {
			return nil, err
		}
	}
	uids := p.series
	if p.level == LevelImage {
		uids = p.instances
	}
	return s.children(ctx, p.levels[p.level], anchors, uids)
}

// asksRelationally reports whether one relational query replaces the walk from level to level.
func (s *searcher) asksRelationally() bool {
	p := s.plan
	if !s.profile.Known || !s.profile.RelationalQueries {
		return false
	}
	if len(p.studies) > 1 || len(p.modalities) > 0 && (p.studies != nil || p.patientID != "") {
		return false // few studies, whose modalities are known only at their level
	}
	return !p.studyGiven || p.level == LevelImage && !p.seriesGiven
}

// relational asks for the matches of any study in one C-FIND, or in one for each series if several are named.
func (s *searcher) relational(ctx context.Context) (*found, error) {
	p := s.plan
	uids := p.series
	var parents []anchor
	if p.level == LevelImage {
		uids = p.instances
		for _, series := range p.series {
			parents = append(parents, anchor{study: onlyUID(p.studies), series: series})
		}
	}
	if parents == nil {
		parents = []anchor{{study: onlyUID(p.studies)}}
	}
	f, err := s.children(ctx, p.relational, parents, uids)
	if err != nil || len(p.modalities) == 0 {
		return f, err
	}
	var studies []string
	for _, m := range f.list {
		if !slices.Contains(studies, m.StudyInstanceUID) {
			studies = append(studies, m.StudyInstanceUID)
		}
		if len(studies) > maxLearnt {
			return nil, &ModalityUnknownError{}
		}
	}
	all, kept := newFound(), newFound()
	for _, uid := range studies {
		one, err := s.entities(ctx, request{levelPlan: p.levels[LevelStudy], uids: []string{uid}})
		if err != nil {
			return nil, err
		}
		all.add(one.list...)
	}
	if err := s.keepStudies(ctx, all.list, kept, 0); err != nil {
		return nil, err
	}
	f.list = slices.DeleteFunc(f.list, func(m *Match) bool { return kept.byUID[m.StudyInstanceUID] == nil })
	return f, nil
}

// studyAnchors returns the studies below which the search is.
func (s *searcher) studyAnchors(ctx context.Context) ([]anchor, error) {
	p := s.plan
	studies := p.levels[LevelStudy]
	patientUnknown := s.findModel == dicomnet.PatientRoot && p.patientID == ""
	if p.studyGiven && !studies.asked && len(studies.keys) == 0 && len(p.modalities) == 0 && !patientUnknown {
		return []anchor{{study: p.studies[0], patientID: p.patientID}}, nil
	}
	if p.studies == nil && p.patientID == "" {
		return nil, &RelationalQueryError{}
	}
	f, err := s.studies(ctx)
	if err != nil {
		return nil, err
	}
	if len(f.list) > maxWalk {
		return nil, &SearchTooBroadError{Max: maxWalk}
	}
	anchors := make([]anchor, 0, len(f.list))
	for _, m := range f.list {
		m.merged()
		anchors = append(anchors, anchor{study: m.StudyInstanceUID, patientID: m.patientID, match: m})
	}
	return anchors, nil
}

// seriesAnchors returns the series of the studies below which the search is.
func (s *searcher) seriesAnchors(ctx context.Context, studies []anchor) ([]anchor, error) {
	p := s.plan
	series := p.levels[LevelSeries]
	if p.seriesGiven && !series.asked && len(series.keys) == 0 {
		for i := range studies {
			studies[i].series = p.series[0]
		}
		return studies, nil
	}
	f, err := s.children(ctx, series, studies, p.series)
	if err != nil {
		return nil, err
	}
	if len(f.list) > maxWalk {
		return nil, &SearchTooBroadError{Max: maxWalk}
	}
	sortMatches(f.list)
	anchors := make([]anchor, 0, len(f.list))
	for _, m := range f.list {
		m.merged()
		a := anchor{study: m.StudyInstanceUID, series: m.SeriesInstanceUID, match: m}
		for i := range studies {
			if studies[i].study == m.StudyInstanceUID {
				a.patientID = studies[i].patientID
			}
		}
		anchors = append(anchors, a)
	}
	return anchors, nil
}

// children asks for what is below each of the anchors.
func (s *searcher) children(ctx context.Context, l *levelPlan, anchors []anchor, uids []string) (*found, error) {
	all := newFound()
	for _, a := range anchors {
		f, err := s.entities(ctx, request{
			levelPlan: l, parent: a.match, study: a.study, series: a.series, patientID: a.patientID, uids: uids,
		})
		if err != nil {
			return nil, err
		}
		all.add(f.list...)
		if most := s.gateway.options.MaxMatches; most > 0 && len(all.list) > most {
			return nil, &SearchTooBroadError{Max: most}
		}
	}
	return all, nil
}

package qr

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

// pick applies the last two filters, modalities and max_results, to studies in order. It calls ask for a study whose match
// has no modalities, and only while the answer may still need the study.
func (c *collector) pick(remaining []*candidate, ask func(studyInstanceUID string) ([]string, error)) ([]Study, error) {
	most := len(remaining)
	if c.plan.maxResults > 0 {
		most = min(most, c.plan.maxResults)
	}
	studies := make([]Study, 0, most)
	for _, found := range remaining {
		if len(studies) == most {
			break
		}
		study := &found.Study
		if len(c.plan.modalities) > 0 {
			if len(study.ModalitiesInStudy) == 0 || found.modalitiesDoubtful && !c.plan.hasModality(study.ModalitiesInStudy) {
				modalities, err := ask(study.StudyInstanceUID)
				if err != nil {
					return nil, err
				}
				study.ModalitiesInStudy = addModalities([]string{}, modalities)
				if c.isShared(study.StudyInstanceUID) {
					continue
				}
			}
			if len(study.ModalitiesInStudy) == 0 {
				c.counts[modalitiesUnknown]++
				continue
			}
			if !c.plan.hasModality(study.ModalitiesInStudy) {
				continue
			}
		}
		studies = append(studies, *study)
	}
	return studies, nil
}

// seriesModalities asks the PACS for the modalities of a study at SERIES level. It ignores a match of another study. If a match
// names another patient, the study is dropped; PACS need not return the patient at this level, and few do. If a series cannot be
// decoded or its Modality is no modality, the modalities are unknown, unless another series has a wanted one.
func (o *operation) seriesModalities(ctx context.Context, c *collector, studyInstanceUID string) ([]string, error) {
	var list []string
	unreadable, undecoded := false, c.counts[undecodableMatch]
	err := o.matches(ctx, LevelSeries, o.gateway.keys.forSeries(o.findModel, c.plan, studyInstanceUID), &c.tally, func(m dicomnet.Match) {
		if uid := single(m.Set, dataset.StudyInstanceUID); uid != studyInstanceUID && (uid != "" || m.Has(dataset.StudyInstanceUID)) {
			return
		}
		if m.String(dataset.PatientID) != "" && !c.plan.isPatient(single(m.Set, dataset.PatientID)) {
			c.drop(m.Set, otherPatient)
			c.distrust(studyInstanceUID)
			return
		}
		modalities := m.Strings(dataset.Modality)
		known := slices.DeleteFunc(slices.Clone(modalities), func(code string) bool { return !isModality(trim(code)) })
		unreadable = unreadable || len(known) < len(modalities)
		list = addModalities(list, known)
	})
	if err != nil {
		return nil, err
	}
	if (unreadable || c.counts[undecodableMatch] > undecoded) && !c.plan.hasModality(list) {
		return nil, nil
	}
	return list, nil
}

// maxLearnt is the number of studies that one search asks for the modalities of their series.
const maxLearnt = 200

// hasModality reports whether a study has one of the wanted modalities, and whether that is known. If the PACS does not return
// the modalities of studies, it is asked for those of the series.
func (s *searcher) hasModality(ctx context.Context, study *Match) (wanted, known bool, err error) {
	doubtful := slices.ContainsFunc(study.Modalities, func(m string) bool { return !isModality(m) })
	if wanted = anyModality(study.Modalities, s.plan.modalities); wanted || len(study.Modalities) > 0 && !doubtful {
		return wanted, true, nil
	}
	if s.modalities++; s.modalities > maxLearnt {
		return false, false, &ModalityUnknownError{}
	}
	series, complete, err := s.relatedSeries(ctx, study)
	if err != nil {
		return false, false, err
	}
	modalities, all := modalitiesOf(series)
	wanted, known = anyModality(modalities, s.plan.modalities), complete && all && len(modalities) > 0
	if wanted || known {
		study.Modalities = modalities
	}
	return wanted, wanted || known, nil
}

func anyModality(modalities, wanted []string) bool {
	return slices.ContainsFunc(modalities, func(m string) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(m, w) })
	})
}

// relatedPlans ask for what a study or series consists of, whatever the search asks for.
var relatedPlans = map[Level]*levelPlan{
	LevelSeries: relatedPlan(LevelSeries, dataset.Modality, seriesRelatedInstances),
	LevelImage:  relatedPlan(LevelImage),
}

func relatedPlan(level Level, include ...dataset.Tag) *levelPlan {
	l := &levelPlan{level: level, filter: match.NewFilter(nil)}
	for _, t := range append(include, searchLevels[level].unique) {
		l.add(match.Path{t})
	}
	return l
}

// relatedSeries returns the series of a study, and whether all could be read.
func (s *searcher) relatedSeries(ctx context.Context, study *Match) (series []*Match, complete bool, err error) {
	undecoded := s.counts[undecodableMatch]
	f, err := s.entities(ctx, request{
		levelPlan: relatedPlans[LevelSeries], study: study.StudyInstanceUID, patientID: study.patientID, related: true,
	})
	if err != nil {
		return nil, false, err
	}
	return f.list, s.counts[undecodableMatch] == undecoded, nil
}

// modalitiesOf returns the modalities of series, and whether that is all of them.
func modalitiesOf(series []*Match) (list []string, all bool) {
	all = true
	for _, m := range series {
		for _, code := range m.set.Strings(dataset.Modality) {
			if code = trim(code); code == "" || !isModality(code) {
				all = false
				continue
			}
			list = addModalities(list, []string{code})
		}
	}
	return list, all
}

// maxCounted is the number of series whose instances one search counts.
const maxCounted = 100

// fill adds what the PACS does not return for one study or its series: the modalities, and the numbers of series and instances. Each costs a C-FIND,
// so that a list of studies does without; a page of it gets the modalities, because viewers do not open a study that has none. A failure of the PACS
// leaves them out.
func (s *searcher) fill(ctx context.Context, page []*Match) error {
	var err error
	switch {
	case s.plan.level == LevelStudy && len(page) == 1 && onlyUID(s.plan.studies) != "":
		err = s.fillStudy(ctx, page[0])
	case s.plan.level == LevelStudy && s.plan.limit > 0 && len(page) <= maxLearnt-s.modalities:
		for _, study := range page {
			if err == nil && len(study.Modalities) == 0 {
				err = s.fillModalities(ctx, study)
			}
		}
	case s.plan.level == LevelSeries && onlyUID(s.plan.studies) != "" && len(page) <= maxCounted:
		for _, m := range page {
			if err == nil && m.set.String(seriesRelatedInstances) == "" {
				m.RelatedInstances, err = s.countInstances(ctx, m)
			}
		}
	}
	if ctx.Err() != nil {
		return err
	}
	return nil
}

func (s *searcher) fillStudy(ctx context.Context, study *Match) error {
	counted := study.set.String(studyRelatedSeries) != "" && study.set.String(studyRelatedInstances) != ""
	if counted && len(study.Modalities) > 0 {
		return nil
	}
	series, complete, err := s.relatedSeries(ctx, study)
	if err != nil || !complete {
		return err
	}
	if modalities, all := modalitiesOf(series); all && len(study.Modalities) == 0 {
		study.Modalities = modalities
	}
	if counted {
		return nil
	}
	instances := 0
	for _, m := range series {
		n, known := 0, false
		if text := m.set.String(seriesRelatedInstances); text != "" {
			value, err := strconv.Atoi(text)
			n, known = value, err == nil && value > 0
		}
		if !known && len(series) <= maxCounted {
			if n, err = s.countInstances(ctx, m); err != nil {
				return err
			}
		}
		if n == 0 {
			instances = 0
			break
		}
		instances += n
	}
	study.RelatedSeries, study.RelatedInstances = len(series), instances
	return nil
}

// fillModalities adds the modalities and the number of series of a study.
func (s *searcher) fillModalities(ctx context.Context, study *Match) error {
	series, complete, err := s.relatedSeries(ctx, study)
	if err != nil || !complete {
		return err
	}
	if modalities, all := modalitiesOf(series); all {
		study.Modalities = modalities
	}
	if study.set.String(studyRelatedSeries) == "" {
		study.RelatedSeries = len(series)
	}
	return nil
}

// countInstances returns the number of instances of a series; zero if it is unknown.
func (s *searcher) countInstances(ctx context.Context, series *Match) (int, error) {
	undecoded := s.counts[undecodableMatch]
	f, err := s.entities(ctx, request{
		levelPlan: relatedPlans[LevelImage], study: series.StudyInstanceUID, series: series.SeriesInstanceUID, patientID: s.patientOf(series),
		related: true,
	})
	if err != nil || s.counts[undecodableMatch] > undecoded {
		return 0, err
	}
	return len(f.list), nil
}

// patientOf returns the Patient ID of a match; "" if it is not known.
func (s *searcher) patientOf(m *Match) string {
	switch {
	case m.patientID != "":
		return m.patientID
	case m.parent != nil:
		return s.patientOf(m.parent)
	}
	return s.plan.patientID
}

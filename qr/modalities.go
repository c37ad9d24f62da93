package qr

import (
	"context"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
)

// pick applies the last two filters, modalities and max_results, to studies in
// order. ask is for a study whose match did not tell its modalities, and only as
// long as the answer may still need it.
func (c *collector) pick(left []*candidate, ask func(studyInstanceUID string) ([]string, error)) ([]Study, error) {
	most := len(left)
	if c.plan.maxResults > 0 {
		most = min(most, c.plan.maxResults)
	}
	studies := make([]Study, 0, most)
	for _, found := range left {
		if len(studies) == most {
			break
		}
		study := &found.Study
		if len(c.plan.modalities) > 0 {
			if len(study.ModalitiesInStudy) == 0 {
				modalities, err := ask(study.StudyInstanceUID)
				if err != nil {
					return nil, err
				}
				study.ModalitiesInStudy = addModalities(study.ModalitiesInStudy, modalities)
				if c.shared(study.StudyInstanceUID) {
					continue
				}
			}
			if len(study.ModalitiesInStudy) == 0 {
				c.tally[modalitiesUnknown]++
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

// seriesModalities asks the PACS at SERIES level. An answer about another study is passed over, and one about another
// patient makes the study one that is not trusted; few PACS tell the patient here, and none has to. A series that cannot
// be read leaves the modalities unknown, unless another one has a modality that is asked for.
func (s *session) seriesModalities(ctx context.Context, c *collector, studyInstanceUID string) ([]string, error) {
	var list []string
	lost := false
	err := s.find(ctx, s.gateway.keys.series(studyInstanceUID), func(m dicomnet.Match, undecoded error) {
		if m.OptionalKeysUnsupported {
			c.tally[optionalKeys]++
		}
		if undecoded != nil {
			c.lose(undecoded)
			lost = true
			return
		}
		if uid := single(m.Set, tag.StudyInstanceUID); uid != studyInstanceUID && (uid != "" || m.Has(tag.StudyInstanceUID)) {
			return
		}
		if m.String(tag.PatientID) != "" && single(m.Set, tag.PatientID) != c.plan.patientID {
			c.drop(m.Set, otherPatient)
			c.distrust(studyInstanceUID)
			return
		}
		list = addModalities(list, m.Strings(tag.Modality))
	})
	if err != nil {
		return nil, err
	}
	if lost && !c.plan.hasModality(list) {
		return nil, nil
	}
	return list, nil
}

package qr

import (
	"context"
	"slices"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
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

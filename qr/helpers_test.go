package qr

import (
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// study is a match of a study.
var study = dicomtest.StudyMatch

func modalities(s string) dicomtest.Attributes {
	return dicomtest.Attributes{dataset.ModalitiesInStudy: s}
}

func uidsOfStudies(list []Study) []string {
	uids := make([]string, 0, len(list))
	for i := range list {
		uids = append(uids, list[i].StudyInstanceUID)
	}
	return uids
}

package qr

import (
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// study is a match of a study.
var study = dicomtest.StudyMatch

func modalities(s string) dicomtest.Attributes { return dicomtest.Attributes{tag.ModalitiesInStudy: s} }

func uidsOfStudies(list []Study) []string {
	uids := make([]string, 0, len(list))
	for i := range list {
		uids = append(uids, list[i].StudyInstanceUID)
	}
	return uids
}

//go:build linux

package sinks

import (
	"fmt"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

func studyUID(i int) string { return fmt.Sprintf("1.2.840.99999.%d", i+1) }

func study(i int) dicomtest.Attributes {
	return dicomtest.StudyMatch(patientID, studyUID(i)).
		With(tag.PatientName, patientName).
		With(tag.StudyDescription, strings.Repeat("D", 64)).
		With(tag.ModalitiesInStudy, "CT")
}

package server

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
)

func TestTableOfAttributesHasEveryFieldOfTheContractsStudy(t *testing.T) {
	assert.Len(t, studyFields, reflect.TypeFor[api.Study]().NumField())
	assert.Len(t, studyFields, len(qr.StudyAttributes()))
}

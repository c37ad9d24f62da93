package problem

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
)

func TestEveryCodeOfTheContractHasItsStatus(t *testing.T) {
	contract, err := openapi3.NewLoader().LoadFromFile("../docs/openapi.json")
	require.NoError(t, err)
	schema := contract.Components.Schemas["ProblemCode"].Value
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(.*)` \\| (\\d+) \\|").FindAllStringSubmatch(schema.Description, -1) {
		documented[row[1]] = row[2]
	}
	require.Len(t, documented, len(schema.Enum))
	for _, value := range schema.Enum {
		code := api.ProblemCode(value.(string))
		require.Contains(t, documented, string(code))
		require.Contains(t, kinds, code)
		k := kinds[code]
		assert.Equal(t, documented[string(code)], strconv.Itoa(k.status), code)
		assert.NotEmpty(t, k.title)
		assert.NotEmpty(t, k.detail)
	}
	for code := range kinds {
		assert.True(t, code.Valid(), code)
	}
	for _, cause := range causes {
		assert.Contains(t, kinds, cause.code)
	}
}

func TestDICOMFaultOfAnErrorWithoutAStep(t *testing.T) {
	p := Of(t.Context(), fmt.Errorf("wrapped: %w",
		&dicomnet.StatusError{Op: dicomnet.StepMove, Status: dicomnet.StatusMoveDestination}))
	assert.Equal(t, "A801", *p.DICOM.Status)
	assert.Equal(t, "move", string(p.DICOM.Step))

	assert.Nil(t, Of(t.Context(), context.DeadlineExceeded).DICOM)
}

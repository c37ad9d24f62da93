package server

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
)

func TestTheContractIsValidWithItsExamplesAndTheOneThatIsEmbedded(t *testing.T) {
	file, err := os.ReadFile("../openapi.yaml")
	require.NoError(t, err)
	contract, err := openapi3.NewLoader().LoadFromData(file)
	require.NoError(t, err)
	require.NoError(t, contract.Validate(context.Background(), openapi3.EnableExamplesValidation()))

	want, err := contract.MarshalJSON()
	require.NoError(t, err)
	got, err := embeddedContract(t).MarshalJSON()
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(got))
}

func TestExamplesOfRequestsPassTheChecksOfTheServer(t *testing.T) {
	contract := embeddedContract(t)
	for name, path := range map[string]string{"Query": "/q", "Retrieve": "/qr", "Echo": "/echo"} {
		v, err := newValidator(contract, path)
		require.NoError(t, err)
		content := contract.Components.RequestBodies[name].Value.Content.Get(jsonType)
		examples := []any{}
		if content.Example != nil {
			examples = append(examples, content.Example)
		}
		for _, example := range content.Examples {
			examples = append(examples, example.Value.Value)
		}
		require.NotEmpty(t, examples)
		for _, example := range examples {
			assert.NoError(t, v.schema.VisitJSON(example, v.options...))
		}
	}
}

func TestAContractWithoutTheOperationIsRefused(t *testing.T) {
	contract := &openapi3.T{Paths: openapi3.NewPaths()}
	_, err := newValidator(contract, "/q")
	require.Error(t, err)

	body := openapi3.NewRequestBody().WithContent(openapi3.Content{"text/plain": openapi3.NewMediaType()})
	contract.Paths.Set("/q", &openapi3.PathItem{Post: &openapi3.Operation{RequestBody: &openapi3.RequestBodyRef{Value: body}}})
	_, err = newValidator(contract, "/q")
	require.Error(t, err)
}

// Codes that the contract has and later versions give.
var notYet = []api.ProblemCode{
	api.ProblemCodeTooManyRequests,
}

func TestEveryProblemCodeOfTheContractHasItsStatus(t *testing.T) {
	schema := embeddedContract(t).Components.Schemas["ProblemCode"].Value
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(.*)` \\| (\\d+) \\|").FindAllStringSubmatch(schema.Description, -1) {
		documented[row[1]] = row[2]
	}
	require.Len(t, documented, len(schema.Enum))
	for _, value := range schema.Enum {
		code := api.ProblemCode(value.(string))
		require.Contains(t, documented, string(code))
		if k, ok := kinds[code]; ok {
			assert.Equal(t, documented[string(code)], strconv.Itoa(k.status), code)
			assert.NotEmpty(t, k.title)
			assert.NotEmpty(t, k.detail)
		} else {
			assert.Contains(t, notYet, code)
		}
	}
	for code := range kinds {
		assert.True(t, code.Valid(), code)
	}
	for _, cause := range causes {
		assert.Contains(t, kinds, cause.code)
	}
}

func TestEveryWarningAndOutcomeOfAQueryIsInTheContract(t *testing.T) {
	for _, code := range []qr.WarningCode{
		qr.WarningOtherPatientDropped, qr.WarningNoStudyUIDDropped, qr.WarningOptionalKeysUnsupported, qr.WarningCharacterSetAssumed,
		qr.WarningCharacterSetUnknown, qr.WarningTextUndecodable, qr.WarningValueMalformed, qr.WarningMatchUndecodable,
		qr.WarningDuplicatesMerged, qr.WarningModalitiesUnknown, qr.WarningUndatedDropped, qr.WarningAccessionNumberUnknown,
		qr.WarningTransferSyntaxAssumed,
	} {
		assert.True(t, api.WarningCode(code).Valid(), code)
	}
	for _, status := range []qr.RetrievalStatus{
		qr.RetrievalOK, qr.RetrievalPartial, qr.RetrievalFailed, qr.RetrievalCancelled, qr.RetrievalNotAttempted,
	} {
		assert.True(t, api.RetrievalStatus(status).Valid(), status)
	}
}

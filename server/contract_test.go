package server

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/schema"
)

func TestContractIsValidAndEqualsItsCopyInJSON(t *testing.T) {
	file, err := os.ReadFile("../openapi.yaml")
	require.NoError(t, err)
	contract, err := openapi3.NewLoader().LoadFromData(file)
	require.NoError(t, err)
	require.NoError(t, contract.Validate(context.Background(), openapi3.EnableExamplesValidation()))

	want, err := contract.MarshalJSON()
	require.NoError(t, err)
	got, err := wholeContract(t).MarshalJSON()
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(got))
}

func TestEmbeddedBodiesAreThoseOfTheContract(t *testing.T) {
	embedded, err := api.GetSpec()
	require.NoError(t, err)
	contract := wholeContract(t)
	for _, path := range []string{"/echo", "/q", "/qr", "/jobs"} {
		body := func(from *openapi3.T) *openapi3.Schema {
			return from.Paths.Find(path).Post.RequestBody.Value.Content.Get(jsonType).Schema.Value
		}
		assert.Equal(t, body(contract), body(embedded), path)
	}
}

func TestExamplesOfRequestsAreValid(t *testing.T) {
	contract := wholeContract(t)
	for _, path := range []string{"/echo", "/q", "/qr"} {
		operation, err := schema.New(contract, path)
		require.NoError(t, err)
		content := contract.Paths.Value(path).Post.RequestBody.Value.Content.Get(jsonType)
		examples := []any{}
		if content.Example != nil {
			examples = append(examples, content.Example)
		}
		for _, example := range content.Examples {
			examples = append(examples, example.Value.Value)
		}
		require.NotEmpty(t, examples)
		for _, example := range examples {
			body, err := json.Marshal(example)
			require.NoError(t, err)
			_, faults := operation.Check(body)
			assert.Empty(t, faults)
		}
	}
}

func TestSchemaNeedsTheOperationInTheContract(t *testing.T) {
	contract := &openapi3.T{Paths: openapi3.NewPaths()}
	_, err := schema.New(contract, "/q")
	require.Error(t, err)

	body := openapi3.NewRequestBody().WithContent(openapi3.Content{"text/plain": openapi3.NewMediaType()})
	contract.Paths.Set("/q", &openapi3.PathItem{Post: &openapi3.Operation{RequestBody: &openapi3.RequestBodyRef{Value: body}}})
	_, err = schema.New(contract, "/q")
	require.Error(t, err)
}

func TestWarningsAndOutcomesAreInTheContract(t *testing.T) {
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

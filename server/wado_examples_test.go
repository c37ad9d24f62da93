package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/problem"
)

// failuresOfRetrievals returns the errors of retrievals by the example that shows the answer.
func failuresOfRetrievals() map[string]error {
	with := func(code api.ProblemCode, detail string) error { return &problem.Problem{Code: code, Detail: detail} }
	failures := map[string]error{
		"NotFound":                  &receive.NotFoundError{},
		"NotFoundFrame":             with(api.ProblemCodeNotFound, "The instance has no such frame, or no pixel data."),
		"NotFoundValue":             with(api.ProblemCodeNotFound, "The instance has no value at this path."),
		"NotAcceptableObject":       with(api.ProblemCodeNotAcceptable, "The instance is not an image, so it cannot be rendered."),
		"TransferSyntaxUnavailable": with(api.ProblemCodeTransferSyntaxUnavailable, ""),
		"RangeNotSatisfiable":       with(api.ProblemCodeRangeNotSatisfiable, ""),
		"RenderingUnsupported":      with(api.ProblemCodeRenderingUnsupported, ""),
		"GetFailed": &dicomnet.OpError{
			Step: "get", Err: &dicomnet.StatusError{Op: "get", Status: dicomnet.StatusProcessingFailure},
		},
		"RetrievalUnsupported": &receive.NoWayError{},
		"SpoolFull":            &spool.FullError{},
	}
	for name, err := range failuresOfExamples() {
		if _, shown := strings.CutSuffix(name, "Timeout"); shown {
			failures["504"+name] = err
		}
	}
	return failures
}

func TestExamplesOfProblemsOfRetrievalsEqualTheAnswers(t *testing.T) {
	receiver := &fakeReceiver{}
	r := startReceiving(t, receiver)
	ask := func(path string, header ...string) any {
		_, _, document := r.get(t, path, append(header, "X-Correlation-ID", exampleID)...)
		return asExample(t, document)
	}
	shown := map[string]bool{"ProblemHTTPVersionUnsupported": true} // by TestHTTP10IsRefused
	for name, err := range failuresOfRetrievals() {
		shown["Problem"+name] = true
		receiver.err = err
		path := studyPath
		switch name {
		case "RangeNotSatisfiable":
			path = instancePath + "/bulkdata/7FE00010"
		case "RenderingUnsupported":
			path = instancePath + "/rendered"
		}
		assert.Equal(t, example(t, "Problem"+name), ask(path), name)
	}
	receiver.err = nil
	receiver.retrieval = partial()
	receiver.retrieval.instances = nil
	receiver.retrieval.outcome.Received = 0
	receiver.retrieval.outcome.Missing = []string{"2.25.178604370590173346451441111905658361870"}
	for name, answer := range map[string]any{
		"RetrieveIncomplete":     ask(studyPath),
		"InvalidRetrieval":       ask("/dicomweb/main/studies/1..2?transfer-syntax=1.2.x"),
		"NotAcceptableInstances": ask(studyPath, "Accept", "image/jpeg"),
		"NotAcceptableRendered":  ask(studyPath+"/rendered", "Accept", "text/html"),
	} {
		shown["Problem"+name] = true
		assert.Equal(t, example(t, "Problem"+name), answer, name)
	}
	for _, name := range problemsOfRetrievals(t) {
		assert.True(t, shown[name], "no test covers %s", name)
	}
}

// problemsOfRetrievals returns the examples of problems that only retrievals of DICOMweb have.
func problemsOfRetrievals(t *testing.T) []string {
	t.Helper()
	of := map[bool]map[string]bool{true: {}, false: {}}
	for path, item := range wholeContract(t).Paths.Map() {
		for _, operation := range item.Operations() {
			retrieval := strings.HasPrefix(path, "/dicomweb/") && strings.HasPrefix(operation.OperationID, "retrieve")
			for _, response := range operation.Responses.Map() {
				if content := response.Value.Content.Get("application/problem+json"); content != nil {
					for _, example := range content.Examples {
						of[retrieval][example.Ref] = true
					}
				}
			}
		}
	}
	var names []string
	for ref := range of[true] {
		if name := ref[strings.LastIndexByte(ref, '/')+1:]; !of[false][ref] {
			names = append(names, name)
		}
	}
	return names
}

func TestHTTP10IsRefused(t *testing.T) {
	r := startReceiving(t, &fakeReceiver{retrieval: complete()})
	answer := overHTTP10(t, r, studyPath)
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	assert.True(t, strings.HasPrefix(head, "HTTP/1.0 505 "), head)
	assert.Equal(t, example(t, "ProblemHTTPVersionUnsupported"), asExample(t, body))
}

func TestErrorsOfThePACSBeforeTheFirstByteArePlain(t *testing.T) {
	r := startReceiving(t, &fakeReceiver{err: context.DeadlineExceeded})
	status, _, body := r.get(t, studyPath)
	assert.Equal(t, http.StatusGatewayTimeout, status)
	assert.Equal(t, "operation_timeout", string(problemIn(t, body).Code))
}

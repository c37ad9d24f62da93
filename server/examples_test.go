package server

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/problem"
)

// exampleID is the correlation ID in the examples of the contract.
const exampleID = "order-4711"

// eachContent calls f for each media type of each response of each operation.
func eachContent(t *testing.T, visit func(operation, status, mediaType string, content *openapi3.MediaType)) {
	t.Helper()
	for path, item := range wholeContract(t).Paths.Map() {
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				for mediaType, content := range response.Value.Content {
					visit(method+" "+path, status, mediaType, content)
				}
			}
		}
	}
}

func TestEveryResponseOfTheContractHasAnExample(t *testing.T) {
	eachContent(t, func(operation, status, mediaType string, content *openapi3.MediaType) {
		assert.True(t, content.Example != nil || len(content.Examples) > 0, "%s %s %s", operation, status, mediaType)
	})
	for path, item := range wholeContract(t).Paths.Map() {
		if item.Post != nil && item.Post.RequestBody != nil {
			assert.NotEmpty(t, item.Post.RequestBody.Value.Content.Get(jsonType).Examples, path)
		}
	}
}

func TestEveryProblemCodeHasExamplesUnderItsStatusOnly(t *testing.T) {
	shown := map[any]bool{}
	eachContent(t, func(operation, status, mediaType string, content *openapi3.MediaType) {
		if mediaType != "application/problem+json" {
			return
		}
		for key, example := range content.Examples {
			document := example.Value.Value.(map[string]any)
			code := document["code"].(string)
			shown[code] = true
			if status != "default" { // every status without a response of its own
				assert.Equal(t, status, strconv.Itoa(int(document["status"].(float64))), "%s %s", operation, key)
			}
			assert.True(t, strings.HasPrefix(key, code), "%s: key %s, code %s", operation, key, code)
			assert.NotEmpty(t, example.Value.Summary, key)
		}
	})
	for _, code := range wholeContract(t).Components.Schemas["ProblemCode"].Value.Enum {
		assert.True(t, shown[code], code)
	}
}

// example returns the decoded value of an example of the contract.
func example(t *testing.T, name string) any {
	t.Helper()
	component := wholeContract(t).Components.Examples[name]
	require.NotNil(t, component, name)
	return component.Value.Value
}

func asExample(t *testing.T, body string) any {
	t.Helper()
	var value any
	require.NoError(t, json.Unmarshal([]byte(body), &value), "%s", body)
	return value
}

// failing returns a gateway whose operations fail with err.
func failing(err error) *fakeGateway {
	return &fakeGateway{
		query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) { return nil, err },
		retrieve: func(context.Context, qr.Call, qr.Peer, qr.Filter, string) (*qr.RetrieveResult, error) {
			return nil, err
		},
		search: func(context.Context, qr.Peer, qr.Search) (*qr.SearchResult, error) { return nil, err },
	}
}

// failuresOfExamples returns the errors of operations by the example that shows the answer.
func failuresOfExamples() map[string]error {
	at := func(step dicomnet.Step, err error) error { return &dicomnet.OpError{Step: step, Err: err} }
	timeout := func(timer dicomnet.Timer) error { return &dicomnet.TimeoutError{Timer: timer} }
	final := func(step dicomnet.Step, status dicomnet.Status) error {
		return at(step, &dicomnet.StatusError{Op: step, Status: status})
	}
	reject := func(result, source, reason byte) error {
		return at(dicomnet.StepAssociate, &dicomnet.RejectError{Result: result, Source: source, Reason: reason})
	}
	return map[string]error{
		"PACSNotAllowed":             &pool.NotAllowedError{},
		"InternalError":              errUnexpected,
		"NameResolutionFailed":       at(pool.StepResolve, &dicomnet.ConnectError{Err: &net.DNSError{IsNotFound: true}}),
		"ConnectionRefused":          at(dicomnet.StepConnect, &dicomnet.ConnectError{Err: syscall.ECONNREFUSED}),
		"PACSUnreachable":            at(dicomnet.StepConnect, &dicomnet.ConnectError{Err: syscall.EHOSTUNREACH}),
		"ConnectionTimeout":          at(dicomnet.StepConnect, timeout(dicomnet.TimerConnection)),
		"ConnectionLost":             at(dicomnet.StepFind, dicomnet.ErrConnectionLost),
		"TLSFailed":                  at(dicomnet.StepTLS, &dicomnet.TLSError{Err: x509.UnknownAuthorityError{}}),
		"TLSExpected":                at(dicomnet.StepAssociate, dicomnet.ErrTLSExpected),
		"NotADICOMPeer":              at(dicomnet.StepAssociate, dicomnet.ErrNotDICOM),
		"AssociationRejected":        reject(1, 1, 7),
		"AssociationRejectedCalling": reject(1, 1, 3),
		"AssociationRejectedBusy":    reject(2, 3, 2),
		"AssociationAborted":         at(dicomnet.StepFind, &dicomnet.AbortError{Remote: true, Source: 2}),
		"AssociationReleased":        at(dicomnet.StepFind, dicomnet.ErrReleased),
		"AssociationTimeout":         at(dicomnet.StepAssociate, timeout(dicomnet.TimerACSE)),
		"NoPresentationContext":      at(dicomnet.StepAssociate, &dicomnet.NoContextError{}),
		"FindFailed":                 final(dicomnet.StepFind, dicomnet.StatusOutOfResources),
		"DIMSETimeout":               at(dicomnet.StepFind, timeout(dicomnet.TimerDIMSE)),
		"MoveFailed":                 final(dicomnet.StepMove, dicomnet.StatusCannotPerform),
		"MoveFailedWarning":          final(dicomnet.StepMove, dicomnet.StatusWarning),
		"MoveDestinationUnknown":     final(dicomnet.StepMove, dicomnet.StatusMoveDestination),
		"MoveTimeout":                at(dicomnet.StepMove, timeout(dicomnet.TimerMove)),
		"NetworkTimeout":             at(dicomnet.StepFind, timeout(dicomnet.TimerNetwork)),
		"TooManyMatches":             at(dicomnet.StepFind, &qr.TooManyMatchesError{}),
		"AnswerTooLarge":             at(dicomnet.StepFind, &budget.TooLargeError{}),
		"MemoryBusy":                 at(dicomnet.StepFind, &budget.BusyError{}),
		"LimitExceeded":              at(dicomnet.StepFind, &dicomnet.LimitError{}),
		"ProtocolError":              at(dicomnet.StepFind, &dicomnet.ProtocolError{}),
		"Cancelled":                  at(dicomnet.StepFind, context.Canceled),
		"OperationTimeout":           at(dicomnet.StepFind, &qr.OperationTimeoutError{}),
		"Draining":                   problem.ErrDraining,
		"PACSBusy":                   &pool.BusyError{},
		"TooManyOpenFiles":           at(dicomnet.StepConnect, &dicomnet.ConnectError{Err: syscall.EMFILE}),
		"TooManyOperations":          problem.ErrTooManyOperations,
		"TooManyRequests":            problem.ErrCallerShare,
		"SearchTooBroad":             &qr.SearchTooBroadError{},
		"ModalityUnknown":            &qr.ModalityUnknownError{},
		"RelationalQueryUnsupported": &qr.RelationalQueryError{},
	}
}

// otherProblems returns answers to faults before or after an operation, by example.
func otherProblems(t *testing.T) map[string]string {
	t.Helper()
	none := func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
		return &qr.QueryResult{}, nil
	}
	open := start(t, &fakeGateway{query: none})
	closed := start(t, &fakeGateway{}, "API_KEYS_FILE", keysFile(t, keyLine("worklist", worklistKey)))
	gateway := &fakeGateway{}
	audited, disk := startOnDisk(t, gateway)
	gateway.query = func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
		disk.fill(true)
		return &qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil
	}
	searched := startNamed(t, &fakeGateway{})
	answer := func(r *running, method, path, body string, header ...string) string {
		_, _, document := r.do(t, method, path, strings.NewReader(body), append(header, "X-Correlation-ID", exampleID)...)
		return document
	}
	return map[string]string{
		"InvalidRequest": answer(open, http.MethodPost, "/q",
			`{"pacs_ip":"127.0.0.1","pacs_port":104104,"pacs_aetitle":"PACS","c_find_ae_title":"GATEWAY","patient_id":"1"}`),
		"PACSUnknown":          answer(open, http.MethodPost, "/q", `{"pacs":"nowhere","patient_id":"1"}`),
		"Unauthorized":         answer(closed, http.MethodPost, "/q", queryBody), //nolint:misspell // HTTP's word
		"HostNotAllowed":       answer(open, http.MethodPost, "/q", queryBody, "Host", "rebound.example"),
		"NoStudyMatched":       answer(open, http.MethodPost, "/q", queryBody),
		"RouteNotFound":        answer(open, http.MethodPost, "/query", queryBody),
		"MethodNotAllowed":     answer(open, http.MethodGet, "/q", ""),
		"PayloadTooLarge":      answer(open, http.MethodPost, "/q", strings.Repeat(" ", maxBody+1)),
		"UnsupportedMediaType": answer(open, http.MethodPost, "/q", queryBody, "Content-Type", "text/plain"),
		"InvalidSearch":        answer(searched, http.MethodGet, "/dicomweb/main/studies?patientid=1112223333&StudyDate=2024-01-31&limit=-1", ""),
		"PACSNotFound":         answer(searched, http.MethodGet, "/dicomweb/other/studies", ""),
		"NotAcceptable":        answer(searched, http.MethodGet, "/dicomweb/main/studies", "", "Accept", `multipart/related; type="application/dicom+xml"`),
		"AuditFailed":          answer(audited, http.MethodPost, "/q", queryBody),
		"AuditUnavailable":     answer(audited, http.MethodPost, "/q", queryBody),
	}
}

func TestExamplesOfProblemsEqualTheAnswers(t *testing.T) {
	shown := map[string]bool{
		"NoStudyMatchedDropped": true, // by TestExamplesOfMisbehavingPACSEqualTheAnswers
	}
	ofSearches := []string{"SearchTooBroad", "ModalityUnknown", "RelationalQueryUnsupported"}
	gateway := &fakeGateway{}
	r := startNamed(t, gateway)
	for name, err := range failuresOfExamples() {
		shown[name] = true
		*gateway = *failing(err)
		method, path, body := http.MethodPost, "/q", queryBody
		if strings.HasPrefix(name, "Move") {
			path, body = "/qr", retrieveBody
		}
		if slices.Contains(ofSearches, name) {
			method, path, body = http.MethodGet, "/dicomweb/main/studies", ""
		}
		_, _, document := r.do(t, method, path, strings.NewReader(body), "X-Correlation-ID", exampleID)
		assert.Equal(t, example(t, "Problem"+name), asExample(t, document), name)
	}
	for name, document := range otherProblems(t) {
		shown[name] = true
		assert.Equal(t, example(t, "Problem"+name), asExample(t, document), name)
	}
	for _, name := range problemsOfRetrievals(t) {
		shown[strings.TrimPrefix(name, "Problem")] = true // by TestExamplesOfProblemsOfRetrievalsEqualTheAnswers
	}
	for name, document := range problemsOfJobs(t) {
		shown[name] = true
		assert.Equal(t, example(t, "Problem"+name), asExample(t, document), name)
	}
	for name := range wholeContract(t).Components.Examples {
		if problem, ok := strings.CutPrefix(name, "Problem"); ok {
			assert.True(t, shown[problem], "no test covers %s", name)
		}
	}
}

// matchOf returns the match for a study of an example.
func matchOf(study map[string]any) attributes {
	m := attributes{}
	for name, t := range map[string]tag.Tag{
		"PatientName": tag.PatientName, "PatientID": tag.PatientID, "DateOfBirth": tag.PatientBirthDate,
		"StudyInstanceUID": tag.StudyInstanceUID, "StudyDescription": tag.StudyDescription, "StudyDate": tag.StudyDate,
		"StudyTime": tag.StudyTime, "AccessionNumber": tag.AccessionNumber, "ReferringPhysicianName": tag.ReferringPhysicianName,
		"PerformingPhysicianName": tag.PerformingPhysicianName, "InstitutionName": tag.InstitutionName,
	} {
		m[t] = study[name].(string)
	}
	var modalities []string
	for _, modality := range study["ModalitiesInStudy"].([]any) {
		modalities = append(modalities, modality.(string))
	}
	m[tag.ModalitiesInStudy] = strings.Join(modalities, `\`)
	return m
}

// These are examples that the demo PACS cannot produce.
func TestExamplesOfMisbehavingPACSEqualTheAnswers(t *testing.T) {
	const query = `{"pacs_ip":"127.0.0.1","pacs_port":104,"pacs_ae_title":"PACS","c_find_ae_title":"GATEWAY","patient_id":"1112223333"`
	studies := func(name string) []any { return example(t, name).(map[string]any)["study_details"].([]any) }
	first := func() attributes { return matchOf(studies("FoundNewestCT")[0].(map[string]any)) }
	others := func(a *association) {
		a.Match(first().With(tag.PatientID, "11122233334").With(tag.StudyInstanceUID, uidOf(2)))
		a.Match(first().With(tag.PatientID, "1112223334").With(tag.StudyInstanceUID, uidOf(3)))
	}
	sent := 0
	for name, test := range map[string]struct {
		pacs       *dicomtest.ScriptedPACS
		path, body string
	}{
		"FoundWithWarnings": {
			&dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
				others(a)
				a.Match(first())
				a.Match(first().With(tag.StudyInstanceUID, uidOf(1)).With(tag.StudyDate, ""))
				a.Finish(dicomnet.StatusSuccess)
			}},
			"/q", query + `,"study_date_from":"2024-01-01"}`,
		},
		"ProblemNoStudyMatchedDropped": {
			&dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
				others(a)
				a.Finish(dicomnet.StatusSuccess)
			}},
			"/q", query + "}",
		},
		"MovedUntilCutShort": {
			&dicomtest.ScriptedPACS{
				Negotiate: onlyFirst,
				Find: func(a *association, _ string) {
					for _, study := range studies("MovedUntilCutShort") {
						a.Match(matchOf(study.(map[string]any)))
					}
					a.Finish(dicomnet.StatusSuccess)
				},
				Move: func(a *association, _ string) {
					if sent++; sent == 1 {
						movedAll(a, 7)
						return
					}
					a.Moving(count(2, 0, 0, 4))
					a.Abort()
				},
			},
			"/qr", query + `,"c_move_ae_title":"DEST"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, gatewayTo(t, test.pacs, gatewayOptions{}))
			_, _, body := r.post(t, test.path, test.body)
			assert.Equal(t, example(t, name), asExample(t, body))
		})
	}
}

func TestExamplesOfServiceRoutesEqualTheAnswers(t *testing.T) {
	r := start(t, &fakeGateway{})
	contentOf := func(path, mediaType string) *openapi3.MediaType {
		return wholeContract(t).Paths.Find(path).Get.Responses.Status(http.StatusOK).Value.Content.Get(mediaType)
	}
	for _, path := range []string{"/health", "/ready"} {
		_, _, body := r.do(t, http.MethodGet, path, nil)
		assert.Equal(t, contentOf(path, jsonType).Example, asExample(t, body))
	}
	_, _, version := r.do(t, http.MethodGet, "/version", nil)
	fields := func(v any) []string { return slices.Sorted(maps.Keys(v.(map[string]any))) }
	assert.Equal(t, fields(contentOf("/version", jsonType).Example), fields(asExample(t, version)))

	_, _, spec := r.do(t, http.MethodGet, "/openapi.json", nil)
	served := asExample(t, spec).(map[string]any)
	for name, value := range contentOf("/openapi.json", jsonType).Example.(map[string]any) {
		assert.Equal(t, value, served[name], "the example is an excerpt")
	}
	for path, mediaType := range map[string]string{"/openapi.yaml": "application/yaml", "/docs": "text/html", "/redoc": "text/html"} {
		_, _, body := r.do(t, http.MethodGet, path, nil)
		assert.True(t, strings.HasPrefix(body, contentOf(path, mediaType).Example.(string)), path)
	}
}

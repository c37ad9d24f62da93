package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/qr"
)

// findRow is a behaviour of a PACS before anything is moved, and the answer of /q and /qr, plain and streaming.
type findRow struct {
	name  string
	find  func(a *association, level string)
	greet func(a *association) bool
	max   int // MAX_MATCHES; 0: no limit

	status   int
	studies  []string // of a 200, by number
	warnings []goclient.WarningCode
	// Of a 502.
	code        goclient.ProblemCode
	step        goclient.DICOMFaultStep
	dicomStatus string
}

// answers plays a C-FIND with these matches and then the status.
func answers(status dicomnet.Status, matches ...attributes) func(*association, string) {
	return func(a *association, _ string) {
		for _, m := range matches {
			a.Match(m)
		}
		a.Finish(status)
	}
}

func findRows() []findRow {
	another := func(n int) attributes { return match(n).With(tag.PatientID, "ANOTHER") }
	return []findRow{
		{name: "matches", find: answers(0, match(1), match(2)), status: 200, studies: []string{"1", "2"}},
		{name: "no match", find: answers(0), status: 404},

		{
			name: "other patient dropped", find: answers(0, another(1), match(2)), status: 200, studies: []string{"2"},
			warnings: []goclient.WarningCode{goclient.OtherPatientDropped},
		},
		{
			name: "matches of another patient only", find: answers(0, another(1)), status: 404,
			warnings: []goclient.WarningCode{goclient.OtherPatientDropped},
		},
		{
			name: "study shared with another patient", find: answers(0, match(1), another(1), match(2)), status: 200, studies: []string{"2"},
			warnings: []goclient.WarningCode{goclient.OtherPatientDropped, goclient.OtherPatientDropped},
		},
		{
			name: "no Study Instance UID dropped", find: answers(0, match(1).With(tag.StudyInstanceUID, ""), match(2)), status: 200,
			studies: []string{"2"}, warnings: []goclient.WarningCode{goclient.NoStudyInstanceUIDDropped},
		},
		{
			name: "duplicates merged", find: answers(0, match(1), match(1), match(2)), status: 200, studies: []string{"1", "2"},
			warnings: []goclient.WarningCode{goclient.DuplicatesMerged},
		},
		{
			name: "FF01", find: func(a *association, _ string) {
				a.SendMessage(dicomtest.Response(a.Request, dicomnet.StatusPendingWarning, match(1).Encode(dataset.ImplicitVRLittleEndian)))
				a.Finish(0)
			},
			status: 200, studies: []string{"1"}, warnings: []goclient.WarningCode{goclient.OptionalKeysUnsupported},
		},
		{
			name: "one undecodable match", find: func(a *association, _ string) {
				a.Pending(dicomtest.Undecodable)
				a.Match(match(2))
				a.Finish(0)
			},
			status: 200, studies: []string{"2"}, warnings: []goclient.WarningCode{goclient.MatchUndecodable},
		},
		{
			name: "undecodable matches only", find: func(a *association, _ string) {
				a.Pending(dicomtest.Undecodable)
				a.Finish(0)
			},
			status: 502, code: goclient.ProblemCodeProtocolError, step: goclient.DICOMFaultStepFind,
		},
		{
			name: "text without a character set", find: answers(0, match(1).With(tag.PatientName, "\xc4")),
			status: 200, studies: []string{"1"}, warnings: []goclient.WarningCode{goclient.CharacterSetAssumed},
		},
		{
			name: "other transfer syntax than negotiated", find: func(a *association, _ string) {
				a.Pending(match(1).Encode(dataset.ExplicitVRLittleEndian))
				a.Finish(0)
			},
			status: 200, studies: []string{"1"}, warnings: []goclient.WarningCode{goclient.TransferSyntaxAssumed},
		},

		{
			name: "failure after matches", find: answers(0xA700, match(1), match(2)),
			status: 502, code: goclient.ProblemCodeFindFailed, step: goclient.DICOMFaultStepFind, dicomStatus: "A700",
		},
		{
			name: "failure without matches", find: answers(0xA900),
			status: 502, code: goclient.ProblemCodeFindFailed, step: goclient.DICOMFaultStepFind, dicomStatus: "A900",
		},
		{
			name: "warning after matches", find: answers(0xB001, match(1)),
			status: 502, code: goclient.ProblemCodeFindFailed, step: goclient.DICOMFaultStepFind, dicomStatus: "B001",
		},
		{
			name: "unrequested FE00", find: answers(0xFE00, match(1)),
			status: 502, code: goclient.ProblemCodeFindFailed, step: goclient.DICOMFaultStepFind, dicomStatus: "FE00",
		},
		{
			name: "abort after matches", find: func(a *association, _ string) {
				a.Match(match(1))
				a.Abort()
			},
			status: 502, code: goclient.ProblemCodeAssociationAborted, step: goclient.DICOMFaultStepFind,
		},
		{
			name: "closed connection after matches", find: func(a *association, _ string) {
				a.Match(match(1))
				_ = a.Conn.Close()
			},
			status: 502, code: goclient.ProblemCodeConnectionLost, step: goclient.DICOMFaultStepFind,
		},
		{
			name: "timeout after matches", find: func(a *association, _ string) { a.Match(match(1)) },
			status: 502, code: goclient.ProblemCodeDIMSETimeout, step: goclient.DICOMFaultStepFind,
		},
		{
			name: "too many matches", max: 2, find: func(a *association, _ string) {
				for n := range 3 {
					a.Match(match(n + 1))
				}
				a.AwaitCancel()
				a.Finish(dicomnet.StatusCancel)
			},
			status: 502, code: goclient.ProblemCodeTooManyMatches, step: goclient.DICOMFaultStepFind,
		},
		{
			name: "exactly MAX_MATCHES matches", max: 2, find: answers(0, match(1), match(2)), status: 200, studies: []string{"1", "2"},
		},
		{
			name: "rejection", greet: reject,
			status: 502, code: goclient.ProblemCodeAssociationRejected, step: goclient.DICOMFaultStepAssociate,
		},
	}
}

func TestFindOutcomes(t *testing.T) {
	for _, row := range findRows() {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &dicomtest.ScriptedPACS{Find: row.find, Negotiate: row.greet}
				r := startInMemory(t, gatewayTo(t, p, gatewayOptions{qr: qr.Options{MaxMatches: row.max}}))
				row.query(t, r)
				row.retrieve(t, r)
				row.stream(t, r)
				settle(t)
				moves := strings.Count(strings.Join(seen(p), " "), "move")
				assert.Equal(t, 2*len(row.studies), moves, "studies outside the answer are not moved")
			})
		})
	}
}

func (row *findRow) query(t *testing.T, r *running) {
	t.Helper()
	reply, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
	require.NoError(t, err)
	require.Equal(t, row.status, reply.StatusCode(), "%s", reply.Body)
	if row.status != http.StatusOK {
		row.check(t, reply.Body)
		return
	}
	assert.Equal(t, row.studies, numbersOf(reply.JSON200.StudyDetails))
	assert.Equal(t, row.warnings, codesOf(reply.JSON200.Warnings))
}

func (row *findRow) retrieve(t *testing.T, r *running) {
	t.Helper()
	reply, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
	require.NoError(t, err)
	require.Equal(t, row.status, reply.StatusCode(), "%s", reply.Body)
	if row.status != http.StatusOK {
		row.check(t, reply.Body)
		return
	}
	assert.Equal(t, row.studies, numbersOf(reply.JSON200.StudyDetails))
	assert.Equal(t, row.warnings, codesOf(reply.JSON200.Warnings))
}

// stream checks that a failure before the first move is an ordinary answer.
func (row *findRow) stream(t *testing.T, r *running) {
	t.Helper()
	response := r.stream(t, t.Context())
	defer response.Body.Close()
	require.Equal(t, row.status, response.StatusCode)
	if row.status != http.StatusOK {
		var body json.RawMessage
		require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
		row.check(t, body)
		return
	}
	all := events(t, response.Body)
	var matched goclient.MatchedEvent
	require.NoError(t, json.Unmarshal([]byte(all[0].data), &matched))
	assert.Equal(t, row.studies, numbersOf(matched.StudyDetails))
	assert.Equal(t, row.warnings, codesOf(matched.Warnings))
	assert.Equal(t, "result", all[len(all)-1].name)
}

// check checks the problem document, which is the whole body: there is no partial list.
func (row *findRow) check(t *testing.T, body []byte) {
	t.Helper()
	assert.NotContains(t, string(body), studyUID)
	assert.NotContains(t, string(body), patientID)
	p := problemIn(t, string(body))
	if row.status == http.StatusNotFound {
		assert.Equal(t, goclient.ProblemCodeNoStudyMatched, p.Code)
		assert.Equal(t, row.warnings, codesOf(p.Warnings))
		return
	}
	assert.Equal(t, row.code, p.Code)
	require.NotNil(t, p.DICOM)
	assert.Equal(t, row.step, p.DICOM.Step)
	if row.dicomStatus == "" {
		assert.Nil(t, p.DICOM.Status)
		return
	}
	require.NotNil(t, p.DICOM.Status)
	assert.Equal(t, row.dicomStatus, *p.DICOM.Status)
}

func numbersOf(studies []goclient.Study) []string {
	var numbers []string
	for i := range studies {
		numbers = append(numbers, strings.TrimPrefix(studies[i].StudyInstanceUID, studyUID+"."))
	}
	return numbers
}

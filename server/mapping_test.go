package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/gen/goclient"
)

// outcomeRow is a behaviour of a PACS and the answer of /qr.
type outcomeRow struct {
	name    string
	studies int
	move    func(a *association, n int)
	greet   func(a *association) bool

	status int
	// retrievals hold study, status, DIMSE status, completed/failed/warning with a dash for null, and the failed instances. For a
	// 502 they are in the stream only.
	retrievals []string
	message    string
	warnings   []goclient.WarningCode
	// Of a 502.
	code        goclient.ProblemCode
	dicomStatus string
	seen        []string // by the PACS; nil: not checked
}

// finally plays a C-MOVE with a final response only.
func finally(status dicomnet.Status, c counters, failedUIDs ...string) func(*association, int) {
	return func(a *association, _ int) { a.Moved(status, c, failedUIDs...) }
}

// inSecond plays f for the second study and moves the others.
func inSecond(end func(a *association)) func(*association, int) {
	return func(a *association, n int) {
		if n != 2 {
			movedAll(a, 1)
			return
		}
		a.Moving(count(2, 1, 0, 5))
		end(a)
	}
}

func onlyFirst(a *association) bool { return a.Number == 1 || reject(a) }

const (
	abortedAndReplaced  = "associate, find, move 1, move 2, associate, move 3, move 4, move 5, release"
	silentAndReplaced   = "associate, find, move 1, move 2, abort, associate, move 3, move 4, move 5, release"
	closedSecondMessage = "Not everything was moved: of 5 studies 4 completely, 1 failed."
)

func outcomeRows() []outcomeRow {
	othersMoved := func(second string) []string {
		return []string{"1 ok 0000 1/0/0", second, "3 ok 0000 1/0/0", "4 ok 0000 1/0/0", "5 ok 0000 1/0/0"}
	}
	oneOfTwo := func(first func(*association, int)) func(*association, int) {
		return func(a *association, n int) {
			if n == 1 {
				first(a, n)
				return
			}
			movedAll(a, 4)
		}
	}
	return []outcomeRow{
		{
			name: "everything moved", studies: 2, move: finally(0x0000, count(3, 0, 0, -1)),
			status: 200, message: "All 2 studies were moved.", retrievals: []string{"1 ok 0000 3/0/0", "2 ok 0000 3/0/0"},
		},
		{
			name: "success without counters is ok on the word of the PACS", studies: 1, move: finally(0x0000, dicomtest.NoCounters),
			status: 200, message: "The study was moved.", retrievals: []string{"1 ok 0000 -/-/-"},
		},
		{
			name: "success with the completed counter only", studies: 1, move: finally(0x0000, count(3, -1, -1, -1)),
			status: 200, message: "The study was moved.", retrievals: []string{"1 ok 0000 3/-/-"},
		},
		{
			name: "B000 although everything arrived, with warnings", studies: 1, move: finally(0xB000, count(2, 0, 1, -1)),
			status: 200, message: "The study was moved.", retrievals: []string{"1 ok B000 2/0/1"},
		},
		{
			name: "final 0000 with failures", studies: 1, move: finally(0x0000, count(3, 2, 0, -1), "1.2.3", "1.2.4"),
			status: 207, message: "The study was moved in part.", retrievals: []string{"1 partial 0000 3/2/0 1.2.3 1.2.4"},
		},
		{
			name: "final 0000 with zero completed, of two studies", studies: 2, move: oneOfTwo(finally(0x0000, count(0, 0, 0, -1))),
			status: 207, message: "Not everything was moved: of 2 studies 1 completely, 1 failed.",
			retrievals: []string{"1 failed 0000 0/0/0", "2 ok 0000 4/0/0"},
		},
		{
			name: "final 0000 with zero completed", studies: 1, move: finally(0x0000, count(0, 0, 0, -1)),
			status: 502, code: goclient.ProblemCodeMoveFailed, dicomStatus: "0000", retrievals: []string{"1 failed 0000 0/0/0"},
		},
		{
			name: "final 0000 with failures only", studies: 1, move: finally(0x0000, count(0, 5, 0, -1)),
			status: 502, code: goclient.ProblemCodeMoveFailed, dicomStatus: "0000", retrievals: []string{"1 failed 0000 0/5/0"},
		},
		{
			name: "B000 with some failed", studies: 1, move: finally(0xB000, count(3, 1, 0, -1), "1.2.3", "no UID"),
			status: 207, message: "The study was moved in part.", retrievals: []string{"1 partial B000 3/1/0 1.2.3"},
			warnings: []goclient.WarningCode{goclient.ValueMalformed},
		},
		{
			name: "B000 with everything failed", studies: 1, move: finally(0xB000, count(0, 5, 0, -1), "1.2.3"),
			status: 502, code: goclient.ProblemCodeMoveFailed, dicomStatus: "B000", retrievals: []string{"1 failed B000 0/5/0 1.2.3"},
		},
		{
			name: "B000 without counters", studies: 1, move: finally(0xB000, dicomtest.NoCounters),
			status: 207, message: "The study was moved in part.", retrievals: []string{"1 partial B000 -/-/-"},
		},
		{
			name: "unrequested FE00", studies: 2, move: oneOfTwo(finally(0xFE00, count(2, 0, 0, 3))),
			status: 207, message: "Not everything was moved: of 2 studies 1 completely, 1 cancelled.",
			retrievals: []string{"1 cancelled FE00 2/0/0", "2 ok 0000 4/0/0"},
		},
		{
			name: "unrequested FE00 before anything was moved", studies: 1, move: finally(0xFE00, dicomtest.NoCounters),
			status: 502, code: goclient.ProblemCodeMoveFailed, dicomStatus: "FE00", retrievals: []string{"1 cancelled FE00 -/-/-"},
		},
		{
			name: "A801", studies: 2, move: finally(0xA801, dicomtest.NoCounters),
			status: 502, code: goclient.ProblemCodeMoveDestinationUnknown, dicomStatus: "A801",
			retrievals: []string{"1 failed A801 -/-/-", "2 failed A801 -/-/-"},
		},
		{
			name: "A702 with the list of failed instances", studies: 1, move: finally(0xA702, count(0, 2, 0, -1), "1.2.3", "1.2.4"),
			status: 502, code: goclient.ProblemCodeMoveFailed, dicomStatus: "A702", retrievals: []string{"1 failed A702 0/2/0 1.2.3 1.2.4"},
		},
		{
			name: "A702 in one of two studies", studies: 2, move: oneOfTwo(finally(0xA702, count(0, 2, 0, -1), "1.2.3")),
			status: 207, message: "Not everything was moved: of 2 studies 1 completely, 1 failed.",
			retrievals: []string{"1 failed A702 0/2/0 1.2.3", "2 ok 0000 4/0/0"},
		},
		{
			name: "A702 after some arrived", studies: 1, move: finally(0xA702, count(1, 2, 0, -1)),
			status: 207, message: "The study was moved in part.", retrievals: []string{"1 partial A702 1/2/0"},
		},
		{
			name: "C000", studies: 1, move: finally(0xC000, count(0, 0, 0, -1)),
			status: 502, code: goclient.ProblemCodeMoveFailed, dicomStatus: "C000", retrievals: []string{"1 failed C000 0/0/0"},
		},
		{
			name: "status without a class", studies: 1, move: finally(0xFF77, dicomtest.NoCounters),
			status: 502, code: goclient.ProblemCodeMoveFailed, dicomStatus: "FF77", retrievals: []string{"1 failed FF77 -/-/-"},
		},
		{
			name: "abort in the second of five", studies: 5, move: inSecond((*association).Abort),
			status: 207, message: closedSecondMessage, retrievals: othersMoved("2 failed  2/1/0"), seen: strings.Split(abortedAndReplaced, ", "),
		},
		{
			name: "closed connection in the second of five", studies: 5, move: inSecond(func(a *association) { _ = a.Conn.Close() }),
			status: 207, message: closedSecondMessage, retrievals: othersMoved("2 failed  2/1/0"),
			seen: strings.Split(abortedAndReplaced, ", "),
		},
		{
			name: "timeout in the second of five", studies: 5, move: inSecond(func(*association) {}),
			status: 207, message: closedSecondMessage, retrievals: othersMoved("2 failed  2/1/0"), seen: strings.Split(silentAndReplaced, ", "),
		},
		{
			name: "abort in the second of five, then only rejections", studies: 5, move: inSecond((*association).Abort), greet: onlyFirst,
			status: 207, message: "Not everything was moved: of 5 studies 1 completely, 1 failed, 3 not attempted.",
			retrievals: []string{
				"1 ok 0000 1/0/0", "2 failed  2/1/0", "3 not_attempted  -/-/-", "4 not_attempted  -/-/-", "5 not_attempted  -/-/-",
			},
			seen: []string{"associate", "find", "move 1", "move 2", "associate"},
		},
		{
			name: "aborts in the second and the fourth of five", studies: 5, move: func(a *association, n int) {
				if n%2 == 0 {
					a.Abort()
					return
				}
				movedAll(a, 1)
			},
			status: 207, message: "Not everything was moved: of 5 studies 3 completely, 2 failed.",
			retrievals: []string{
				"1 ok 0000 1/0/0", "2 failed  -/-/-", "3 ok 0000 1/0/0", "4 failed  -/-/-", "5 ok 0000 1/0/0",
			},
			seen: []string{
				"associate", "find", "move 1", "move 2", "associate", "move 3", "move 4", "associate", "move 5", "release",
			},
		},
		{
			name: "aborts in the second and the third of five", studies: 5, move: func(a *association, n int) {
				if n == 2 || n == 3 {
					a.Abort()
					return
				}
				movedAll(a, 1)
			},
			status: 207, message: "Not everything was moved: of 5 studies 1 completely, 2 failed, 2 not attempted.",
			retrievals: []string{
				"1 ok 0000 1/0/0", "2 failed  -/-/-", "3 failed  -/-/-", "4 not_attempted  -/-/-", "5 not_attempted  -/-/-",
			},
			seen: []string{"associate", "find", "move 1", "move 2", "associate", "move 3"},
		},
		{
			name: "abort before anything was moved, then only rejections", studies: 2,
			move: func(a *association, _ int) { a.Abort() }, greet: onlyFirst,
			status: 502, code: goclient.ProblemCodeAssociationAborted, retrievals: []string{"1 failed  -/-/-", "2 not_attempted  -/-/-"},
		},
		{
			name: "connection closed before anything was moved", studies: 1, move: func(a *association, _ int) { _ = a.Conn.Close() },
			status: 502, code: goclient.ProblemCodeConnectionLost, retrievals: []string{"1 failed  -/-/-"},
		},
		{
			name: "timeout before anything was moved", studies: 1, move: func(*association, int) {},
			status: 502, code: goclient.ProblemCodeDIMSETimeout, retrievals: []string{"1 failed  -/-/-"},
		},
		{
			name: "release during the operation", studies: 1, move: func(a *association, _ int) {
				a.SendPDU(&pdu.ReleaseRQ{})
				a.Expect(pdu.TypeReleaseRP)
			},
			status: 502, code: goclient.ProblemCodeAssociationReleased, retrievals: []string{"1 failed  -/-/-"},
		},
	}
}

func TestMoveOutcomes(t *testing.T) {
	for _, row := range outcomeRows() {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pacsWith(row.studies, row.move)
				p.Negotiate = row.greet
				r := startInMemory(t, gatewayTo(t, p, gatewayOptions{}))
				plain := row.plain(t, p, r)
				p.Forget()
				row.streamed(t, r, plain)
			})
		})
	}
}

// plain checks the plain answer.
func (row *outcomeRow) plain(t *testing.T, p *dicomtest.ScriptedPACS, r *running) []byte {
	t.Helper()
	reply, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
	require.NoError(t, err)
	require.Equal(t, row.status, reply.StatusCode(), "%s", reply.Body)
	switch row.status {
	case http.StatusOK:
		row.check(t, reply.JSON200, goclient.RetrieveResponseStatusOk)
	case http.StatusMultiStatus:
		row.check(t, reply.JSON207, goclient.RetrieveResponseStatusPartial)
	default:
		row.checkProblem(t, reply.ApplicationProblemJSON502)
	}
	settle(t)
	if row.seen != nil {
		assert.ElementsMatch(t, row.seen, seen(p), "the PACS may see an abort late")
	}
	assert.NotContains(t, r.logs.String(), patientName)
	assert.NotContains(t, r.logs.String(), patientID)
	return reply.Body
}

// settle waits until the work after an answer has ended.
func settle(t *testing.T) {
	t.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
}

func (row *outcomeRow) check(t *testing.T, answer *goclient.RetrieveResponse, status goclient.RetrieveResponseStatus) {
	t.Helper()
	assert.Equal(t, status, answer.Status)
	assert.Equal(t, row.message, answer.Message)
	assert.Equal(t, row.retrievals, linesOf(answer.Retrievals))
	assert.Equal(t, row.studies, answer.TotalCount)
	ok := 0
	for i := range answer.Retrievals {
		assert.Equal(t, answer.StudyDetails[i].StudyInstanceUID, answer.Retrievals[i].StudyInstanceUID)
		if answer.Retrievals[i].Status == goclient.RetrievalStatusOk {
			ok++
		}
	}
	assert.Equal(t, ok, answer.SuccessCount)
	assert.Equal(t, row.warnings, codesOf(answer.Warnings))
}

func (row *outcomeRow) checkProblem(t *testing.T, p *goclient.Problem) {
	t.Helper()
	assert.Equal(t, row.code, p.Code)
	require.NotNil(t, p.DICOM)
	assert.Equal(t, goclient.DICOMFaultStepMove, p.DICOM.Step)
	if row.dicomStatus == "" {
		assert.Nil(t, p.DICOM.Status)
		return
	}
	require.NotNil(t, p.DICOM.Status)
	assert.Equal(t, row.dicomStatus, *p.DICOM.Status)
	assert.NotEmpty(t, *p.DICOM.Meaning)
}

// streamed checks that the events report the same as the plain answer.
func (row *outcomeRow) streamed(t *testing.T, r *running, plain []byte) {
	t.Helper()
	response := r.stream(t, t.Context())
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	all := events(t, response.Body)
	assert.Equal(t, "matched", all[0].name)
	all[0].valid(t, "MatchedEvent")
	for _, e := range all {
		if e.name == "progress" {
			e.valid(t, "ProgressEvent")
		}
	}
	assert.Equal(t, row.retrievals, retrievedIn(t, all), "even if the plain answer has no retrievals")

	last := all[len(all)-1]
	var want, got map[string]any
	require.NoError(t, json.Unmarshal(plain, &want))
	require.NoError(t, json.Unmarshal([]byte(last.data), &got))
	if row.status == http.StatusBadGateway {
		assert.Equal(t, "error", last.name)
		last.valid(t, "Problem")
		assert.Equal(t, response.Header.Get("X-Correlation-ID"), got["correlation_id"])
		want["correlation_id"] = got["correlation_id"]
	} else {
		assert.Equal(t, "result", last.name)
		last.valid(t, "ResultEvent")
		want["http_status"] = float64(row.status)
	}
	assert.Equal(t, want, got)
}

// retrievedIn returns the retrieved events.
func retrievedIn(t *testing.T, all []event) []string {
	t.Helper()
	var retrievals []goclient.Retrieval
	for _, e := range all {
		if e.name != "retrieved" {
			continue
		}
		e.valid(t, "Retrieval")
		var retrieval goclient.Retrieval
		require.NoError(t, json.Unmarshal([]byte(e.data), &retrieval))
		retrievals = append(retrievals, retrieval)
	}
	return linesOf(retrievals)
}

func linesOf(retrievals []goclient.Retrieval) []string {
	counter := func(n *int) string {
		if n == nil {
			return "-"
		}
		return strconv.Itoa(*n)
	}
	var lines []string
	for i := range retrievals {
		r := &retrievals[i]
		line := fmt.Sprintf("%s %s %s %s/%s/%s", strings.TrimPrefix(r.StudyInstanceUID, studyUID+"."), r.Status, r.DICOMStatus,
			counter(r.Completed), counter(r.Failed), counter(r.Warning))
		lines = append(lines, strings.Join(append([]string{line}, r.FailedSOPInstanceUIDs...), " "))
	}
	return lines
}

func codesOf(warnings []goclient.Warning) []goclient.WarningCode {
	var codes []goclient.WarningCode
	for _, w := range warnings {
		codes = append(codes, w.Code)
	}
	return codes
}

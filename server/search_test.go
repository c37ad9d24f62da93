package server

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// matchWith returns a match with the text attributes.
func matchWith(t testing.TB, values map[dataset.Tag]string) *qr.Match {
	t.Helper()
	var elements []*dataset.Element
	for tag, value := range values {
		elements = append(elements, dataset.Text(tag, value))
	}
	b, err := dataset.Encode(&dataset.Dataset{Elements: elements}, dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	set, err := dataset.Parse(b, dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	return qr.NewMatch(set, nil)
}

func foundStudy(t testing.TB) *qr.Match {
	t.Helper()
	m := matchWith(t, map[dataset.Tag]string{
		dataset.PatientID: patientID, dataset.PatientName: patientName, dataset.StudyInstanceUID: studyUID, dataset.StudyDate: "20240101",
	})
	m.Modalities = []string{"CT"}
	return m
}

// searching returns a gateway whose searches have a result, and what they asked for.
func searching(result *qr.SearchResult, err error) (gateway *fakeGateway, asked *[]qr.Search) {
	asked = &[]qr.Search{}
	return &fakeGateway{search: func(_ context.Context, _ qr.Peer, s qr.Search) (*qr.SearchResult, error) {
		*asked = append(*asked, s)
		return result, err
	}}, asked
}

// get sends a search.
func (r *running) get(t *testing.T, path string, header ...string) (int, http.Header, string) {
	t.Helper()
	return r.do(t, http.MethodGet, path, nil, header...)
}

func TestASearchAnswersInDICOMJSON(t *testing.T) {
	gateway, asked := searching(&qr.SearchResult{Matches: []*qr.Match{foundStudy(t)}}, nil)
	r := startNamed(t, gateway)
	status, header, body := r.get(t, "/dicomweb/main/studies?PatientID="+patientID+"&includefield=StudyDescription&limit=3")
	require.Equal(t, http.StatusOK, status, body)
	assert.Equal(t, "application/dicom+json", header.Get("Content-Type"))
	assert.Equal(t, "private, no-cache", header.Get("Cache-Control"))
	assert.Equal(t, "Accept", header.Get("Vary"))
	assert.Empty(t, header.Values("Warning"))
	var objects []map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(body), &objects))
	require.Len(t, objects, 1)
	assert.JSONEq(t, `{"vr":"PN","Value":[{"Alphabetic":"`+patientName+`"}]}`, string(objects[0]["00100010"]))
	assert.JSONEq(t, `{"vr":"UR","Value":["`+r.url+`/dicomweb/main/studies/`+studyUID+`"]}`, string(objects[0]["00081190"]))
	require.Len(t, *asked, 1)
	assert.Equal(t, qr.LevelStudy, (*asked)[0].Level)
	assert.Equal(t, 3, (*asked)[0].Limit)
	assert.Equal(t, []string{patientID}, (*asked)[0].Keys[0].Values)
}

func TestTheSixResourcesSearchAtTheirLevels(t *testing.T) {
	gateway, asked := searching(&qr.SearchResult{}, nil)
	r := startNamed(t, gateway)
	for path, want := range map[string]qr.Search{
		"/studies":                             {Level: qr.LevelStudy},
		"/series":                              {Level: qr.LevelSeries},
		"/instances":                           {Level: qr.LevelImage},
		"/studies/1.2/series":                  {Level: qr.LevelSeries, StudyInstanceUID: "1.2"},
		"/studies/1.2/instances":               {Level: qr.LevelImage, StudyInstanceUID: "1.2"},
		"/studies/1.2/series/1.2.3/instances":  {Level: qr.LevelImage, StudyInstanceUID: "1.2", SeriesInstanceUID: "1.2.3"},
		"/studies/1.2/series/1.2.3/instances?": {Level: qr.LevelImage, StudyInstanceUID: "1.2", SeriesInstanceUID: "1.2.3"},
	} {
		*asked = nil
		status, _, body := r.get(t, "/dicomweb/main"+path)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, "[]", body, "no match is an empty list")
		assert.Equal(t, []qr.Search{want}, *asked, path)

		status, header, body := r.do(t, http.MethodHead, "/dicomweb/main"+path, nil)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, "2", header.Get("Content-Length"))
		assert.Empty(t, body)
		assert.Len(t, *asked, 2)

		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			status, header, _ = r.do(t, method, "/dicomweb/main"+path, strings.NewReader("{}"))
			assert.Equal(t, http.StatusMethodNotAllowed, status)
			assert.Equal(t, "GET, HEAD", header.Get("Allow"))
		}
	}
	for _, path := range []string{"/dicomweb", "/dicomweb/main", "/dicomweb/main/patients", "/dicomweb/main/studies/1.2/series/1.2/foo"} {
		status, _, _ := r.get(t, path)
		assert.Equal(t, http.StatusNotFound, status, path)
	}
}

func TestFaultsOfASearchAreListedAtOnce(t *testing.T) {
	gateway, asked := searching(nil, nil)
	r := startNamed(t, gateway)
	status, _, body := r.get(t, "/dicomweb/main/studies/x/series?limit=-1&patientid=1&StudyDate=SECRET&Foo=SECRET&includefield=Bar")
	assert.Equal(t, http.StatusBadRequest, status)
	assert.NotContains(t, body, "SECRET")
	p := problemIn(t, body)
	var pointers []string
	for _, f := range p.Errors {
		pointers = append(pointers, f.Pointer)
	}
	assert.Equal(t, []string{"/Foo", "/StudyDate", "/includefield/0", "/limit", "/patientid", "/study"}, pointers)
	assert.Empty(t, *asked)
}

func TestTheMediaTypeOfASearchIsNegotiated(t *testing.T) {
	gateway, asked := searching(&qr.SearchResult{}, nil)
	r := startNamed(t, gateway)
	_, header, _ := r.get(t, "/dicomweb/main/studies", "Accept", "application/json")
	assert.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"))
	_, header, _ = r.get(t, "/dicomweb/main/studies?accept=application/dicom+json", "Accept", "text/html")
	assert.Equal(t, "application/dicom+json", header.Get("Content-Type"))
	*asked = nil
	status, _, body := r.get(t, "/dicomweb/main/studies", "Accept", `multipart/related; type="application/dicom+xml"`)
	assert.Equal(t, http.StatusNotAcceptable, status)
	assert.EqualValues(t, "not_acceptable", problemIn(t, body).Code)
	assert.Empty(t, *asked)
}

func TestWarningsOfASearchAreHeaderFields(t *testing.T) {
	gateway, _ := searching(&qr.SearchResult{Warnings: []qr.Warning{{Message: "2 matches were dropped"}}, More: true}, nil)
	r := startNamed(t, gateway)
	_, header, _ := r.get(t, "/dicomweb/main/studies?foo=1&emptyvaluematching=true&limit=1")
	assert.Equal(t, []string{
		`299 dicom-qr-gateway "The emptyvaluematching parameter is not supported. Only literal matching has been performed."`,
		`299 dicom-qr-gateway "The parameter foo is not supported and was ignored."`,
		`299 dicom-qr-gateway "2 matches were dropped"`,
		`299 dicom-qr-gateway "There are more matches. Ask for them with offset."`,
	}, header.Values("Warning"))
}

func TestALimitOfZeroAsksNoPACS(t *testing.T) {
	gateway, asked := searching(nil, nil)
	r := startNamed(t, gateway)
	status, _, body := r.get(t, "/dicomweb/main/studies?limit=0")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "[]", body)
	assert.Empty(t, *asked)
}

func TestAFailedSearchIsAProblem(t *testing.T) {
	for code, test := range map[string]struct {
		err    error
		status int
	}{
		"search_too_broad":             {&qr.SearchTooBroadError{Max: 10}, 413},
		"modality_unknown":             {&qr.ModalityUnknownError{}, 501},
		"relational_query_unsupported": {&qr.RelationalQueryError{}, 501},
		"connection_lost":              {&dicomnet.OpError{Step: dicomnet.StepFind, Err: dicomnet.ErrConnectionLost}, 502},
		"internal_error":               {errUnexpected, 500},
	} {
		gateway, _ := searching(nil, test.err)
		r := startNamed(t, gateway)
		status, _, body := r.get(t, "/dicomweb/main/studies")
		assert.Equal(t, test.status, status, code)
		assert.EqualValues(t, code, problemIn(t, body).Code)
	}
}

func TestASearchAtAnUnknownPACSIsNotFound(t *testing.T) {
	gateway, _ := searching(nil, nil)
	r := startNamed(t, gateway)
	status, _, body := r.get(t, "/dicomweb/other/studies")
	assert.Equal(t, http.StatusNotFound, status)
	assert.EqualValues(t, "pacs_unknown", problemIn(t, body).Code)
}

func TestHeadOfASearchIsAnsweredWithoutABody(t *testing.T) {
	gateway, _ := searching(&qr.SearchResult{Matches: []*qr.Match{foundStudy(t)}}, nil)
	r := startNamed(t, gateway)
	for range 2 { // on one connection
		request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, r.url+"/dicomweb/main/studies", http.NoBody)
		require.NoError(t, err)
		response, err := r.http.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusOK, response.StatusCode)
		assert.Positive(t, response.ContentLength)
	}
}

func TestALongAnswerOfASearchIsStreamed(t *testing.T) {
	matches := make([]*qr.Match, 1000)
	for i := range matches {
		matches[i] = foundStudy(t)
	}
	gateway, _ := searching(&qr.SearchResult{Matches: matches}, nil)
	r := startNamed(t, gateway)
	_, header, body := r.get(t, "/dicomweb/main/studies")
	assert.Empty(t, header.Get("Content-Length"))
	var objects []json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(body), &objects))
	assert.Len(t, objects, 1000)
}

func TestNothingOfASearchReachesLogMetricsOrProblems(t *testing.T) {
	gateway, _ := searching(&qr.SearchResult{Matches: []*qr.Match{foundStudy(t)}}, nil)
	r := startNamed(t, gateway)
	secret := "PatientID=" + patientID + "&PatientName=" + patientName + "&StudyInstanceUID=" + studyUID
	for _, path := range []string{
		"/studies?" + secret,
		"/studies?" + secret + "&limit=" + patientID,
		"/studies?" + secret + "&" + patientID + "=1&" + strings.ToLower(patientID) + "=1",
		"/studies?" + secret + "&StudyDate=" + patientName,
		"/studies?SECRETNAME=1&19711231=1",
		"/studies?accept=" + patientID,
		"/studies/" + patientID + "/series?" + secret,
	} {
		_, _, body := r.get(t, "/dicomweb/main"+path)
		if strings.Contains(body, "urn:") {
			assert.NotContains(t, strings.ReplaceAll(body, `"pointer":"/`+patientID, ""), patientID)
			assert.NotContains(t, body, patientName)
		}
	}
	_, _, metrics := r.get(t, "/metrics")
	assert.Contains(t, metrics, `route="/dicomweb/:pacs/studies"`)
	line := waitForLine(t, r, "request")
	for name, text := range map[string]string{"log": r.logs.String(), "metrics": metrics} {
		for _, value := range []string{patientID, patientName, studyUID, strings.ToLower(patientID), "SECRETNAME", "19711231"} {
			assert.NotContains(t, text, value, name)
		}
	}
	assert.Equal(t, "/dicomweb/:pacs/studies", line["route"])
	assert.Equal(t, "C-FIND", line["operation"])
}

// namedMain has one PACS, main.
type namedMain struct{ peer qr.Peer }

func (p namedMain) Lookup(name string) (qr.Peer, bool) { return p.peer, name == p.peer.Name }
func (p namedMain) List() []qr.Peer                    { return []qr.Peer{p.peer} }

// startNamed starts a gateway with the named PACS main.
func startNamed(t *testing.T, gateway backend, variables ...string) *running {
	t.Helper()
	peer := qr.Peer{Name: "main", Host: "127.0.0.1", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY", Settings: &pool.Settings{}}
	return startWith(t, gateway, preparation{options: func(o *Options) { o.PACS = namedMain{peer} }}, variables...)
}

func TestASearchIsRecordedAsItWasSent(t *testing.T) {
	pacs := startDemonstration(t)
	port, err := strconv.Atoi(pacs.pacsPort)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "audit.log")
	peer := qr.Peer{Name: "main", Host: "127.0.0.1", Port: port, CalledAETitle: "ORTHANCA", CallingAETitle: "GATEWAY", Settings: &pool.Settings{}}
	r := startWith(t, newGateway(gatewayOptions{}), preparation{options: func(o *Options) { o.PACS = namedMain{peer} }}, "AUDIT_LOG", file)
	status, _, _ := r.get(t, "/dicomweb/main/series?PatientID=1112223333&Modality=CT")
	require.Equal(t, http.StatusOK, status)
	all := records(t, readFile(t, file))
	last := all[len(all)-1]
	assert.Equal(t, queryEvent, last.Event.ID.Code)
	assert.Equal(t, "0", last.Event.Outcome)
	require.NotEmpty(t, last.Objects)
	var identifiers strings.Builder
	for _, o := range last.Objects {
		assert.Equal(t, dicomnet.StudyRoot.Find, o.ID, "no patient")
		identifiers.Write(o.Query)
	}
	assert.Contains(t, identifiers.String(), "STUDY")
	assert.Contains(t, identifiers.String(), "SERIES")
	assert.Contains(t, identifiers.String(), "1112223333")
}

func TestASearchIsWithheldIfItCannotBeRecorded(t *testing.T) {
	gateway := &fakeGateway{}
	d := &disk{}
	r := startWith(t, gateway, preparation{options: func(o *Options) {
		o.PACS = namedMain{qr.Peer{Name: "main", Settings: &pool.Settings{}}}
		o.Audit = audit.NewTrail(audit.To(d, audit.Options{}))
	}})
	gateway.search = func(context.Context, qr.Peer, qr.Search) (*qr.SearchResult, error) {
		d.fill(true)
		return &qr.SearchResult{Matches: []*qr.Match{foundStudy(t)}}, nil
	}
	status, _, body := r.get(t, "/dicomweb/main/studies")
	assertWithheld(t, status, body)
	status, header, body := r.get(t, "/dicomweb/main/studies")
	assertUnaudited(t, status, header, body)
}

func TestAKeyWithoutTheRightToAPACSCannotSearchIt(t *testing.T) {
	gateway, asked := searching(&qr.SearchResult{}, nil)
	r := startNamed(t, gateway, "API_KEYS_FILE", keysFile(t, strings.TrimSpace(keyLine("viewer", viewerKey))+":pacs=other\n"))
	status, _, body := r.get(t, "/dicomweb/main/studies?PatientID="+patientID, "Authorization", "Bearer "+viewerKey)
	assert.Equal(t, http.StatusForbidden, status)
	assert.NotContains(t, body, patientID)
	assert.Empty(t, *asked)
	status, _, _ = r.get(t, "/dicomweb/main/studies")
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestBrowsersMaySearch(t *testing.T) {
	gateway, _ := searching(&qr.SearchResult{More: true}, nil)
	r := startNamed(t, gateway, "CORS_ALLOWED_ORIGINS", viewerOrigin)
	status, header := preflight(t, r, "/dicomweb/main/studies", viewerOrigin)
	assert.Equal(t, http.StatusNoContent, status)
	assert.Equal(t, "GET, HEAD", header.Get("Access-Control-Allow-Methods"))
	_, header, _ = r.get(t, "/dicomweb/main/studies?limit=1", "Origin", viewerOrigin)
	assert.Contains(t, header.Get("Access-Control-Expose-Headers"), "Warning")
	assert.Equal(t, []string{"Origin", "Accept"}, header.Values("Vary"))
}

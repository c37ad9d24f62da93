package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/access"
)

// with returns queryBody with fields set to JSON values, or removed if the value is "".
func with(t *testing.T, fields ...string) string {
	t.Helper()
	members := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal([]byte(queryBody), &members))
	for i := 0; i < len(fields); i += 2 {
		members[fields[i]] = json.RawMessage(fields[i+1])
		if fields[i+1] == "" {
			delete(members, fields[i])
		}
	}
	body, err := json.Marshal(members)
	require.NoError(t, err)
	return string(body)
}

func TestInvalidRequestsNameEachFaultAndRepeatNoValue(t *testing.T) {
	r := start(t, &fakeGateway{})
	long, long65 := strings.Repeat("Q", 17), strings.Repeat("Q", 65)
	for name, test := range map[string]struct {
		body     string
		pointers []string
		values   []string // that must not appear in the answer
	}{
		"missing field":                           {with(t, "patient_id", ""), []string{"/patient_id"}, nil},
		"all fields missing":                      {`{}`, []string{"/pacs", "/patient_id"}, nil},
		"address without its other fields":        {`{"pacs_ip":"127.0.0.1","patient_id":"1"}`, []string{"/c_find_ae_title", "/pacs_ae_title", "/pacs_port"}, nil},
		"pacs_tls alone":                          {`{"pacs_tls":false,"patient_id":"1"}`, []string{"/c_find_ae_title", "/pacs_ae_title", "/pacs_ip", "/pacs_port"}, nil},
		"name and address":                        {with(t, "pacs", `"main"`), []string{"/c_find_ae_title", "/pacs_ae_title", "/pacs_ip", "/pacs_port"}, []string{"main"}},
		"name and pacs_tls":                       {`{"pacs":"main","pacs_tls":true,"patient_id":"1"}`, []string{"/pacs_tls"}, []string{"main"}},
		"name that no PACS can have":              {`{"pacs":"Main_1","patient_id":"1"}`, []string{"/pacs"}, []string{"Main_1"}},
		"empty name":                              {`{"pacs":"","patient_id":"1"}`, []string{"/pacs"}, nil},
		"wrong type":                              {with(t, "pacs_port", `"10444"`), []string{"/pacs_port"}, []string{"10444"}},
		"wrong type of a string":                  {with(t, "patient_id", `987654`), []string{"/patient_id"}, []string{"987654"}},
		"null":                                    {with(t, "patient_id", `null`), []string{"/patient_id"}, []string{"null"}},
		"null for an unknown field":               {with(t, "max_result", `null`), []string{"/max_result"}, []string{"null"}},
		"null twice":                              {strings.Replace(queryBody, `{`, `{"max_results":null,"max_results":null,`, 1), []string{"/max_results"}, []string{"null"}},
		"null in a list":                          {with(t, "modalities", `[null]`), []string{"/modalities/0"}, []string{"null"}},
		"port 0":                                  {with(t, "pacs_port", `0`), []string{"/pacs_port"}, nil},
		"port 65536":                              {with(t, "pacs_port", `65536`), []string{"/pacs_port"}, []string{"65536"}},
		"port with a fraction":                    {with(t, "pacs_port", `104.5`), []string{"/pacs_port"}, []string{"104.5"}},
		"port too large for a number":             {with(t, "pacs_port", `1e999`), []string{"/pacs_port"}, []string{"1e999"}},
		"AE title empty":                          {with(t, "pacs_ae_title", `""`), []string{"/pacs_ae_title"}, nil},
		"AE title of 17":                          {with(t, "pacs_ae_title", `"`+long+`"`), []string{"/pacs_ae_title"}, []string{long}},
		"AE title of spaces":                      {with(t, "c_find_ae_title", `"   "`), []string{"/c_find_ae_title"}, nil},
		"AE title with a backslash":               {with(t, "c_find_ae_title", `"QX\\YZ"`), []string{"/c_find_ae_title"}, []string{"QX"}},
		"AE title with a tab":                     {with(t, "c_find_ae_title", `"QX\tYZ"`), []string{"/c_find_ae_title"}, []string{"QX"}},
		"AE title not ASCII":                      {with(t, "pacs_ae_title", `"QXÄ"`), []string{"/pacs_ae_title"}, []string{"QX"}},
		"Patient ID with a star":                  {with(t, "patient_id", `"987*"`), []string{"/patient_id"}, []string{"987"}},
		"Patient ID with a question mark":         {with(t, "patient_id", `"987?"`), []string{"/patient_id"}, []string{"987"}},
		"Patient ID with a backslash":             {with(t, "patient_id", `"987\\654"`), []string{"/patient_id"}, []string{"987"}},
		"Patient ID with a line break":            {with(t, "patient_id", `"987\n"`), []string{"/patient_id"}, []string{"987"}},
		"Patient ID with a C1 control":            {with(t, "patient_id", `"987\u0085"`), []string{"/patient_id"}, []string{"987"}},
		"Patient ID of 65":                        {with(t, "patient_id", `"`+strings.Repeat("9", 65)+`"`), []string{"/patient_id"}, []string{"999"}},
		"Patient ID of spaces":                    {with(t, "patient_id", `"  "`), []string{"/patient_id"}, nil},
		"Patient ID with half a surrogate":        {with(t, "patient_id", `"987\ud800"`), []string{"/patient_id"}, []string{"987"}},
		"max_results 0":                           {with(t, "max_results", `0`), []string{"/max_results"}, nil},
		"max_results 1001":                        {with(t, "max_results", `1001`), []string{"/max_results"}, []string{"1001"}},
		"max_years_old 201":                       {with(t, "max_years_old", `201`), []string{"/max_years_old"}, []string{"201"}},
		"unknown field":                           {with(t, "max_result", `77123`), []string{"/max_result"}, []string{"77123"}},
		"field in another case":                   {with(t, "Patient_ID", `"77123"`), []string{"/Patient_ID"}, []string{"77123"}},
		"unknown field with characters to escape": {with(t, `a/b~c`, `1`), []string{"/a~1b~0c"}, nil},
		"long unknown field":                      {with(t, strings.Repeat("ß", 900), `1`), []string{"/" + strings.Repeat("ß", 64) + "…"}, nil},
		"two faults":                              {with(t, "pacs_port", `0`, "patient_id", `"987*"`), []string{"/pacs_port", "/patient_id"}, []string{"987"}},
		"a fault and an unknown field":            {with(t, "pacs_port", `0`, "x", `1`), []string{"/pacs_port", "/x"}, nil},
		"duplicate field":                         {strings.Replace(queryBody, `{`, `{"pacs_port":105,`, 1), []string{"/pacs_port"}, []string{"105"}},
		"modality in lower case":                  {with(t, "modalities", `["CT","mr"]`), []string{"/modalities/1"}, []string{"mr"}},
		"modality empty":                          {with(t, "modalities", `[""]`), []string{"/modalities/0"}, nil},
		"modalities not an array":                 {with(t, "modalities", `"QX"`), []string{"/modalities"}, []string{"QX"}},
		"modality null":                           {with(t, "modalities", `[null]`), []string{"/modalities/0"}, nil},
		"UIDs empty":                              {with(t, "study_instance_uids", `[]`), []string{"/study_instance_uids"}, nil},
		"UID with letters":                        {with(t, "study_instance_uids", `["1.2.x"]`), []string{"/study_instance_uids/0"}, []string{"1.2.x"}},
		"UIDs over 1000":                          {with(t, "study_instance_uids", `["1"`+strings.Repeat(`,"1"`, 1000)+`]`), []string{"/study_instance_uids"}, nil},
		"accession number of 65":                  {with(t, "accession_number", `"`+long65+`"`), []string{"/accession_number"}, []string{long}},
		"issuer of 65":                            {with(t, "issuer_of_patient_id", `"`+long65+`"`), []string{"/issuer_of_patient_id"}, []string{long}},
		"issuer wildcard":                         {with(t, "issuer_of_patient_id", `"QX?"`), []string{"/issuer_of_patient_id"}, []string{"QX"}},
		"issuer of spaces":                        {with(t, "issuer_of_patient_id", `"  "`), []string{"/issuer_of_patient_id"}, nil},
		"accession number wildcard":               {with(t, "accession_number", `"QX*"`), []string{"/accession_number"}, []string{"QX"}},
		"invalid year":                            {with(t, "study_date_from", `"0000-01-01"`), []string{"/study_date_from"}, []string{"0000"}},
		"invalid date":                            {with(t, "study_date_from", `"2023-02-29"`), []string{"/study_date_from"}, []string{"2023"}},
		"date in DICOM form":                      {with(t, "study_date_to", `"20230228"`), []string{"/study_date_to"}, []string{"2023"}},
		"dates in the wrong order":                {with(t, "study_date_from", `"2024-02-29"`, "study_date_to", `"2024-02-28"`), []string{"/study_date_to"}, []string{"2024"}},
		"pacs_tls not a boolean":                  {with(t, "pacs_tls", `"yes"`), []string{"/pacs_tls"}, []string{"yes"}},
		"field of /qr":                            {with(t, "c_move_ae_title", `"QX"`), []string{"/c_move_ae_title"}, []string{"QX"}},
		"trailing bytes":                          {queryBody + "x", []string{""}, []string{patientID}},
		"second value":                            {queryBody + queryBody, []string{""}, []string{patientID}},
		"not JSON":                                {`patient`, []string{""}, []string{"patient"}},
		"truncated":                               {queryBody[:40], []string{""}, nil},
		"no body":                                 {``, []string{""}, nil},
		"body is an array":                        {`[]`, []string{""}, nil},
		"body is null":                            {`null`, []string{""}, nil},
		"body is a string":                        {`"QX"`, []string{""}, []string{"QX"}},
		"byte order mark alone":                   {"\ufeff", []string{""}, nil},
		"two byte order marks":                    {"\ufeff\ufeff" + queryBody, []string{""}, []string{patientID}},
		"UTF-16":                                  {"\xff\xfe{\x00}\x00", []string{""}, nil},
		"not UTF-8":                               {strings.Replace(queryBody, patientID, "987\xe4", 1), []string{""}, []string{"987"}},
		"nested too deeply":                       {with(t, "x", strings.Repeat("[", 99)+strings.Repeat("]", 99)), []string{""}, nil},
		"nested much too deeply":                  {strings.Repeat("[", 20000) + strings.Repeat("]", 20000), []string{""}, nil},
		"nested duplicate":                        {with(t, "x", `[{"a":[{"b":1,"b":2}]}]`), []string{"/x", "/x/0/a/0/b"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			// A random correlation ID can contain any short value.
			status, _, body := r.post(t, "/q", test.body, "X-Correlation-ID", "-")

			require.Equal(t, http.StatusBadRequest, status, body)
			p := problemIn(t, body)
			assert.Equal(t, goclient.ProblemCodeInvalidRequest, p.Code)
			var pointers []string
			for _, fault := range p.Errors {
				pointers = append(pointers, fault.Pointer)
				assert.NotEmpty(t, fault.Detail)
			}
			assert.Equal(t, test.pointers, pointers)
			for _, fault := range p.Errors {
				for _, value := range test.values {
					assert.NotContains(t, fault.Detail, value)
				}
			}
			// So can the port of the server.
			logged := strings.ReplaceAll(r.logs.String(), strings.TrimPrefix(r.url, "http://"), "")
			for _, value := range test.values {
				assert.NotContains(t, p.Detail, value)
				assert.False(t, strings.Contains(logged, value+`"`), "in the log")
			}
		})
	}
}

func TestValidHosts(t *testing.T) {
	for host, valid := range map[string]bool{
		"127.0.0.1": true, "::1": true, "2001:db8::1": true, "::ffff:192.0.2.1": true, "pacs": true, "pacs.example.org": true,
		"pacs.example.org.": true, "PACS_1.local": true, "a-b": true, "1pacs": true, "xn--pcs-qla.example": true,
		strings.Repeat("a", 63) + ".b": true,

		"": false, "http://pacs": false, "pacs:104": false, "127.0.0.1:104": false, "[::1]": false, "[::1]:104": false,
		"fe80::1%eth0": false, "256.1.1.1": false, "1.2.3": false, "0x7f.1": false, "1.0x7f": false, "127.1": false, " pacs": false, "pacs ": false,
		"pa cs": false, "-a": false, "a-": false, "a..b": false, ".": false, "pacs/": false, "user@pacs": false, "päcs": false,
		"pacs\x00": false, strings.Repeat("a", 64): false, strings.Repeat("a.", 130) + "b": false, "a_": true,
	} {
		assert.Equal(t, valid, pool.ValidHost(host), "%q", host)
	}
}

func TestHostWithASchemeOrAPortIsInvalid(t *testing.T) {
	r := start(t, &fakeGateway{})
	for _, host := range []string{"http://pacs.example", "pacs.example:104", "[::1]"} {
		status, _, body := r.post(t, "/q", with(t, "pacs_ip", `"`+host+`"`))
		assert.Equal(t, http.StatusBadRequest, status)
		require.Len(t, problemIn(t, body).Errors, 1)
		assert.Equal(t, "/pacs_ip", problemIn(t, body).Errors[0].Pointer)
		assert.NotContains(t, body, host)
	}
}

func TestValuesAtTheirLimitsAreAccepted(t *testing.T) {
	r := start(t, answering(&qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil))
	for _, fields := range [][]string{
		{"pacs_port", `1`},
		{"pacs_port", `65535`},
		{"pacs_ae_title", `"1234567890123456"`},
		{"patient_id", `"` + strings.Repeat("ä", 64) + `"`},
		{"patient_id", `"\u00e4\ud83d\ude00"`},
		{"accession_number", `"` + strings.Repeat("ä", 64) + `"`},
		{"issuer_of_patient_id", `"` + strings.Repeat("ä", 64) + `"`},
		{"modalities", `[]`},
		{
			"modalities", `null`, "max_results", `null`, "max_years_old", `null`, "study_instance_uids", `null`, "accession_number", `null`,
			"issuer_of_patient_id", `null`, "study_date_from", `null`, "study_date_to", `null`, "pacs_tls", `null`,
		},
		{"modalities", `["CT","MR","A_1 B"]`},
		{"max_results", `1000`},
		{"max_years_old", `200`},
		{"study_date_from", `"2024-02-29"`, "study_date_to", `"2024-02-29"`},
		{"study_instance_uids", `["1.2.03"]`}, // in real archives, although the standard forbids leading zeros
	} {
		status, _, body := r.post(t, "/q", with(t, fields...))
		assert.Equal(t, http.StatusOK, status, "%v: %s", fields, body)
	}
}

func TestNullForAnOptionalFieldMeansThatItIsNotGiven(t *testing.T) {
	var filters []qr.Filter
	var peers []qr.Peer
	g := &fakeGateway{
		query: func(_ context.Context, _ qr.Call, p qr.Peer, f qr.Filter) (*qr.QueryResult, error) {
			filters, peers = append(filters, f), append(peers, p)
			return &qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil
		},
	}
	r := start(t, g)
	optional := []string{
		"issuer_of_patient_id", "modalities", "max_years_old", "max_results", "study_instance_uids", "accession_number",
		"study_date_from", "study_date_to", "pacs_tls",
	}
	var all []string
	for _, field := range optional {
		all = append(all, field, `null`)
		status, _, body := r.post(t, "/q", with(t, field, `null`))
		assert.Equal(t, http.StatusOK, status, "%s: %s", field, body)
	}
	status, _, body := r.post(t, "/q", with(t, all...))
	assert.Equal(t, http.StatusOK, status, "%s", body)
	for i := range filters {
		assert.Equal(t, qr.Filter{PatientID: patientID}, filters[i])
		assert.False(t, peers[i].TLS)
	}
	assert.Len(t, filters, len(optional)+1)
}

func TestNumberOfNamedFaultsIsLimited(t *testing.T) {
	r := start(t, &fakeGateway{})
	var fields []string
	for i := range 300 {
		fields = append(fields, fmt.Sprintf("unknown_%03d", i), "1")
	}
	_, _, body := r.post(t, "/q", with(t, fields...))
	p := problemIn(t, body)
	assert.Len(t, p.Errors, 100)
	assert.Equal(t, "The request has 300 faults, of which the first 100 are named.", p.Detail)
}

// kin-openapi alone takes a time that is cubic in the number of fields.
func TestManyUnknownFieldsAreRefusedQuickly(t *testing.T) {
	r := start(t, &fakeGateway{})
	var body strings.Builder
	body.WriteString(`{"":1`)
	for i := 0; body.Len() < maxBody-20; i++ {
		fmt.Fprintf(&body, `,"%x":1`, i)
	}
	body.WriteString("}")
	status, _, answer := r.post(t, "/q", body.String())
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Len(t, problemIn(t, answer).Errors, 100)
}

func TestBodyOver64KiBAnswers413(t *testing.T) {
	r := start(t, answering(&qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil))
	fitting := queryBody + strings.Repeat(" ", maxBody-len(queryBody))

	status, _, _ := r.post(t, "/q", fitting)
	assert.Equal(t, http.StatusOK, status)

	status, _, body := r.post(t, "/q", fitting+" ")
	assert.Equal(t, http.StatusRequestEntityTooLarge, status)
	assert.Equal(t, goclient.ProblemCodePayloadTooLarge, problemIn(t, body).Code)

	// Without a Content-Length the body is read to determine its size.
	status, _, _ = r.do(t, http.MethodPost, "/qr", io.MultiReader(strings.NewReader(fitting), strings.NewReader(" ")))
	assert.Equal(t, http.StatusRequestEntityTooLarge, status)
}

func TestFaultOfJSONAfterAByteOrderMarkNamesTheByteAsSent(t *testing.T) {
	r := start(t, &fakeGateway{})
	_, _, body := r.post(t, "/q", "\ufeff{x")
	assert.Equal(t, "is not one valid JSON value: fault at byte 5", problemIn(t, body).Errors[0].Detail)
}

func TestByteOrderMarkIsIgnored(t *testing.T) {
	r := start(t, answering(&qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil))
	status, _, body := r.post(t, "/q", "\ufeff"+queryBody)
	assert.Equal(t, http.StatusOK, status, body)
}

func TestUnknownFieldNearAKnownOneNamesIt(t *testing.T) {
	r := start(t, &fakeGateway{})
	for name, meant := range map[string]string{
		"modality": "modalities", "Modalities": "modalities", "modalites": "modalities", "modaltiies": "modalities",
		"pacs_aetitle": "pacs_ae_title", "pacsAeTitle": "pacs_ae_title", "pacsAETitle": "pacs_ae_title", "PACS-AE-TITLE": "pacs_ae_title",
		"PatientID": "patient_id", "patientid": "patient_id", "patient id": "patient_id", "patinet_id": "patient_id", "patient": "patient_id",
		"max_result": "max_results", "maxYearsOld": "max_years_old", "pacs_host": "pacs_ip", "host": "pacs_ip", "port": "pacs_port",
		"pacsip": "pacs_ip", "pacs_prot": "pacs_port", "called_ae_title": "pacs_ae_title", "calling_ae_title": "c_find_ae_title",
		"cfind_ae_title": "c_find_ae_title", "study_date_form": "study_date_from", "studyDateTo": "study_date_to",
		"study_instance_uid": "study_instance_uids", "StudyInstanceUID": "study_instance_uids", "accessionNumber": "accession_number",
		"tls": "pacs_tls", "issuer": "issuer_of_patient_id", "issuer_of_patientid": "issuer_of_patient_id",

		"x": "", "name": "", "": "", "zzzzzzzzzz": "", "c_move_ae_title": "", strings.Repeat("modalities", 9): "", "móðalities": "",
	} {
		const value = "77123"
		status, _, body := r.post(t, "/q", with(t, name, `"`+value+`"`), "X-Correlation-ID", "-")
		require.Equal(t, http.StatusBadRequest, status)
		p := problemIn(t, body)
		require.Len(t, p.Errors, 1)
		want := "is not a field of this request"
		if meant != "" {
			want += `; did you mean "` + meant + `"?`
		}
		assert.Equal(t, want, p.Errors[0].Detail, name)
		assert.NotContains(t, body, value)
	}
	_, _, body := r.post(t, "/qr", with(t, "destination", `"DEST"`))
	assert.Contains(t, body, `did you mean \"c_move_ae_title\"?`)
}

func TestProblemDocumentsAreASCII(t *testing.T) {
	r := start(t, &fakeGateway{})
	_, header, body := r.post(t, "/q", with(t, "größe\U0001f600", `1`))
	assert.Equal(t, "application/problem+json", header.Get("Content-Type"))
	assert.False(t, strings.ContainsFunc(body, func(c rune) bool { return c > '~' }), body)
	assert.Equal(t, "/größe\U0001f600", problemIn(t, body).Errors[0].Pointer)
}

func TestJSONAnswersDeclareUTF8(t *testing.T) {
	r := start(t, foundOne())
	for _, path := range []string{"/health", "/ready", "/version", "/openapi.json"} {
		_, header, _ := r.do(t, http.MethodGet, path, nil)
		assert.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"), path)
	}
	_, header, _ := r.post(t, "/q", queryBody)
	assert.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"))
	moved := start(t, narrating(&qr.RetrieveResult{
		Studies: []qr.Study{study(studyUID)}, Retrievals: []qr.Retrieval{{Status: qr.RetrievalOK}},
	}, nil))
	_, header, _ = moved.post(t, "/qr", retrieveBody)
	assert.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"))
	passed := start(t, echoing(&qr.EchoReport{}))
	_, header, _ = passed.post(t, "/echo", queryBody)
	assert.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"))
}

func TestRefusedRequestsSayWhatToSend(t *testing.T) {
	r := start(t, &fakeGateway{})
	detail := func(method, path string, header ...string) string {
		_, _, body := r.do(t, method, path, strings.NewReader(queryBody), header...)
		return problemIn(t, body).Detail
	}
	assert.Contains(t, detail(http.MethodPost, "/q", "Content-Type", "text/plain"), "Send the header Content-Type: application/json.")
	assert.Contains(t, detail(http.MethodPost, "/q", "Content-Type", ""), "Send the header Content-Type: application/json.")
	assert.Contains(t, detail(http.MethodPost, "/echo", "Content-Type", "application/x-www-form-urlencoded"), "Content-Type: application/json")
	assert.Contains(t, detail(http.MethodPost, "/q", "Content-Encoding", "gzip"), "without a content encoding")
	for _, path := range []string{"/q", "/qr", "/echo"} {
		assert.Equal(t, "This route supports only POST. Use POST, with the request as JSON in the body.", detail(http.MethodGet, path), path)
	}
	for _, path := range []string{"/health", "/ready", "/version", "/metrics", "/docs", "/redoc", "/openapi.json", "/"} {
		assert.Equal(t, "This route supports only GET and HEAD. Use GET.", detail(http.MethodPost, path), path)
	}
}

func TestEchoTakesTheBodyOfQueryAndRetrieve(t *testing.T) {
	r := start(t, echoing(&qr.EchoReport{}))
	known := wholeContract(t).Components.Schemas
	for name := range known["RetrieveRequest"].Value.Properties {
		assert.Contains(t, known["EchoRequest"].Value.Properties, name)
	}
	for _, body := range []string{
		queryBody,
		retrieveBody,
		with(t, "modalities", `["CT"]`, "max_years_old", `5`, "max_results", `1`, "study_instance_uids", `["1.2"]`,
			"accession_number", `"A"`, "study_date_from", `"2024-01-31"`, "study_date_to", `"2024-02-28"`, "c_move_ae_title", `"DEST"`),
		// Values of fields that it ignores.
		with(t, "modalities", `"CT"`, "max_years_old", `0`, "patient_id", `"*"`, "study_date_from", `"tomorrow"`, "c_move_ae_title", `{"a":[1]}`),
		with(t, "modalities", `null`, "patient_id", `null`, "pacs_tls", `null`),
		with(t, "study_date_from", `"2024-02-29"`, "study_date_to", `"2024-02-28"`),
	} {
		status, _, answer := r.post(t, "/echo", body)
		assert.Equal(t, http.StatusOK, status, "%s: %s", body, answer)
	}
	for body, pointer := range map[string]string{
		with(t, "modality", `"CT"`):      "/modality",
		with(t, "pacs_port", `0`):        "/pacs_port",
		with(t, "pacs_ae_title", `null`): "/pacs_ae_title",
	} {
		status, _, answer := r.post(t, "/echo", body)
		assert.Equal(t, http.StatusBadRequest, status, body)
		require.Len(t, problemIn(t, answer).Errors, 1)
		assert.Equal(t, pointer, problemIn(t, answer).Errors[0].Pointer)
	}
}

func TestOtherContentTypesAnswer415(t *testing.T) {
	r := start(t, answering(&qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil))
	for _, header := range [][]string{
		{"Content-Type", "text/plain"},
		{"Content-Type", ""},
		{"Content-Type", "application/json; charset=iso-8859-1"},
		{"Content-Type", "application/xml"},
		{"Content-Type", "application/json;;"},
		{"Content-Encoding", "gzip"},
	} {
		status, _, body := r.post(t, "/q", queryBody, header...)
		assert.Equal(t, http.StatusUnsupportedMediaType, status, "%v", header)
		assert.Equal(t, goclient.ProblemCodeUnsupportedMediaType, problemIn(t, body).Code)
	}
	for _, header := range [][]string{
		{"Content-Type", "application/json; charset=UTF-8"},
		{"Content-Type", "Application/JSON"},
		{"Content-Encoding", "identity"},
	} {
		status, _, _ := r.post(t, "/q", queryBody, header...)
		assert.Equal(t, http.StatusOK, status, "%v", header)
	}
}

func TestOtherMethodsAnswer405WithAllow(t *testing.T) {
	r := start(t, &fakeGateway{})
	for path, allow := range map[string]string{
		"/q": "POST", "/qr": "POST", "/echo": "POST", "/health": "GET, HEAD", "/ready": "GET, HEAD", "/version": "GET, HEAD",
		"/metrics": "GET, HEAD", "/": "GET, HEAD", "/docs": "GET, HEAD", "/openapi.yaml": "GET, HEAD",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"} {
			if slices.Contains(strings.Split(allow, ", "), method) {
				continue
			}
			status, header, body := r.do(t, method, path, nil)
			assert.Equal(t, http.StatusMethodNotAllowed, status, "%s %s", method, path)
			assert.Equal(t, allow, header.Get("Allow"), "%s %s", method, path)
			if method != http.MethodHead {
				assert.Equal(t, goclient.ProblemCodeMethodNotAllowed, problemIn(t, body).Code)
			}
		}
	}
}

func TestUnknownRoutesAnswer404(t *testing.T) {
	r := start(t, &fakeGateway{})
	for _, path := range []string{"/nope", "/q/", "/q/1", "//q", "/docs/assets/nope.js", "/%00", "/Q"} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			status, _, body := r.do(t, method, path, nil)
			assert.Equal(t, http.StatusNotFound, status, "%s %s", method, path)
			assert.Equal(t, goclient.ProblemCodeRouteNotFound, problemIn(t, body).Code)
		}
	}
}

func TestCorrelationIDs(t *testing.T) {
	r := start(t, &fakeGateway{})
	for given, kept := range map[string]bool{
		"order-4711": true, "~!{}": true, strings.Repeat("x", 128): true,
		"": false, "with space": false, "\xc3\xa4": false, strings.Repeat("x", 129): false,
	} {
		_, header, body := r.do(t, http.MethodGet, "/health", nil, "X-Correlation-ID", given)
		got := header.Get("X-Correlation-ID")
		assert.Equal(t, kept, got == given, "%q", given)
		assert.True(t, access.ValidCorrelationID(got))
		assert.Contains(t, body, "ok")
	}
	first, second := access.CorrelationID(http.Header{}), access.CorrelationID(http.Header{})
	assert.NotEqual(t, first, second)
	twice := http.Header{"X-Correlation-Id": {"a", "b"}}
	assert.NotContains(t, []string{"a", "b"}, access.CorrelationID(twice))
}

func TestTruncatedBodyAnswers400(t *testing.T) {
	r := start(t, &fakeGateway{})
	connection, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	defer connection.Close()
	_, err = io.WriteString(connection, "POST /q HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
	require.NoError(t, err)
	require.NoError(t, connection.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(connection)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "HTTP/1.1 400")
	assert.Contains(t, string(answer), "did not arrive completely and in time")
}

func TestAcceptHeaders(t *testing.T) {
	for accept, events := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/*": false,
		"text/event-stream": true, "Text/Event-Stream; charset=utf-8": true, "text/event-stream, application/json": true,
		"text/event-stream;q=0": false, "text/event-stream;q=0.5, application/json": false,
		"application/json;q=0.5, text/event-stream;q=0.9": true, "text/event-stream;q=x": false, ",": false,
	} {
		assert.Equal(t, events, prefersEvents([]string{accept}), "%q", accept)
	}
}

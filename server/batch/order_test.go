package batch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/server/problem"
	"dicom-qr-gateway/server/schema"
)

func orderSchema(t testing.TB) *schema.Order {
	t.Helper()
	contract, err := api.GetSpec()
	require.NoError(t, err)
	s, err := schema.NewOrder(contract)
	require.NoError(t, err)
	return s
}

// faultsOf returns the faults of a problem as "pointer detail", with "line:column" in front for CSV.
func faultsOf(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var p *problem.Problem
	require.True(t, errors.As(err, &p), "%v", err)
	var faults []string
	for _, f := range p.Faults {
		var parts []string
		switch {
		case f.Column != nil:
			parts = append(parts, fmt.Sprintf("%d:%d", *f.Line, *f.Column))
		case f.Line != nil:
			parts = append(parts, strconv.Itoa(*f.Line))
		}
		if f.Pointer != "" {
			parts = append(parts, f.Pointer)
		}
		faults = append(faults, strings.Join(append(parts, f.Detail), " "))
	}
	return faults
}

const csvQuery = "pacs=main&c_move_ae_title=DEST"

func TestAnOrderInJSONAndCSVIsTheSame(t *testing.T) {
	s := orderSchema(t)
	want := jobs.Order{
		PACS: "main", Destination: "DEST", DryRun: true, Priority: jobs.High,
		NotBefore: time.Date(2026, 1, 31, 19, 0, 0, 0, time.UTC), Window: &jobs.Window{From: 20 * 60, To: 6 * 60},
		Items: []jobs.Item{{PatientID: "007", AccessionNumber: "A 1"}, {StudyInstanceUID: "1.2.3"}},
	}
	o, err := ReadJSON(s, "", []byte(`{"pacs":"main","c_move_ae_title":" DEST ","dry_run":true,"priority":"high","window":"20:00-06:00",
		"not_before":"2026-01-31T20:00:00+01:00","items":[{"patient_id":"007 ","accession_number":"A 1","max_results":null},{"study_instance_uid":"1.2.3"}]}`))
	require.NoError(t, err, faultsOf(t, err))
	o.NotBefore = o.NotBefore.UTC()
	assert.Equal(t, want, o.Order)

	o, err = ReadCSV(s, "pacs=main&c_move_ae_title=DEST&dry_run=true&priority=high&window=20:00-06:00&not_before=2026-01-31T20:00:00%2B01:00",
		[]byte("\ufeffstudy_instance_uid;accession_number;patient_id\r\n;A 1;007\r\n\r\n1.2.3;;\r\n"))
	require.NoError(t, err, faultsOf(t, err))
	o.NotBefore = o.NotBefore.UTC()
	assert.Equal(t, want, o.Order)
	assert.Equal(t, []int{2, 4}, o.lines)
}

func TestAllFiltersOfAnItem(t *testing.T) {
	o, err := ReadJSON(orderSchema(t), "", []byte(`{"pacs":"main","c_move_ae_title":"DEST","items":[{"patient_id":"1","issuer_of_patient_id":"A",
		"modalities":["CT"," MR"],"max_years_old":5,"max_results":10,"study_instance_uids":["1.2"],"study_date_from":"2024-01-31","study_date_to":"2024-02-01"}]}`))
	require.NoError(t, err, faultsOf(t, err))
	assert.Equal(t, []jobs.Item{{
		PatientID: "1", IssuerOfPatientID: "A", Modalities: []string{"CT", "MR"}, MaxYearsOld: 5, MaxResults: 10,
		StudyInstanceUIDs: []string{"1.2"}, StudyDateFrom: "20240131", StudyDateTo: "20240201",
	}}, o.Items)
}

func TestFaultsOfAnOrderInJSON(t *testing.T) {
	s := orderSchema(t)
	const head = `{"pacs":"main","c_move_ae_title":"DEST","items":[`
	for name, test := range map[string]struct {
		query, body string
		faults      []string
	}{
		"nothing":        {"", "{}", []string{"/c_move_ae_title is required unless dry_run is true", "/items is required", "/pacs is required"}},
		"no object":      {"", "[]", []string{"must be an object"}},
		"no JSON":        {"", "{", []string{"is not one valid JSON value: fault at byte 1"}},
		"no items":       {"", head + "]}", []string{"/items must be an array of 1 to 10000 items"}},
		"items null":     {"", `{"pacs":"main","dry_run":true,"items":null}`, []string{"/items must be an array of 1 to 10000 items"}},
		"items no array": {"", `{"pacs":"main","dry_run":true,"items":{}}`, []string{"/items must be an array of 1 to 10000 items"}},
		"item no object": {"", head + `"1"]}`, []string{"/items/0 must be an object"}},
		"item empty":     {"", head + `{}]}`, []string{"/items/0 must have patient_id, accession_number or study_instance_uid"}},
		"query parameter": {"pacs=main&x=1", head + `{"patient_id":"1"}]}`, []string{
			"/pacs is a parameter for CSV; give it as a field of the body", "/x is a parameter for CSV; give it as a field of the body",
		}},
		"other fields": {"", `{"pacs":"Main","c_move_ae_title":"","dry_run":"yes","not_before":"tonight","window":"20:00-20:00","priority":"urgent","item":1,"items":[{"patient_id":"1"}]}`, []string{
			"/c_move_ae_title must be a string of 1 to 16 printable ASCII characters, without a backslash and not only spaces",
			"/dry_run must be true or false", "/item is not a field of this request",
			"/not_before must be a date and time with its offset, such as 2026-01-31T20:00:00+01:00",
			"/pacs must be the name of a PACS: 1 to 63 lower-case letters, digits and hyphens, the first one no hyphen",
			"/priority must be one of: low, normal, high", "/window must be hours of the day such as 20:00-06:00, with another end than beginning",
		}},
		"filters": {"", head + `{"accession_number":"1","modalities":["CT"]},{"patient_id":"1","study_instance_uid":"1.2","study_instance_uids":["1.2"]},{"patient_id":"1","study_date_from":"2024-02-01","study_date_to":"2024-01-01"}]}`, []string{
			"/items/0/modalities needs patient_id", "/items/1/study_instance_uids must not be given together with study_instance_uid",
			"/items/2/study_date_to must not be before study_date_from",
		}},
		"twice": {"", head + `{"patient_id":"1"},{"patient_id":"2"},{"patient_id":"1 ","issuer_of_patient_id":null},{"patient_id":"1","patient_id":"2"}]}`, []string{
			"/items/2 is the same as /items/0", "/items/3 is the same as /items/1", "/items/3/patient_id is given more than once",
		}},
		"too many":        {"", head + strings.Repeat(`{"patient_id":"1"},`, 10_000) + `{}]}`, []string{"/items must be an array of at most 10000 items"}},
		"too many fields": {"", head + `{` + manyFields(100) + `}]}`, []string{"/items/0 has more than 40 fields"}},
		"too many values": {"", head + strings.TrimSuffix(strings.Repeat("["+strings.Repeat("1,", 9_999)+"1],", 31), ",") + `]}`, []string{"has more than 300000 values"}},
		"too deep":        {"", head + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `]}`, []string{"is nested too deeply"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadJSON(s, test.query, []byte(test.body))
			assert.Equal(t, test.faults, faultsOf(t, err))
		})
	}
}

func manyFields(n int) string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"f%d":1`, i)
	}
	return strings.Join(fields, ",")
}

func TestFaultsOfAnOrderInCSV(t *testing.T) {
	s := orderSchema(t)
	const needed = "the first line must name at least one of the columns patient_id, accession_number and study_instance_uid"
	const uid = "must be a DICOM unique identifier: groups of digits with dots between them, at most 64 characters"
	for name, test := range map[string]struct {
		query, body string
		faults      []string
	}{
		"nothing":            {"", "", []string{needed, "/c_move_ae_title is required unless dry_run is true", "/pacs is required"}},
		"no items":           {csvQuery, "patient_id\n\n", []string{"/items must be an array of 1 to 10000 items"}},
		"no header":          {csvQuery, "0815\n4711\n", []string{"1:1 is not a column of this request"}},
		"only other columns": {csvQuery, "item,state\n1,failed\n", []string{"1 " + needed}},
		"columns": {csvQuery, "patient_id,accession,patient_id,,StudyInstanceUID\n1,2,3,4,5\n", []string{
			`1:2 is not a column of this request; did you mean "accession_number"?`, "1:3 is the name of an earlier column", "1:4 has no name",
			`1:5 is not a column of this request; did you mean "study_instance_uid"?`,
		}},
		"header in quotes": {csvQuery, "\"patient_id\n1\n", []string{"1:1 has no closing quotation mark"}},
		"parameters": {"pacs=main&pacs=x&c_move_ae_title=%zz&dryrun=1&window=20-6&dry_run=1&%zz=1", "patient_id\n1\n", []string{
			"/? is a name that is not valid UTF-8 in percent-encoding", "/c_move_ae_title must be UTF-8 in percent-encoding",
			"/c_move_ae_title is required unless dry_run is true", "/dry_run must be true or false",
			`/dryrun is not a parameter of this request; did you mean "dry_run"?`, "/pacs is given more than once",
			"/window must be hours of the day such as 20:00-06:00, with another end than beginning",
		}},
		"cells": {csvQuery, "patient_id,study_instance_uid\n1*,1..2\n2,1.2\n\xff,1.3\n,\n2 , 1.2\n", []string{
			"2:1 /items/0/patient_id must be a string of 1 to 64 characters, without wildcards, backslash or control characters and not only spaces",
			"2:2 /items/0/study_instance_uid " + uid, "4:1 /items/2/patient_id is not valid UTF-8; save the file as CSV UTF-8",
			"6 /items/3 is the same as line 3",
		}},
		"shape": {csvQuery, "patient_id,accession_number\n1\n1,2,3\n\"1\"x,2\n\"1,2\n", []string{
			"2 /items/0 has fewer columns than the first line", "3 /items/1 has more columns than the first line",
			"4:1 /items/2/patient_id has text after its closing quotation mark", "5 /items/3 has a field without a closing quotation mark",
		}},
		"UTF-16":   {csvQuery, "\xff\xfep\x00", []string{"is UTF-16; save the file as CSV UTF-8"}},
		"too many": {csvQuery, "patient_id\n" + numbers(10_001), []string{"10002 /items must be an array of 1 to 10000 items"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadCSV(s, test.query, []byte(test.body))
			assert.Equal(t, test.faults, faultsOf(t, err))
		})
	}
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

func TestOfManyFaultsTheFirstAreListedAndAllCounted(t *testing.T) {
	s := orderSchema(t)
	_, err := ReadCSV(s, csvQuery, []byte("patient_id\n"+strings.Repeat("*\n", 250)))
	var p *problem.Problem
	require.True(t, errors.As(err, &p))
	assert.Len(t, p.Faults, 100)
	assert.Equal(t, "The request has 250 faults, of which the first 100 are named.", p.Detail)
	assert.Equal(t, "/items/99/patient_id", p.Faults[99].Pointer)

	_, err = ReadCSV(s, csvQuery, []byte("patient_id\n"+strings.Repeat("*\n", 5000)))
	require.True(t, errors.As(err, &p))
	assert.Equal(t, "The request has 1000 faults or more, of which the first 100 are named.", p.Detail)
	item := "{" + manyFields(30) + "},"
	_, err = ReadJSON(s, "", []byte(`{"pacs":"main","dry_run":true,"items":[`+strings.Repeat(item, 5000)+`{}]}`))
	require.True(t, errors.As(err, &p))
	assert.Equal(t, "The request has 1000 faults or more, of which the first 100 are named.", p.Detail)

	twice := strings.TrimSuffix(strings.Repeat(`"pacs":"main",`, 300), ",")
	_, err = ReadJSON(s, "", []byte(`{`+twice+`,"dry_run":true,"items":[{"patient_id":"1"}]}`))
	require.True(t, errors.As(err, &p))
	assert.Equal(t, "The request has 299 faults, of which the first 100 are named.", p.Detail)
}

func TestAQueryStringHasFewParameters(t *testing.T) {
	_, err := ReadQuery(List, strings.Repeat("a=1&", 1000))
	assert.Contains(t, faultsOf(t, err), "has more than 20 parameters")
	assert.Len(t, faultsOf(t, err), 21)
}

func TestFaultsNeverHoldAValue(t *testing.T) {
	const secret = "SECRET^PLANTED"
	s := orderSchema(t)
	for _, body := range []string{
		`{"pacs":"` + secret + `","window":"` + secret + `","items":[{"patient_id":"` + secret + `*","modalities":["` + secret + `"]},"` + secret + `"]}`,
		`{"items":[{"patient_id":"` + secret + `"},{"patient_id":"` + secret + `"}]}`,
	} {
		_, err := ReadJSON(s, "", []byte(body))
		assert.NotContains(t, strings.Join(faultsOf(t, err), "\n"), secret)
	}
	_, err := ReadCSV(s, "pacs="+secret, []byte("patient_id\n"+secret+"*\n\""+secret+"\"x\n"+secret+"\n"+secret+"\n"))
	assert.NotContains(t, strings.Join(faultsOf(t, err), "\n"), secret)
}

func TestHeaderFieldsOfJobs(t *testing.T) {
	for _, valid := range []string{"1", strings.Repeat("~", 128)} {
		key, err := IdempotencyKey(http.Header{"Idempotency-Key": {valid}})
		require.NoError(t, err)
		assert.Equal(t, valid, key)
	}
	for _, invalid := range [][]string{{""}, {"a b"}, {"é"}, {"a", "b"}, {strings.Repeat("1", 129)}} {
		_, err := IdempotencyKey(http.Header{"Idempotency-Key": invalid})
		assert.Len(t, faultsOf(t, err), 1)
	}
	after, err := LastEventID(http.Header{})
	require.NoError(t, err)
	assert.Equal(t, jobs.Now, after)
	after, err = LastEventID(http.Header{"Last-Event-Id": {"42"}})
	require.NoError(t, err)
	assert.Equal(t, uint64(42), after)
}

func TestCSVIsPreferredOnlyIfAcceptNamesIt(t *testing.T) {
	for accept, want := range map[string]MediaType{
		"": JSON, "*/*": JSON, "text/*": JSON, "text/csv": CSV, "application/json": JSON, "application/json, text/csv;q=0.5": JSON,
		"application/json;q=0.5, text/csv;q=0.5": CSV, "text/csv;q=0": JSON, "text/csv;q=x": JSON, ";": JSON, "text/csv; header=present": CSV,
	} {
		assert.Equal(t, want, Preferred([]string{accept}), accept)
	}
}

// FuzzOrder checks that no body makes the reader panic, and that a faultless order can be written again.
func FuzzOrder(f *testing.F) {
	s := orderSchema(f)
	f.Add([]byte(`{"pacs":"main","c_move_ae_title":"DEST","items":[{"patient_id":"1"}]}`), false)
	f.Add([]byte(`{"pacs":"main","dry_run":true,"items":[{"patient_id":"1","modalities":["CT"]},null,[],{"a":{}}]}`), false)
	f.Add([]byte("patient_id,accession_number\r\n1,\"2\"\r\n"), true)
	f.Add([]byte("item;patient_id;state\n1;'=1;failed\n"), true)
	f.Fuzz(func(t *testing.T, body []byte, table bool) {
		read, query := ReadJSON, ""
		if table {
			read, query = ReadCSV, csvQuery
		}
		o, err := read(s, query, body)
		if err != nil {
			if len(faultsOf(t, err)) == 0 {
				t.Fatal("a problem without faults")
			}
			return
		}
		if len(o.Items) == 0 || table && len(o.Items) != len(o.lines) {
			t.Fatalf("%d items, %d lines", len(o.Items), len(o.lines))
		}
		if _, err := json.Marshal(o.Order); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkReadCSV(b *testing.B) {
	s := orderSchema(b)
	var body strings.Builder
	body.WriteString("patient_id,accession_number,study_instance_uid\n")
	for i := range 10_000 {
		fmt.Fprintf(&body, "%d,ACC-%d,2.25.%d\n", i, i, i)
	}
	for b.Loop() {
		if _, err := ReadCSV(s, csvQuery, []byte(body.String())); err != nil {
			b.Fatal(err)
		}
	}
}

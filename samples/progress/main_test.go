package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	matched = `event: matched
data: {"operation":"C-MOVE","total_count":1,"patient_id":"1","study_details":[{"StudyInstanceUID":"1.2","StudyDescription":"CT HEAD","StudyDate":"20250101"}],"warnings":[]}

`
	progress = `event: progress
data: {"StudyInstanceUID":"1.2","study_index":1,"study_count":1,"remaining":1,"completed":2,"failed":0,"warning":null,"completed_total":2,"failed_total":0}

: still moving

`
	retrieved = `event: retrieved
data: {"StudyInstanceUID":"1.2","status":"partial","dicom_status":"B000","completed":2,"failed":1,"warning":0,"failed_sop_instance_uids":[]}

`
	partly  = "event: result\ndata: {\"message\":\"The study was moved in part.\",\"http_status\":207}\n\n"
	wholly  = "event: result\ndata: {\"message\":\"The study was moved.\",\"http_status\":200}\n\n"
	refused = `{"detail":"The PACS does not know the move destination.","code":"move_destination_unknown"}`
)

func TestWhatIsShown(t *testing.T) {
	for _, test := range []struct{ name, stream, shows, fails string }{
		{"moved", matched + progress + wholly, "The study was moved.", ""},
		{"moved in part", matched + progress + retrieved + partly, "CT HEAD", "The study was moved in part."},
		{"outcome", matched + retrieved + partly, "partial", "The study was moved in part."},
		{"a bar", matched + progress + wholly, "(2/3)", ""},
		{"refused", matched + "event: error\ndata: " + refused + "\n\n", "", "move_destination_unknown"},
		{"broken off", matched + progress, "", "broke off"},
		{"no JSON", "event: progress\ndata: ?\n\n", "", "invalid character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if accept := r.Header.Get("Accept"); accept != "text/event-stream" {
					t.Errorf("Accept: %s", accept)
				}
				_, _ = io.WriteString(w, test.stream)
			}))
			defer gateway.Close()
			var out strings.Builder
			err := run(context.Background(), []string{"-gateway", gateway.URL}, &out)
			if !strings.Contains(out.String(), test.shows) {
				t.Errorf("%q lacks %q", out.String(), test.shows)
			}
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("error %v, want %q", err, test.fails)
			}
		})
	}
}

func TestARefusalBeforeTheStream(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, refused)
	}))
	defer gateway.Close()
	err := run(context.Background(), []string{"-gateway", gateway.URL}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "does not know the move destination") {
		t.Errorf("error %v", err)
	}
}

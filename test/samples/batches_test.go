//go:build samples

package samples

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// batchAnswers are what a server makes of a list, and what the program must make of that.
var batchAnswers = map[string]struct {
	status  int    // of POST /jobs; zero: the job is filed
	problem string // its problem document
	html    bool   // the answer is not from a gateway
	streams []string
	csv     int // status of the result; zero: 200
	exit    int
	stderr  string
	result  bool // there is a file with the result
}{
	"moved":         {streams: []string{jobEvent("job", 0, 2) + jobEvent("item", 1, 2) + jobEvent("finished", 2, 2)}, result: true},
	"not-all":       {streams: []string{jobEvent("job", 0, 2) + jobEvent("finished", 1, 2)}, exit: 3, stderr: "not everything was moved", result: true},
	"cut":           {streams: []string{jobEvent("job", 1, 2), jobEvent("item", 2, 2) + jobEvent("finished", 2, 2)}, result: true},
	"refused":       {status: 400, problem: `{"status": 400, "code": "invalid_request", "detail": "1 fault.", "errors": [{"pointer": "/items/1/patient_id", "detail": "is wrong", "line": 3, "column": 2}]}`, exit: 5, stderr: "  line 3, column 2: is wrong"},
	"unknown":       {status: 400, problem: problemOf(400, "pacs_unknown"), exit: 5, stderr: "pacs_unknown"},
	"disabled":      {status: 501, problem: `{"status": 501, "code": "jobs_disabled", "detail": "No jobs.", "hint": "Set NATS_URL."}`, exit: 5, stderr: "  Set NATS_URL."},
	"too-many":      {status: 429, problem: problemOf(429, "too_many_jobs"), exit: 7, stderr: "retrying in 0s"},
	"unavailable":   {status: 503, problem: problemOf(503, "jobs_unavailable"), exit: 7},
	"html":          {html: true, exit: 1, stderr: "the reply is not from the gateway"},
	"gone":          {streams: []string{""}, exit: 4, stderr: "job_not_found"},
	"no-result":     {streams: []string{jobEvent("job", 2, 2) + jobEvent("finished", 2, 2)}, csv: 500, exit: 1},
	"foreign-event": {streams: []string{"event: job\ndata: {}\n\n"}, exit: 1, stderr: "the reply is not from the gateway"},
}

const batchResult = "item,state\n1,moved\n2,moved\n"

// jobEvent is an event of a job of which so many items were moved, or of its item of that number.
func jobEvent(kind string, moved, items int) string {
	data := job(moved, items)
	if kind == "item" {
		data = fmt.Sprintf(`{"item": %d, "state": "moved", "attempts": 1}`, moved)
	}
	return fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", 40+moved, kind, data)
}

func job(moved, items int) string {
	return fmt.Sprintf(`{"job": "0192f3c4", "state": "running", "counts": {"items": %d, "queued": %d, "running": 0, "waiting": 0,`+
		` "moved": %d, "partial": 0, "failed": 0, "no_study_matched": 0, "cancelled": 0, "found": 0}}`, items, items-moved, moved)
}

// startBatches is the command "batches ANSWER...": it runs the client against a server with each answer, and checks its exit status and
// the result that it writes.
func startBatches(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: batches ANSWER...")
	}
	for _, name := range args {
		answer, ok := batchAnswers[name]
		if !ok {
			ts.Fatalf("no answer %q", name)
		}
		connections := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			problem := func(status int, document string) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, document)
			}
			switch {
			case answer.html:
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, "<h1>Log in</h1>")
			case r.Method == http.MethodPost && answer.status != 0:
				problem(answer.status, answer.problem)
			case r.Method == http.MethodPost:
				if r.URL.RequestURI() != "/jobs?pacs=main&c_move_ae_title=DEST" || string(body) != "patient_id\n1\n2\n" || r.Header.Get("Idempotency-Key") == "" {
					problem(http.StatusBadRequest, problemOf(http.StatusBadRequest, "invalid_request"))
					return
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, job(0, 2))
			case r.URL.Path == "/jobs/0192f3c4/events":
				stream := answer.streams[min(connections, len(answer.streams)-1)]
				if want := map[bool]string{true: "41"}[connections > 0]; stream == "" || r.Header.Get("Last-Event-ID") != want {
					problem(http.StatusNotFound, problemOf(http.StatusNotFound, "job_not_found"))
					return
				}
				connections++
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, stream)
			case answer.csv != 0:
				problem(answer.csv, problemOf(answer.csv, "internal_error"))
			default:
				w.Header().Set("Content-Type", "text/csv; charset=utf-8")
				_, _ = io.WriteString(w, batchResult)
			}
		}))
		result := ts.MkAbs(name + ".csv")
		err := ts.Exec("client", "submit", server.URL, "main", "DEST", ts.MkAbs("list.csv"), result)
		server.Close()
		status := "0"
		if err != nil {
			status = strings.TrimPrefix(err.Error(), "exit status ")
		}
		if status != strconv.Itoa(answer.exit) {
			ts.Fatalf("%s: exit status %s, want %d", name, status, answer.exit)
		}
		if !strings.Contains(ts.ReadFile("stderr"), answer.stderr) {
			ts.Fatalf("%s: standard error lacks %q", name, answer.stderr)
		}
		requireResult(ts, result, answer.result)
	}
}

func requireResult(ts *testscript.TestScript, file string, exists bool) {
	if exists != fileExists(file) {
		ts.Fatalf("the file %s exists: %v", file, !exists)
	}
	if exists && ts.ReadFile(file) != batchResult {
		ts.Fatalf("%s has %q", file, ts.ReadFile(file))
	}
}

func fileExists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

//go:build samples

package samples

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

const (
	partHeader = "--b\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n\r\n"
	oneFile    = partHeader + "one\r\n"
	lastPart   = "--b\r\nContent-Type: application/problem+json\r\n\r\n" +
		`{"code": "retrieve_incomplete", "missing_sop_instance_uids": ["1.2.3.4"]}` + "\r\n"
	closingBoundary = "--b--\r\n"
)

// retrieveAnswers are answers to the retrieval of a study of two instances, and what the program must make of them.
var retrieveAnswers = map[string]struct {
	status      int    // zero: 200
	contentType string // "": multipart/related
	body        string
	cut         bool // the connection is broken off behind the body
	exit        int
	files       int // that are left in the folder
	stderr      string
}{
	"complete":               {body: oneFile + oneFile + closingBoundary, files: 2},
	"lenient":                {body: oneFile + lastPart + closingBoundary, exit: 3, files: 1, stderr: "missing: 1.2.3.4"},
	"lenient-206":            {status: 206, body: oneFile + lastPart + closingBoundary, exit: 3, files: 1, stderr: "missing: 1.2.3.4"},
	"cut-in-instance":        {body: oneFile + partHeader + "tw", cut: true, exit: 3, files: 1},
	"cut-between":            {body: oneFile + "--b\r\n", cut: true, exit: 3, files: 1},
	"cut-at-once":            {cut: true, exit: 3},
	"cut-after-the-boundary": {body: oneFile + closingBoundary, cut: true, exit: 3, files: 1},
	"ended-in-instance":      {body: oneFile + partHeader + "tw", exit: 3, files: 1},
	"ended-without-boundary": {body: oneFile, exit: 3},
	"html":                   {contentType: "text/html", body: "<h1>Log in</h1>", exit: 1, stderr: "the reply is not from the gateway"},
	"not-found":              {status: 404, contentType: "application/problem+json", body: problemOf(404, "not_found"), exit: 4, stderr: "not_found"},
	"pacs-unknown":           {status: 404, contentType: "application/problem+json", body: problemOf(404, "pacs_unknown"), exit: 5, stderr: "pacs_unknown"},
	"incomplete":             {status: 502, contentType: "application/problem+json", body: problemOf(502, "retrieve_incomplete"), exit: 6},
	"timeout":                {status: 504, contentType: "application/problem+json", body: problemOf(504, "dimse_timeout"), exit: 6},
	"unauthorized":           {status: 401, contentType: "application/problem+json", body: problemOf(401, "unauthorized"), exit: 5}, //nolint:misspell // the code
	"route-not-found":        {status: 404, contentType: "application/problem+json", body: problemOf(404, "route_not_found"), exit: 1},
}

func problemOf(status int, code string) string {
	return fmt.Sprintf(`{"status": %d, "code": %q, "detail": "It failed."}`, status, code)
}

// startAnswers is the command "answers ANSWER...": it runs the client against a server with each answer, and checks its exit status and
// the files that it leaves.
func startAnswers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: answers ANSWER...")
	}
	for _, name := range args {
		answer, ok := retrieveAnswers[name]
		if !ok {
			ts.Fatalf("no answer %q", name)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/dicomweb/main/studies" {
				w.Header().Set("Content-Type", "application/dicom+json")
				_, _ = io.WriteString(w, `[{"00201208": {"vr": "IS", "Value": [2]}}]`)
				return
			}
			if answer.contentType != "" {
				w.Header().Set("Content-Type", answer.contentType)
			} else {
				w.Header().Set("Content-Type", `multipart/related; type="application/dicom"; boundary=b`)
			}
			w.WriteHeader(max(answer.status, http.StatusOK))
			_, _ = io.WriteString(w, answer.body)
			if answer.cut {
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
		}))
		folder := ts.MkAbs(name)
		err := ts.Exec("client", server.URL, "main", "1.2.3", folder)
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
		files, err := os.ReadDir(folder)
		ts.Check(err)
		if len(files) != answer.files {
			ts.Fatalf("%s: %d files, want %d", name, len(files), answer.files)
		}
		for _, file := range files {
			if content := ts.ReadFile(filepath.Join(folder, file.Name())); content != "one" {
				ts.Fatalf("%s: %s has %q", name, file.Name(), content)
			}
		}
	}
}

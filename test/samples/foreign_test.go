//go:build samples

package samples

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// foreign is an HTTP server that is not the gateway. It answers /NAME/q and /NAME/qr with the answer of that name; to a client
// that asks for a stream of events, an answer of type json is the last event.
type foreign struct {
	host     string // for redirects: another name of the server
	followed atomic.Int32
}

var foreignAnswers = map[string]struct {
	status            int
	contentType, body string
}{
	"html":          {http.StatusOK, "text/html", "<h1>Log in</h1>"},
	"error":         {http.StatusInternalServerError, "application/json", "{}"},
	"problem":       {http.StatusNotFound, "application/problem+json", "{"},
	"problem-list":  {http.StatusNotFound, "application/problem+json", "[]"},
	"problem-empty": {http.StatusNotFound, "application/problem+json", ""},
	"broken":        {http.StatusOK, "json", `{"study_details": [`},
	"list":          {http.StatusOK, "json", "[]"},
	"object":        {http.StatusOK, "json", "{}"},
	"half":          {http.StatusOK, "json", `{"study_details": []}`},
	"empty":         {http.StatusOK, "application/json", ""},
	"elsewhere":     {http.StatusOK, "application/json", `{"study_details": [], "warnings": []}`},
	"found":         {http.StatusFound, "", ""},
	"moved":         {http.StatusTemporaryRedirect, "", ""},
}

func (f *foreign) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	name, route, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	answer, contentType := foreignAnswers[name], "application/json"
	body := answer.body
	switch {
	case answer.contentType != "json":
		contentType = answer.contentType
	case r.Header.Get("Accept") == "text/event-stream":
		contentType = "text/event-stream"
		body = fmt.Sprintf("event: matched\ndata: {\"study_details\": [], \"warnings\": []}\n\nevent: result\ndata: %s\n\n", body)
	}
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	} else {
		w.Header().Set("Location", "http://"+f.host+"/elsewhere/"+route)
	}
	if name == "elsewhere" {
		f.followed.Add(1)
	}
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, body)
}

// startForeign is the command "foreign ANSWER...": it runs the client against each answer of a foreign server, with find and
// with retrieve. The client must say that the answer is not the gateway's, with exit status 1, and must not follow redirects.
func startForeign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: foreign ANSWER...")
	}
	f := &foreign{}
	server := httptest.NewServer(f)
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	ts.Check(err)
	f.host = net.JoinHostPort("localhost", port)
	for _, name := range args {
		if _, ok := foreignAnswers[name]; !ok {
			ts.Fatalf("no answer %q", name)
		}
		for _, operation := range [][]string{{"find"}, {"retrieve", "ORTHANCB"}} {
			arguments := append([]string{
				"GATEWAY_API_KEY=secret", "client", operation[0], server.URL + "/" + name, "ORTHANCA@127.0.0.1:4242", "1112223333",
			}, operation[1:]...)
			err := ts.Exec("env", arguments...)
			if said := ts.ReadFile("stderr"); err == nil || err.Error() != "exit status 1" || !strings.Contains(said, "the reply is not from the gateway") {
				ts.Fatalf("%s of %s: %v\n%s", operation[0], name, err, said)
			}
		}
	}
	if n := f.followed.Load(); n > 0 {
		ts.Fatalf("%d redirects were followed", n)
	}
}

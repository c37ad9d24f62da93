// Command floor does the least work that POST /q can be: for each request a TCP connection with a recorded A-ASSOCIATE-RQ, C-FIND-RQ
// and A-RELEASE-RQ. It reads the responses to the final one and sends a recorded answer. It decodes no data set and checks nothing.
// A program that validates, decodes and encodes cannot be faster, so the figures of the gateway are given as ratios to it. With
// -reuse it keeps and reuses associations.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	pacs := flag.String("pacs", "", "address of the PACS")
	address := flag.String("http", "127.0.0.1:0", "address to listen on")
	reuse := flag.Bool("reuse", false, "keep associations")
	flag.Parse()
	f := &floor{pacs: *pacs, reuse: *reuse, idle: make(chan *association, 1024)}
	server := &http.Server{Addr: *address, Handler: f.handler(), ReadHeaderTimeout: time.Minute}
	if err := server.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// recorded is an answer of the size of one with ten studies.
var recorded = []byte(`{"operation":"C-FIND","status":"ok","study_details":[]}` + strings.Repeat(" ", 3000))

func (f *floor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /q", func(w http.ResponseWriter, r *http.Request) {
		var query struct {
			PatientID string `json:"patient_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&query); err != nil {
			http.Error(w, "not a query", http.StatusBadRequest)
			return
		}
		if err := f.find(query.PatientID); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(recorded)
	})
	return mux
}

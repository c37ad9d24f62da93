// Command retrievefloor does the least work that retrieving a study over HTTP can be: for each request a TCP connection with a recorded
// A-ASSOCIATE-RQ and C-GET-RQ. It writes the data sets of the C-STOREs to the answer while they arrive, answers each with success, and decodes
// none. It knows CT images in Explicit VR Little Endian and nothing else. A program that checks what arrives, and proves that everything did,
// cannot be faster, so the figures of the gateway are given as ratios to it.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	pacs := flag.String("pacs", "", "address of the PACS")
	called := flag.String("aet", "PACS", "called AE title")
	address := flag.String("http", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	server := &http.Server{Addr: *address, Handler: handler(*pacs, *called), ReadHeaderTimeout: time.Minute}
	if err := server.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func handler(pacs, called string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /studies/{study}", func(w http.ResponseWriter, r *http.Request) {
		a, err := associate(r.Context(), pacs, called)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = a.conn.Close() }()
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := a.get(w, r.PathValue("study")); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	return mux
}

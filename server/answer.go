package server

import (
	"net/http"
	"strconv"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/listener"
)

// queryAnswer is the 200 of POST /q. Its bytes are those that encoding/json writes for an api.QueryResponse. For 1000 studies it
// takes 0.14 ms, and encoding/json takes 0.67 ms, of the 2.2 ms of the whole request on loopback.
type queryAnswer struct {
	patientID  string
	result     *qr.QueryResult
	memory     *budget.Account      // of the result; closed once it is sent
	connection *listener.Connection // on which the answer is sent; nil: not known
}

// VisitQueryResponse writes the answer. A short one has a Content-Length and leaves in one part.
func (a queryAnswer) VisitQueryResponse(w http.ResponseWriter) error {
	defer a.memory.Close()
	h := w.Header()
	h.Set("Content-Type", jsonUTF8)
	j := newJSONWriter(w)
	defer j.close()
	j.text(`{"operation":"`, string(api.CFIND), `","status":"`, string(api.QueryResponseStatusOk), `"`)
	j.member(`,"patient_id":`, a.patientID)
	j.studies(a.result.Studies)
	j.value(`,"warnings":`, warningsOf(a.result.Warnings))
	j.text("}\n")
	if !j.sent {
		h.Set("Content-Length", strconv.Itoa(len(j.b)))
		a.connection.Hold(minHeadLength + len(j.b))
		w.WriteHeader(http.StatusOK)
	}
	return j.flush()
}

// retrieveAnswer is the 200 or 207 of POST /qr. Its bytes are those that encoding/json writes for an api.RetrieveResponse.
type retrieveAnswer struct {
	status    int // 200 or 207
	message   string
	succeeded int
	patientID string
	result    *qr.RetrieveResult
	release   func() // of the memory of the result; called once it is sent
}

// VisitRetrieveResponse writes the answer.
func (a *retrieveAnswer) VisitRetrieveResponse(w http.ResponseWriter) error {
	defer a.release()
	h := w.Header()
	h.Set("Content-Type", jsonUTF8)
	j := newJSONWriter(&statusWriter{ResponseWriter: w, status: a.status})
	defer j.close()
	a.write(j)
	j.text("}\n")
	if !j.sent {
		h.Set("Content-Length", strconv.Itoa(len(j.b)))
	}
	return j.flush()
}

// write writes the answer without its last brace.
func (a *retrieveAnswer) write(j *jsonWriter) {
	status := api.RetrieveResponseStatusPartial
	if a.status == http.StatusOK {
		status = api.RetrieveResponseStatusOk
	}
	total := len(a.result.Studies)
	j.text(`{"operation":"`, string(api.RetrieveResponseOperationCMOVE), `","status":"`, string(status), `"`)
	j.member(`,"message":`, a.message)
	j.number(`,"success_count":`, &a.succeeded)
	j.number(`,"total_count":`, &total)
	j.member(`,"patient_id":`, a.patientID)
	j.studies(a.result.Studies)
	j.value(`,"warnings":`, warningsOf(a.result.Warnings))
	j.retrievals(a.result.Retrievals)
}

// statusWriter writes the status before the first part.
type statusWriter struct {
	http.ResponseWriter
	status int
	begun  bool
}

// Write writes a part.
func (w *statusWriter) Write(part []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.WriteHeader(w.status)
	}
	return w.ResponseWriter.Write(part)
}

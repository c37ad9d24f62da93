package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/problem"
)

// Retrieve finds studies as Query does and moves each of them with C-MOVE. It answers when all are done.
func (h *handlers) Retrieve(ctx context.Context, request api.RetrieveRequestObject) (api.RetrieveResponseObject, error) {
	r, err := h.retrieval(ctx, request.Body)
	if err != nil {
		return nil, err
	}
	answer, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// RetrieveEvents is Retrieve with a stream of events as its answer.
func (h *handlers) RetrieveEvents(ctx context.Context, request api.RetrieveRequestObject) (api.RetrieveResponseObject, error) {
	r, err := h.retrieval(ctx, request.Body)
	if err != nil {
		return nil, err
	}
	return newEventStream(ctx, r), nil
}

func (h *handlers) retrieval(ctx context.Context, body *api.RetrieveRequest) (retrieval, error) {
	r := retrieval{
		destination: trimPadding(body.CMoveAETitle),
		filter: filterOf(&api.QueryRequest{
			PatientID:         body.PatientID,
			Modalities:        body.Modalities,
			MaxYearsOld:       body.MaxYearsOld,
			MaxResults:        body.MaxResults,
			StudyInstanceUIDs: body.StudyInstanceUIDs,
			AccessionNumber:   body.AccessionNumber,
			IssuerOfPatientID: body.IssuerOfPatientID,
			StudyDateFrom:     body.StudyDateFrom,
			StudyDateTo:       body.StudyDateTo,
		}),
	}
	peer, err := h.peer(ctx, pacsOf{body.PACS, body.PACSIP, body.PACSPort, body.PACSAETitle, body.CFindAETitle, body.PACSTLS}, r.filter.PatientID)
	if err != nil {
		return retrieval{}, err
	}
	r.task = h.task(ctx, peer, r.filter.PatientID)
	return r, nil
}

// retrieval is a request to POST /qr in the terms of package qr.
type retrieval struct {
	task        *task
	filter      qr.Filter
	destination string
}

// run retrieves. It returns the answer, which the caller must release, or an error if nothing was moved.
func (r *retrieval) run(ctx context.Context) (*retrieveAnswer, error) {
	answered := false
	defer r.task.releaseUnless(&answered)
	answer, err := r.outcome(ctx)
	answered = err == nil
	return answer, err
}

func (r *retrieval) outcome(ctx context.Context) (*retrieveAnswer, error) {
	result, err := r.task.retrieve(ctx, r.filter, r.destination)
	if err != nil {
		return nil, err
	}
	answer := &retrieveAnswer{
		succeeded: result.Succeeded(), patientID: r.filter.PatientID, result: result, release: r.task.memory.Close,
	}
	switch {
	case len(result.Studies) == 0:
		return nil, noStudyMatched(result.Warnings)
	case answer.succeeded == len(result.Studies):
		answer.status, answer.message = http.StatusOK, allMoved(answer.succeeded)
		return answer, nil
	case result.Moved():
		answer.status, answer.message = http.StatusMultiStatus, partlyMoved(result.Retrievals)
		return answer, nil
	}
	return nil, problem.NothingMoved(ctx, result.Err, r.task.peer.TLS)
}

func allMoved(n int) string {
	if n == 1 {
		return "The study was moved."
	}
	return fmt.Sprintf("All %d studies were moved.", n)
}

func partlyMoved(retrievals []qr.Retrieval) string {
	if len(retrievals) == 1 {
		return "The study was moved in part."
	}
	count := map[qr.RetrievalStatus]int{}
	for i := range retrievals {
		count[retrievals[i].Status]++
	}
	var parts []string
	for _, part := range []struct {
		n    int
		text string
	}{
		{count[qr.RetrievalOK], "completely"},
		{count[qr.RetrievalPartial], "in part"},
		{count[qr.RetrievalFailed], "failed"},
		{count[qr.RetrievalCancelled], "cancelled"},
		{count[qr.RetrievalNotAttempted], "not attempted"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.text))
		}
	}
	return fmt.Sprintf("Not everything was moved: of %d studies %s.", len(retrievals), strings.Join(parts, ", "))
}

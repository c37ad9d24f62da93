package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/problem"
)

// Retrieve finds studies as Query does and moves each of them with C-MOVE. It answers when all are done.
func (h *handlers) Retrieve(ctx context.Context, request api.RetrieveRequestObject) (api.RetrieveResponseObject, error) {
	r, err := h.retrieval(ctx, request.Body)
	if err != nil {
		return nil, err
	}
	status, answer, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	if status == http.StatusMultiStatus {
		return api.Retrieve207JSONResponse{
			Body:    *answer,
			Headers: api.Retrieve207ResponseHeaders{XCorrelationID: access.From(ctx).CorrelationID},
		}, nil
	}
	return api.Retrieve200JSONResponse{
		Body:    *answer,
		Headers: api.Retrieve200ResponseHeaders{XCorrelationID: access.From(ctx).CorrelationID},
	}, nil
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

// run retrieves. It returns 200 or 207 with the answer, or an error if nothing was moved.
func (r *retrieval) run(ctx context.Context) (int, *api.RetrieveResponse, error) {
	result, err := r.task.retrieve(ctx, r.filter, r.destination)
	if err != nil {
		return 0, nil, err
	}
	succeeded := result.Succeeded()
	answer := &api.RetrieveResponse{
		Operation:    api.RetrieveResponseOperationCMOVE,
		Status:       api.RetrieveResponseStatusPartial,
		SuccessCount: succeeded,
		TotalCount:   len(result.Studies),
		PatientID:    r.filter.PatientID,
		StudyDetails: studyDetails(result.Studies),
		Warnings:     warningsOf(result.Warnings),
		Retrievals:   retrievalsOf(result.Retrievals),
	}
	switch {
	case len(result.Studies) == 0:
		return 0, nil, noStudyMatched(result.Warnings)
	case succeeded == len(result.Studies):
		answer.Status = api.RetrieveResponseStatusOk
		answer.Message = allMoved(succeeded)
		return http.StatusOK, answer, nil
	case result.Moved():
		answer.Message = partlyMoved(result.Retrievals)
		return http.StatusMultiStatus, answer, nil
	}
	return 0, nil, problem.NothingMoved(ctx, result.Err, r.task.peer.TLS)
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

func retrievalsOf(retrievals []qr.Retrieval) []api.Retrieval {
	out := make([]api.Retrieval, len(retrievals))
	for i := range retrievals {
		out[i] = retrievalOf(&retrievals[i])
	}
	return out
}

func retrievalOf(r *qr.Retrieval) api.Retrieval {
	return api.Retrieval{
		StudyInstanceUID:      r.StudyInstanceUID,
		Status:                api.RetrievalStatus(r.Status),
		DICOMStatus:           r.DICOMStatus,
		Completed:             r.Completed,
		Failed:                r.Failed,
		Warning:               r.Warning,
		FailedSOPInstanceUIDs: orEmpty(r.FailedSOPInstanceUIDs),
	}
}

package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
)

// Retrieve is the query and then C-MOVE of each study found, in one answer or as
// a stream of events.
func (h *handlers) Retrieve(ctx context.Context, request api.RetrieveRequestObject) (api.RetrieveResponseObject, error) {
	body := request.Body
	r := retrieval{
		gateway:     h.gateway,
		peer:        peerOf(body.PACSIP, body.PACSPort, body.PACSAETitle, body.CFindAETitle, body.PACSTLS),
		destination: insignificantOff(body.CMoveAETitle),
		filter: filterOf(&api.QueryRequest{
			PatientID:         body.PatientID,
			Modalities:        body.Modalities,
			MaxYearsOld:       body.MaxYearsOld,
			MaxResults:        body.MaxResults,
			StudyInstanceUIDs: body.StudyInstanceUIDs,
			AccessionNumber:   body.AccessionNumber,
			StudyDateFrom:     body.StudyDateFrom,
			StudyDateTo:       body.StudyDateTo,
		}),
	}
	note(ctx, "C-MOVE", r.peer)
	if infoOf(ctx).wantsEvents {
		return newEventStream(ctx, r), nil
	}

	status, answer, err := r.run(ctx, qr.Progress{})
	if err != nil {
		return nil, err
	}
	if status == http.StatusMultiStatus {
		return api.Retrieve207JSONResponse{
			Body:    *answer,
			Headers: api.Retrieve207ResponseHeaders{XCorrelationID: infoOf(ctx).correlationID},
		}, nil
	}
	return api.Retrieve200JSONResponse{
		Body:    *answer,
		Headers: api.Retrieve200ResponseHeaders{XCorrelationID: infoOf(ctx).correlationID},
	}, nil
}

// retrieval is one request of /qr in the gateway's own terms.
type retrieval struct {
	gateway     Gateway
	peer        qr.Peer
	filter      qr.Filter
	destination string
}

// run retrieves and tells the outcome: 200 or 207 with the answer, or an error
// where nothing was moved.
func (r *retrieval) run(ctx context.Context, progress qr.Progress) (int, *api.RetrieveResponse, error) {
	result, err := r.gateway.Retrieve(ctx, r.peer, r.filter, r.destination, progress)
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
	return 0, nil, nothingMoved(ctx, result)
}

// nothingMoved is never a fault of the gateway: whatever stands behind it, C-MOVE
// failed.
func nothingMoved(ctx context.Context, result *qr.RetrieveResult) *problem {
	p := &problem{code: api.ProblemCodeMoveFailed, dicom: &api.DICOMFault{Step: api.DICOMFaultStepMove}}
	if result.Err != nil {
		if known := problemOf(ctx, result.Err); known.code != api.ProblemCodeInternalError {
			return known
		}
		p.cause = result.Err
	}
	return p
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

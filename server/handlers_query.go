package server

import (
	"context"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/problem"
)

// Query finds the studies of one patient with C-FIND.
func (h *handlers) Query(ctx context.Context, request api.QueryRequestObject) (api.QueryResponseObject, error) {
	body := request.Body
	filter := filterOf(body)
	peer, err := h.peer(ctx, pacsOf{body.PACS, body.PACSIP, body.PACSPort, body.PACSAETitle, body.CFindAETitle, body.PACSTLS}, filter.PatientID)
	if err != nil {
		return nil, err
	}
	t, answered := h.task(ctx, peer, filter.PatientID), false
	defer t.releaseUnless(&answered)
	result, err := t.find(ctx, filter)
	if err != nil {
		return nil, err
	}
	if len(result.Studies) == 0 {
		return nil, noStudyMatched(result.Warnings)
	}
	answered = true
	return queryAnswer{patientID: filter.PatientID, result: result, memory: t.memory}, nil
}

func noStudyMatched(warnings []qr.Warning) error {
	return &problem.Problem{Code: api.ProblemCodeNoStudyMatched, Warnings: warningsOf(warnings)}
}

package server

import (
	"context"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/qr"
)

// search runs a search of DICOMweb.
func (t *task) search(ctx context.Context, s qr.Search) (*qr.SearchResult, error) {
	t.searches = &audit.Queries{}
	result, err := sheltered(ctx, func() (*qr.SearchResult, error) { return t.gateway.Search(ctx, t.call(), t.peer, s) })
	if failed := t.recordSearch(ctx, err); failed != nil {
		return nil, notRecorded(t.log, api.ProblemCodeAuditFailed, failed)
	}
	if err != nil {
		return nil, t.problem(ctx, err)
	}
	return result, nil
}

func (t *task) recordSearch(ctx context.Context, err error) error {
	if code := refused(ctx, err); code != "" {
		return t.trail.Forbidden(&t.record, code)
	}
	if len(t.searches.Sent) == 0 {
		t.searches.Add(t.query)
	}
	return t.trail.Searched(&t.record, t.searches, resultOf(ctx, err))
}

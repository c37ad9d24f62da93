package batch

import (
	"context"

	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/server/problem"
)

// Failure returns what an item reports of an error of its operation at a PACS that was called with or without TLS: what the problem
// document of /q or /qr would say.
func Failure(ctx context.Context, err error, withTLS bool) *jobs.Failure {
	document := problem.OfOperation(ctx, err, withTLS).Document("")
	f := &jobs.Failure{
		Code: string(document.Code), Title: document.Title, Detail: document.Detail, Hint: text(document.Hint),
	}
	if d := document.DICOM; d != nil {
		f.DICOM = &jobs.DICOMFault{
			Step: string(d.Step), Status: text(d.Status), Meaning: text(d.Meaning),
			Result: text(d.Result), Source: text(d.Source), Reason: text(d.Reason),
		}
	}
	return f
}

// text returns the text, "" if there is none.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Codes gives audit records of jobs the codes of problems.
type Codes struct{}

// Of returns the code of the problem for err.
func (Codes) Of(ctx context.Context, err error) string { return problem.CodeOf(ctx, err) }

// NothingMoved returns the code of the problem for a retrieve that moved nothing because of err, which may be nil.
func (Codes) NothingMoved(ctx context.Context, err error) string {
	return string(problem.NothingMoved(ctx, err, false).Code)
}

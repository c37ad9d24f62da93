// Package batch is the HTTP side of jobs: it reads what a caller files as JSON or CSV, and writes jobs, their items and their events.
package batch

import (
	"context"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/problem"
)

// Handlers implements the operations of the contract below /jobs.
type Handlers struct{}

var errDisabled = &problem.Problem{Code: api.ProblemCodeJobsDisabled}

// FileJob files a job.
func (*Handlers) FileJob(context.Context, api.FileJobRequestObject) (api.FileJobResponseObject, error) {
	return nil, errDisabled
}

// ListJobs answers with jobs of the caller.
func (*Handlers) ListJobs(context.Context, api.ListJobsRequestObject) (api.ListJobsResponseObject, error) {
	return nil, errDisabled
}

// GetJob answers with a job and its items.
func (*Handlers) GetJob(context.Context, api.GetJobRequestObject) (api.GetJobResponseObject, error) {
	return nil, errDisabled
}

// DeleteJob deletes a finished job.
func (*Handlers) DeleteJob(context.Context, api.DeleteJobRequestObject) (api.DeleteJobResponseObject, error) {
	return nil, errDisabled
}

// FollowJob answers with the events of a job.
func (*Handlers) FollowJob(context.Context, api.FollowJobRequestObject) (api.FollowJobResponseObject, error) {
	return nil, errDisabled
}

// CancelJob cancels a job.
func (*Handlers) CancelJob(context.Context, api.CancelJobRequestObject) (api.CancelJobResponseObject, error) {
	return nil, errDisabled
}

// RetryJob starts another run of what failed.
func (*Handlers) RetryJob(context.Context, api.RetryJobRequestObject) (api.RetryJobResponseObject, error) {
	return nil, errDisabled
}

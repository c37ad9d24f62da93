package server

import (
	"cmp"
	"context"
	"errors"
	"time"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/batch"
	"dicom-qr-gateway/server/problem"
)

var _ api.StrictServerInterface = (*handlers)(nil)

// handlers implements the operations of the contract: each translates the request, calls the gateway, and translates the
// result. Anything but a success is returned as an error, which observe turns into a problem document.
type handlers struct {
	*batch.Handlers // of jobs

	jobsErr   func() error
	budget    func() string
	gateway   Gateway
	receiver  Receiver
	spool     *spool.Spool
	stall     time.Duration
	pacs      PACS
	storage   StorageSCP
	namedOnly bool // requests must name the PACS
	workload  *workload
	memory    *budget.Budget
	build     BuildInfo
	telemetry *telemetry.Telemetry
	trail     *audit.Trail
}

// GetHealth answers while the process is alive.
func (h *handlers) GetHealth(ctx context.Context, _ api.GetHealthRequestObject) (api.GetHealthResponseObject, error) {
	return api.GetHealth200JSONResponse{
		Body:    api.Health{Status: api.HealthStatusOk},
		Headers: api.GetHealth200ResponseHeaders{XCorrelationID: access.From(ctx).CorrelationID},
	}, nil
}

// GetReady answers whether the gateway accepts new operations.
func (h *handlers) GetReady(ctx context.Context, _ api.GetReadyRequestObject) (api.GetReadyResponseObject, error) {
	if h.workload.isDraining() {
		return nil, problem.ErrDraining
	}
	return api.GetReady200JSONResponse{
		Body:    api.Readiness{Status: api.Ready, Jobs: h.jobsReady(), Budget: cmp.Or(api.ReadinessBudget(h.budget()), api.BudgetLocal)},
		Headers: api.GetReady200ResponseHeaders{XCorrelationID: access.From(ctx).CorrelationID},
	}, nil
}

// jobsReady says whether the gateway accepts jobs.
func (h *handlers) jobsReady() api.ReadinessJobs {
	switch {
	case h.Service == nil:
		return api.ReadinessJobsDisabled
	case h.jobsErr() != nil:
		return api.ReadinessJobsUnavailable
	}
	return api.ReadinessJobsAvailable
}

// GetVersion answers with the version that runs.
func (h *handlers) GetVersion(ctx context.Context, _ api.GetVersionRequestObject) (api.GetVersionResponseObject, error) {
	return api.GetVersion200JSONResponse{
		Body: api.Version{
			Version:   h.build.Version,
			Commit:    h.build.Commit,
			BuildDate: h.build.Date,
			GoVersion: h.build.GoVersion,
		},
		Headers: api.GetVersion200ResponseHeaders{XCorrelationID: access.From(ctx).CorrelationID},
	}, nil
}

// errNoResponse reports a handler that returned neither a response nor an error.
var errNoResponse = errors.New("no response")

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

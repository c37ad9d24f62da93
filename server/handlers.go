package server

import (
	"context"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/telemetry"
)

var _ api.StrictServerInterface = (*handlers)(nil)

// handlers answer the operations of the contract: they translate, call the
// gateway and translate back. What is not a success is an error, which the
// server makes a problem document of.
type handlers struct {
	gateway   Gateway
	workload  *workload
	build     BuildInfo
	telemetry *telemetry.Telemetry
}

// GetHealth answers as long as the process can.
func (h *handlers) GetHealth(ctx context.Context, _ api.GetHealthRequestObject) (api.GetHealthResponseObject, error) {
	return api.GetHealth200JSONResponse{
		Body:    api.Health{Status: api.HealthStatusOk},
		Headers: api.GetHealth200ResponseHeaders{XCorrelationID: infoOf(ctx).correlationID},
	}, nil
}

// GetReady answers whether new work is taken.
func (h *handlers) GetReady(ctx context.Context, _ api.GetReadyRequestObject) (api.GetReadyResponseObject, error) {
	if h.workload.isDraining() {
		return nil, errDraining
	}
	return api.GetReady200JSONResponse{
		Body:    api.Readiness{Status: api.Ready},
		Headers: api.GetReady200ResponseHeaders{XCorrelationID: infoOf(ctx).correlationID},
	}, nil
}

// GetVersion tells what is running.
func (h *handlers) GetVersion(ctx context.Context, _ api.GetVersionRequestObject) (api.GetVersionResponseObject, error) {
	return api.GetVersion200JSONResponse{
		Body: api.Version{
			Version:   h.build.Version,
			Commit:    h.build.Commit,
			BuildDate: h.build.Date,
			GoVersion: h.build.GoVersion,
		},
		Headers: api.GetVersion200ResponseHeaders{XCorrelationID: infoOf(ctx).correlationID},
	}, nil
}

// answered makes a fault of a handler that forgot to answer, which would go out
// as an empty success.
func answered(next api.StrictHandlerFunc, _ string) api.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		response, err := next(c, request)
		if err == nil && response == nil {
			return nil, errNoResponse
		}
		return response, err
	}
}

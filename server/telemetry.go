package server

import (
	"bytes"
	"context"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
)

// NewTelemetry is what goes into the Options of New and, its Step and Trace, into those of the gateway. It is to be closed
// when Serve has returned.
func NewTelemetry(c Config, build BuildInfo, logger zerolog.Logger) (*telemetry.Telemetry, error) {
	return telemetry.New(telemetry.Options{
		Version: build.Version, Commit: build.Commit, GoVersion: build.GoVersion,
		Logger:  logger,
		Tracing: c.tracing,
		Code:    func(ctx context.Context, err error) string { return string(problemOf(ctx, err).code) },
	})
}

// counted is a gateway whose retrieves are counted.
type counted struct {
	Gateway
	telemetry *telemetry.Telemetry
}

// Retrieve counts what was moved, whatever the operation came to.
func (g counted) Retrieve(
	ctx context.Context, p qr.Peer, f qr.Filter, destination string, progress qr.Progress,
) (*qr.RetrieveResult, error) {
	result, err := g.Gateway.Retrieve(ctx, p, f, destination, progress)
	if result != nil {
		g.telemetry.Retrieved(p, result)
	}
	return result, err
}

var operationLabels = map[string]string{"C-FIND": "find", "C-MOVE": "move", "C-ECHO": "echo"}

// answerOf is how the request ended. A stream has begun with a 200, so that its outcome counts.
func (s *Server) answerOf(c echo.Context, cut bool) telemetry.Answer {
	info := infoOf(c.Request().Context())
	status := c.Response().Status
	if cut {
		status = 0
	}
	answer := telemetry.Answer{
		Status: status, Operation: operationLabels[info.operation], Outcome: string(info.code), Peer: info.peer,
	}
	if _, registered := s.allow[c.Path()]; registered {
		answer.Route = c.Path()
	}
	if info.outcome != 0 {
		status = info.outcome
	}
	answer.Failed = status >= http.StatusInternalServerError
	switch {
	case answer.Outcome != "":
	case status == http.StatusMultiStatus:
		answer.Outcome = "partial"
	default:
		answer.Outcome = "ok"
	}
	return answer
}

// metricsAnswer has the version of the format in its type, which the generated one leaves out.
type metricsAnswer struct {
	body          []byte
	correlationID string
}

func (a metricsAnswer) VisitGetMetricsResponse(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", telemetry.MetricsType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Set(correlationHeader, a.correlationID)
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(a.body)
	return err
}

// GetMetrics answers with the figures that Prometheus reads.
func (h *handlers) GetMetrics(ctx context.Context, _ api.GetMetricsRequestObject) (api.GetMetricsResponseObject, error) {
	var body bytes.Buffer
	if err := h.telemetry.WriteMetrics(&body); err != nil {
		return nil, err
	}
	return metricsAnswer{body.Bytes(), infoOf(ctx).correlationID}, nil
}

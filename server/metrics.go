package server

import (
	"bytes"
	"context"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/server/access"
)

var operationLabels = map[string]string{"C-FIND": "find", "C-MOVE": "move", "C-ECHO": "echo", "RETRIEVE": "retrieve"}

// answerOf returns how the request ended. A stream begins with status 200, so its outcome counts instead.
func (s *Server) answerOf(c echo.Context, cut bool) telemetry.Answer {
	f := factsOf(c)
	status := c.Response().Status
	if cut {
		status = 0
	}
	answer := telemetry.Answer{
		Status: status, Operation: operationLabels[f.operation.name], Outcome: string(f.code), Peer: f.operation.label(),
	}
	if _, registered := s.allow[c.Path()]; registered {
		answer.Route = c.Path()
	}
	if f.outcome != 0 {
		status = f.outcome
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

// metricsAnswer has a media type with the version of the format, which the generated answer does not have.
type metricsAnswer struct {
	body          []byte
	correlationID string
}

func (a metricsAnswer) VisitGetMetricsResponse(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", telemetry.MetricsType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Set(access.CorrelationHeader, a.correlationID)
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(a.body)
	return err
}

// GetMetrics answers with the metrics for Prometheus.
func (h *handlers) GetMetrics(ctx context.Context, _ api.GetMetricsRequestObject) (api.GetMetricsResponseObject, error) {
	var body bytes.Buffer
	if err := h.telemetry.WriteMetrics(&body); err != nil {
		return nil, err
	}
	return metricsAnswer{body.Bytes(), access.From(ctx).CorrelationID}, nil
}

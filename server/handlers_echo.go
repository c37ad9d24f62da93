package server

import (
	"context"
	"net/http"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/problem"
)

// Echo checks the connection to a PACS step by step. A failure is a problem like those of the other operations, with the steps.
func (h *handlers) Echo(ctx context.Context, request api.EchoRequestObject) (api.EchoResponseObject, error) {
	body := request.Body
	peer, err := h.peer(ctx, pacsOf{body.PACS, body.PACSIP, body.PACSPort, body.PACSAETitle, body.CFindAETitle, body.PACSTLS}, "")
	if err != nil {
		return nil, err
	}
	t := h.task(ctx, peer, "")
	defer t.memory.Close()
	report := t.echo(ctx, valueOf(body.Probe))
	if report.Err != nil {
		p := problem.OfOperation(ctx, report.Err, peer.TLS)
		if p.Status() == http.StatusBadGateway {
			p.Steps = echoSteps(report, peer.TLS)
			if last := len(p.Steps) - 1; last >= 0 && p.Steps[last].Hint != nil {
				p.Hint = *p.Steps[last].Hint
			}
		}
		return nil, p
	}
	answer := api.EchoResponse{
		Operation: api.CECHO,
		Status:    api.EchoResponseStatusOk,
		Steps:     echoSteps(report, peer.TLS),
	}
	examined(&answer, &peer, report)
	return api.Echo200JSONResponse{
		Body:    answer,
		Headers: api.Echo200ResponseHeaders{XCorrelationID: access.From(ctx).CorrelationID},
	}, nil
}

func echoSteps(report *qr.EchoReport, withTLS bool) []api.EchoStep {
	out := make([]api.EchoStep, len(report.Steps))
	for i := range report.Steps {
		s := &report.Steps[i]
		out[i] = api.EchoStep{
			Step:        api.EchoStepStep(s.Step),
			Status:      api.EchoStepStatus(s.Status),
			DurationMs:  telemetry.Milliseconds(s.Duration),
			Hint:        optional(problem.EchoHint(report, i, withTLS)),
			Addresses:   s.Addresses,
			Address:     optional(s.Address),
			TLSVersion:  optional(s.TLSVersion),
			CipherSuite: optional(s.CipherSuite),
			Contexts:    echoContexts(s.Contexts),
		}
		if c := s.Certificate; c != nil {
			out[i].CertificateSubject, out[i].CertificateIssuer, out[i].CertificateExpiry = &c.Subject, &c.Issuer, &c.Expires
		}
		if p := s.Peer; p != nil {
			out[i].ImplementationClassUID, out[i].ImplementationVersionName = &p.ImplementationClassUID, &p.ImplementationVersionName
			out[i].MaxPduLength = new(int(p.MaxPDULength))
		}
	}
	return out
}

func echoContexts(contexts []qr.EchoContext) []api.EchoContext {
	out := make([]api.EchoContext, len(contexts))
	for i, c := range contexts {
		out[i] = api.EchoContext{
			Service:        api.EchoContextService(c.Service),
			AbstractSyntax: c.AbstractSyntax,
			TransferSyntax: string(c.TransferSyntax),
			Result:         c.Result.String(),
		}
	}
	return out
}

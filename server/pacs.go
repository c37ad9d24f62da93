package server

import (
	"context"
	"errors"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/recording"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/problem"
)

// pacsOf are the fields of a request that say which PACS it is for: its name or its address.
type pacsOf struct {
	name, host      string
	port            int
	called, calling string
	tls             *bool
}

// peer returns the PACS of a request, or the problem if the caller may not use it or its name is unknown. It records a refusal.
func (h *handlers) peer(ctx context.Context, of pacsOf, patientID string) (qr.Peer, error) {
	if of.name != "" {
		peer, err := h.namedPeer(ctx, of.name, patientID)
		if p, ok := errors.AsType[*problem.Problem](err); ok && p.Code == api.ProblemCodePACSUnknown {
			p.Faults = []api.Fault{{Pointer: "/pacs", Detail: "is not the name of a configured PACS"}}
		}
		return peer, err
	}
	peer := qr.Peer{
		Host: of.host, Port: of.port, CalledAETitle: trimPadding(of.called), CallingAETitle: trimPadding(of.calling), TLS: valueOf(of.tls),
	}
	if h.namedOnly || !access.From(ctx).MayUse("") {
		return qr.Peer{}, h.forbidden(ctx, peer, patientID)
	}
	return peer, nil
}

// namedPeer returns the PACS with the name, as it is configured now. The error is the problem pacs_unknown, or pacs_not_allowed
// after it has been recorded. A caller whose rights name its PACS does not learn which others there are.
func (h *handlers) namedPeer(ctx context.Context, name, patientID string) (qr.Peer, error) {
	peer, known := h.pacs.Lookup(name)
	switch {
	case !access.From(ctx).MayUse(name):
		if !known {
			peer = qr.Peer{Name: name}
		}
		return qr.Peer{}, h.forbidden(ctx, peer, patientID)
	case !known:
		return qr.Peer{}, &problem.Problem{Code: api.ProblemCodePACSUnknown}
	}
	return peer, nil
}

// forbidden records that the caller may not use the PACS, and returns the problem.
func (h *handlers) forbidden(ctx context.Context, peer qr.Peer, patientID string) error {
	p := &problem.Problem{Code: api.ProblemCodePACSNotAllowed}
	record := recording.Operation(access.From(ctx), peer, patientID)
	if err := h.trail.Forbidden(&record, string(p.Code)); err != nil {
		return notRecorded(zerolog.Ctx(ctx), api.ProblemCodeAuditFailed, err)
	}
	return p
}

// ListPACS answers with the named PACS that the caller may use.
func (h *handlers) ListPACS(ctx context.Context, _ api.ListPACSRequestObject) (api.ListPACSResponseObject, error) {
	caller := access.From(ctx)
	list := api.PACSList{PACS: []api.NamedPACS{}, AdHoc: !h.namedOnly && caller.MayUse("")}
	for _, peer := range h.pacs.List() {
		if !caller.MayUse(peer.Name) {
			continue
		}
		named := api.NamedPACS{Name: peer.Name, AETitle: peer.CalledAETitle}
		if peer.Settings != nil {
			named.Description = peer.Settings.Description
		}
		list.PACS = append(list.PACS, named)
	}
	return api.ListPACS200JSONResponse{
		Body:    list,
		Headers: api.ListPACS200ResponseHeaders{XCorrelationID: caller.CorrelationID},
	}, nil
}

// noPACS has no named PACS.
type noPACS struct{}

func (noPACS) Lookup(string) (qr.Peer, bool) { return qr.Peer{}, false }
func (noPACS) List() []qr.Peer               { return nil }

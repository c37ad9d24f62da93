package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/pool"
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
	h.examined(&answer, &peer, report)
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

// examined adds to the answer what an examination of the PACS found.
func (h *handlers) examined(answer *api.EchoResponse, peer *qr.Peer, report *qr.EchoReport) {
	if report.Retrieval != nil && peer.Name != "" {
		answer.Retrieval = h.echoRetrieval(report, peer)
	}
	if report.Profile == nil {
		return
	}
	keys := []string{}
	for _, t := range report.Profile.StudyKeys {
		keys = append(keys, dataset.Keyword(t))
	}
	answer.Profile = &api.EchoProfile{
		RelationalQueries: report.Profile.RelationalQueries, ImageLevelFind: report.Profile.ImageLevelFind, UIDLists: report.Profile.UIDLists,
		StudyKeys: keys,
	}
	answer.PACSEntry = new(pacsEntry(peer, answer.Profile))
	answer.AtThePACS = h.storage.atThePACS(peer, report)
}

func (h *handlers) echoRetrieval(report *qr.EchoReport, peer *qr.Peer) *api.EchoRetrieval {
	check := report.Retrieval
	hint := h.storage.retrievalHint(report, peer)
	r := &api.EchoRetrieval{
		Ready:    hint == "",
		Method:   api.EchoRetrievalMethod(check.Method),
		Storage:  []api.EchoStorage{},
		StoreScp: api.StoreSCPNotConfigured,
		Hint:     optional(hint),
	}
	if len(h.storage.AETitles) > 0 {
		r.StoreScp = api.StoreSCPRunning
	}
	if check.Err == nil {
		r.CGet = check.Get.String()
	}
	for _, pc := range check.Storage {
		r.Storage = append(r.Storage, api.EchoStorage{AbstractSyntax: pc.AbstractSyntax, Result: pc.Result.String(), Scp: pc.SCP})
	}
	return r
}

// StorageSCP is the storage SCP of the gateway. The zero value: it has none.
type StorageSCP struct {
	AETitles []string
	Port     int
}

// destinations returns the AE titles that are move destinations at the PACS.
func (s *StorageSCP) destinations(peer *qr.Peer) []string {
	if peer.Settings == nil || len(peer.Settings.MoveDestinations) == 0 {
		return s.AETitles
	}
	return slices.DeleteFunc(slices.Clone(s.AETitles), func(title string) bool {
		return !slices.Contains(peer.Settings.MoveDestinations, title)
	})
}

// retrievalHint says what to check if instances cannot be retrieved; "": they can.
func (s *StorageSCP) retrievalHint(report *qr.EchoReport, peer *qr.Peer) string {
	check := report.Retrieval
	move := slices.ContainsFunc(report.Steps, func(step qr.EchoStep) bool { return step.Accepted("C-MOVE") })
	getOnly := peer.Settings != nil && peer.Settings.Retrieve == pool.RetrieveGet
	var ownSCP string
	switch {
	case check.Method == pool.RetrieveGet && check.Ready(), check.Method == pool.RetrieveMove && move && len(s.destinations(peer)) > 0:
		return ""
	case getOnly:
		ownSCP = "The entry of this PACS says retrieve: get."
	case len(s.destinations(peer)) == 0:
		ownSCP = "The gateway has no storage SCP, which C-MOVE to the gateway needs."
	default:
		ownSCP = "The PACS does not accept C-MOVE for this calling AE title either."
	}
	switch {
	case peer.Settings != nil && peer.Settings.Retrieve == pool.RetrieveMove:
		return "The entry of this PACS says retrieve: move. " + strings.Replace(ownSCP, " either", "", 1)
	case check.Err != nil:
		return "The PACS did not accept an association for C-GET. Permit C-GET for the calling AE title at the PACS. " + ownSCP
	case check.Get != dicomnet.ContextAccepted:
		return "The PACS does not accept C-GET for this calling AE title. Permit it at the PACS, if the PACS has C-GET. " + ownSCP
	}
	return "The PACS accepts C-GET, but grants the gateway the role of SCP for no storage SOP class that was proposed. " + ownSCP
}

// pacsEntry returns the entry of the PACS for PACS_FILE with the profile. Everything else is as it is configured. What the PACS only
// accepted is a comment: a search would lose matches if the PACS finds nothing by it, or show others if the PACS ignores it.
func pacsEntry(peer *qr.Peer, profile *api.EchoProfile) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s:\n", cmp.Or(peer.Name, nameFor(peer.CalledAETitle)))
	fields := ""
	if peer.Settings != nil {
		fields = peer.Settings.Entry
	}
	if fields == "" {
		fields = fmt.Sprintf("host: %s\nport: %d\nae_title: %s\ncalling_ae_title: %s\n",
			quoted(peer.Host), peer.Port, quoted(peer.CalledAETitle), quoted(peer.CallingAETitle))
		if peer.TLS {
			fields += "tls: true\n"
		}
	}
	for line := range strings.Lines(fields) {
		b.WriteString("    " + line)
	}
	fmt.Fprintf(&b, "    profile:\n      image_level_find: %t\n", profile.ImageLevelFind)
	var accepted []string
	if profile.RelationalQueries {
		accepted = append(accepted, "relational_queries: true")
	}
	if profile.UIDLists {
		accepted = append(accepted, "uid_lists: true")
	}
	if len(profile.StudyKeys) > 0 {
		accepted = append(accepted, "study_keys: ["+strings.Join(profile.StudyKeys, ", ")+"]")
	}
	if len(accepted) > 0 {
		b.WriteString("      # The PACS accepted these. Add those that its conformance statement confirms.\n")
	}
	for _, field := range accepted {
		b.WriteString("      # " + field + "\n")
	}
	return b.String()
}

// quoted returns a text as YAML reads it; JSON is YAML.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a string is always valid
	return string(b)
}

// nameFor makes the name of a PACS from its AE title.
func nameFor(aeTitle string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(aeTitle))
	return cmp.Or(strings.Trim(name, "-"), "pacs")
}

// atThePACS says what to enter in the configuration of the PACS.
func (s *StorageSCP) atThePACS(peer *qr.Peer, report *qr.EchoReport) []string {
	host, own := "", "the host of the gateway"
	if report.Local != "" {
		host, own = " at the host "+report.Local, "the host "+report.Local
	}
	lines := []string{fmt.Sprintf("Permit the AE title %s%s to send C-ECHO, C-FIND, C-MOVE and C-GET.", peer.CallingAETitle, host)}
	further := ""
	for _, title := range s.destinations(peer) {
		lines = append(lines, fmt.Sprintf("Add the move destination %s with %s and the port %d.", title, own, s.Port))
		further = " further"
	}
	return append(lines, fmt.Sprintf("Add each%s move destination with its AE title, host and port.", further))
}

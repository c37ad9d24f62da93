package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/problem"
)

const (
	applicationName = "dicom-qr-gateway"
	auditRetryAfter = 5 // seconds
)

// auditor makes records of what callers have done. A nil one is audit switched off.
type auditor struct {
	log  *audit.Log
	self audit.Participant
	host string
}

func newAuditor(log *audit.Log) *auditor {
	if log == nil {
		return nil
	}
	a := &auditor{log: log}
	a.host, _ = os.Hostname()
	if a.host == "" {
		a.host = applicationName
	}
	a.self = audit.Participant{
		UserID: strconv.Itoa(os.Getpid()), UserName: applicationName, Roles: []audit.Code{audit.RoleApplication},
		AccessPointID: a.host, AccessPointType: audit.MachineName,
	}
	return a
}

// requireAudit refuses operations whose record could not be written.
func (s *Server) requireAudit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.auditor != nil {
			if err := s.auditor.log.Ready(); err != nil {
				return notRecorded(c.Request().Context(), api.ProblemCodeAuditUnavailable, err)
			}
		}
		return next(c)
	}
}

// notRecorded is the answer where the sink fails: before the work, or after it.
func notRecorded(ctx context.Context, code api.ProblemCode, err error) *problem.Problem {
	zerolog.Ctx(ctx).Error().Err(err).Msg("audit record not written")
	p := &problem.Problem{Code: code}
	if p.Status() == http.StatusServiceUnavailable {
		p.RetryAfter = auditRetryAfter
	}
	return p
}

// record is what every record has.
func (a *auditor) record(ctx context.Context, id audit.Code, action string, outcome audit.Outcome, description string) *audit.Record {
	return &audit.Record{
		Event: audit.Event{
			ID: id, ActionCode: action, DateTime: time.Now().UTC().Round(time.Millisecond), OutcomeIndicator: outcome,
			OutcomeDescription: description,
		},
		Source:        audit.Source{ID: a.host, TypeCodes: []audit.Code{audit.ApplicationServer}},
		CorrelationID: access.From(ctx).CorrelationID,
	}
}

// activity records that the gateway starts or stops (PS3.15 section A.5.3.1).
func (a *auditor) activity(ctx context.Context, kind audit.Code, outcome audit.Outcome) error {
	if a == nil {
		return nil
	}
	r := a.record(ctx, audit.ApplicationActivity, audit.Execute, outcome, "")
	r.Event.TypeCodes = []audit.Code{kind}
	r.Participants = []audit.Participant{a.self}
	return a.log.Write(r)
}

// Reopen goes on in the file that AUDIT_LOG names, after the one in use was moved
// away.
func (s *Server) Reopen() {
	if s.auditor == nil {
		return
	}
	if err := s.auditor.log.Reopen(); err != nil {
		s.log.Error().Err(err).Msg("audit log not reopened")
		return
	}
	s.log.Info().Msg("audit log reopened")
}

// end records that the gateway stops, and why it did not stop cleanly; nothing can
// be written behind it.
func (a *auditor) end(ctx context.Context, err error) error {
	if a == nil {
		return nil
	}
	outcome := audit.Success
	if err != nil {
		outcome = audit.MinorFailure
	}
	// A record that cannot be written is among those that Close counts.
	_ = a.activity(ctx, audit.ApplicationStop, outcome)
	if err := a.log.Close(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// refused records a caller without the right credentials (section A.5.3.11). He
// gets no more and no less where the sink fails.
func (a *auditor) refused(ctx context.Context, route, reason string) {
	if a == nil {
		return
	}
	r := a.alert(ctx, audit.NodeAuthentication, audit.URI, route, reason)
	if err := a.log.Write(r); err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Msg("audit record not written")
	}
}

// alert is a Security Alert whose subject has this ID. That the caller is no
// requestor is what section A.5.3.11 asks for.
func (a *auditor) alert(ctx context.Context, kind, idType audit.Code, subject, reason string) *audit.Record {
	r := a.record(ctx, audit.SecurityAlert, audit.Execute, audit.MinorFailure, reason)
	r.Event.TypeCodes = []audit.Code{kind}
	caller := a.caller(ctx)
	caller.IsRequestor = false
	r.Participants = []audit.Participant{a.self, caller}
	r.Objects = []audit.Object{{
		ID: subject, TypeCode: audit.SystemObject, TypeCodeRole: audit.RoleSecurity, IDTypeCode: idType,
		Details: []audit.Detail{{Type: audit.AlertDescription, Value: []byte(reason)}},
	}}
	return r
}

// caller is who asked, from where.
func (a *auditor) caller(ctx context.Context) audit.Participant {
	who := access.From(ctx)
	return audit.Participant{
		UserID: who.Name(), AlternativeUserID: who.Credentials(), IsRequestor: true,
		AccessPointID: who.Address, AccessPointType: accessPointType(who.Address),
	}
}

// gateway is this process under its AE title, in a role.
func (a *auditor) gateway(aeTitle string, role audit.Code) audit.Participant {
	p := a.self
	p.AlternativeUserID = audit.AETitles(aeTitle)
	p.Roles = []audit.Code{role}
	return p
}

func pacsNode(peer qr.Peer, role audit.Code) audit.Participant {
	return audit.Participant{
		UserID: addressOf(peer), AlternativeUserID: audit.AETitles(peer.CalledAETitle), Roles: []audit.Code{role},
		AccessPointID: peer.Host, AccessPointType: accessPointType(peer.Host),
	}
}

func addressOf(peer qr.Peer) string { return net.JoinHostPort(peer.Host, strconv.Itoa(peer.Port)) }

func accessPointType(host string) audit.AccessPointType {
	if host == "" {
		return ""
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return audit.MachineName
	}
	return audit.IPAddress
}

// patient is the object of every record that concerns one.
func patient(id string, studies []qr.Study) audit.Object {
	o := audit.Object{ID: id, TypeCode: audit.Person, TypeCodeRole: audit.RolePatient, IDTypeCode: audit.PatientNumber}
	if len(studies) > 0 {
		o.Name = studies[0].PatientName
	}
	return o
}

// studyObjects are one object a study.
func studyObjects(studies []qr.Study) []audit.Object {
	objects := make([]audit.Object, len(studies))
	for i := range studies {
		s := &studies[i]
		objects[i] = audit.Object{
			ID: s.StudyInstanceUID, TypeCode: audit.SystemObject, TypeCodeRole: audit.RoleReport,
			IDTypeCode: audit.StudyInstanceUID, Name: s.StudyDescription,
		}
		if objects[i].Name == "" {
			objects[i].Name = "Study" // the standard asks for a name or a query
		}
		if s.AccessionNumber != "" {
			objects[i].Description = &audit.Description{Accessions: []audit.Accession{{Number: s.AccessionNumber}}}
		}
	}
	return objects
}

// queryObject holds the data set of the C-FIND (section A.5.3.10).
func queryObject(f qr.Filter) audit.Object {
	o := audit.Object{
		ID: dicomStudyRootFind, TypeCode: audit.SystemObject, TypeCodeRole: audit.RoleReport, IDTypeCode: audit.SOPClassUID,
		Details: []audit.Detail{{Type: audit.TransferSyntax, Value: []byte(dataset.ExplicitVRLittleEndian)}},
	}
	// What cannot be asked for has no data set, and its record says that it failed.
	o.Query, _ = qr.Identifier(f, time.Now())
	return o
}

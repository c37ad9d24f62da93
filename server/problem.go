package server

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
)

// problem is an answer that is not a success. As an error it carries the cause,
// which goes to the log alone.
type problem struct {
	code     api.ProblemCode
	detail   string // "" where that of the code says enough
	faults   []api.Fault
	dicom    *api.DICOMFault
	warnings []api.Warning
	steps    []api.EchoStep
	allow    string // of 405
	// authenticate is the scheme of 401
	authenticate string
	retryAfter   int // seconds, of 503
	cause        error
}

func (p *problem) Error() string { return string(p.code) }

func (p *problem) Unwrap() error { return p.cause }

func (p *problem) status() int { return kinds[p.code].status }

// kind is what every problem of one code has in common.
type kind struct {
	status        int
	title, detail string
}

var kinds = map[api.ProblemCode]kind{
	api.ProblemCodeInvalidRequest:       {400, "Invalid request", "The request is not what the contract says."},
	api.ProblemCodePACSNotAllowed:       {403, "PACS not allowed", "The gateway is not allowed to connect to this PACS."},
	api.ProblemCodeNoStudyMatched:       {404, "No study matched", "The PACS has no study of this patient that matches all filters."},
	api.ProblemCodeRouteNotFound:        {404, "Route not found", "There is no such route."},
	api.ProblemCodeMethodNotAllowed:     {405, "Method not allowed", "This route has other methods; the header Allow names them."},
	api.ProblemCodePayloadTooLarge:      {413, "Payload too large", "The body is over 64 KiB."},
	api.ProblemCodeUnsupportedMediaType: {415, "Unsupported media type", "The body must be application/json in UTF-8, without a content encoding."},
	api.ProblemCodeInternalError:        {500, "Internal error", "The gateway had an unexpected fault."},

	api.ProblemCodeNameResolutionFailed:   {502, "Name resolution failed", "The host name of the PACS has no address."},
	api.ProblemCodePACSUnreachable:        {502, "PACS unreachable", "No connection to the PACS came about."},
	api.ProblemCodeConnectionTimeout:      {502, "Connection timeout", "No connection to the PACS came about in time."},
	api.ProblemCodeConnectionLost:         {502, "Connection lost", "The PACS closed the connection without a word."},
	api.ProblemCodeTLSFailed:              {502, "TLS failed", "The TLS handshake with the PACS failed."},
	api.ProblemCodeTLSExpected:            {502, "TLS expected", "The PACS expects TLS; set pacs_tls."},
	api.ProblemCodeNotADicomPeer:          {502, "Not a DICOM peer", "What answers at this host and port does not speak DICOM."},
	api.ProblemCodeAssociationRejected:    {502, "Association rejected", "The PACS rejected the association."},
	api.ProblemCodeAssociationAborted:     {502, "Association aborted", "The association was aborted."},
	api.ProblemCodeAssociationReleased:    {502, "Association released", "The PACS released the association in mid-operation."},
	api.ProblemCodeAssociationTimeout:     {502, "Association timeout", "The PACS did not answer the association request in time."},
	api.ProblemCodeNoPresentationContext:  {502, "No presentation context", "The PACS does not offer this service to this calling AE title."},
	api.ProblemCodeEchoFailed:             {502, "C-ECHO failed", "The PACS ended C-ECHO with a failure."},
	api.ProblemCodeFindFailed:             {502, "C-FIND failed", "The PACS ended C-FIND with a failure."},
	api.ProblemCodeDIMSETimeout:           {502, "DIMSE timeout", "The PACS did not respond in time."},
	api.ProblemCodeMoveFailed:             {502, "C-MOVE failed", "Nothing was moved."},
	api.ProblemCodeMoveDestinationUnknown: {502, "Move destination unknown", "The PACS does not know the move destination."},
	api.ProblemCodeMoveTimeout:            {502, "C-MOVE timeout", "The PACS did not respond to C-MOVE in time."},
	api.ProblemCodeNetworkTimeout:         {502, "Network timeout", "The PACS went silent in the middle of a message."},
	api.ProblemCodeTooManyMatches:         {502, "Too many matches", "The PACS sent more matches than the gateway reads; ask for less."},
	api.ProblemCodeLimitExceeded:          {502, "Limit exceeded", "The PACS sent more than the gateway takes."},
	api.ProblemCodeProtocolError:          {502, "Protocol error", "The PACS broke the DICOM protocol."},
	api.ProblemCodeCancelled:              {502, "Cancelled", "The operation was cancelled before anything was moved."},
	api.ProblemCodeOperationTimeout:       {502, "Operation timeout", "The operation took longer than the gateway allows."},

	api.ProblemCodeUnauthorized:     {401, http.StatusText(http.StatusUnauthorized), "Valid credentials are needed: an API key, a client certificate, or both."},
	api.ProblemCodeAuditFailed:      {500, "Audit failed", "The operation ran, but it could not be recorded, so its result is withheld."},
	api.ProblemCodeAuditUnavailable: {503, "Audit unavailable", "The audit trail cannot be written, and without it the gateway does no work."},

	api.ProblemCodeDraining:          {503, "Shutting down", "The gateway is shutting down and takes no new work."},
	api.ProblemCodePACSBusy:          {503, "PACS busy", "No association with this PACS became free in time; try again later."},
	api.ProblemCodeTooManyOperations: {503, "Too many operations", "The gateway has as many operations at hand as it takes; try again later."},
}

// errDraining cancels the operations that outlive the time for draining.
var errDraining = errors.New("shutting down")

// errTooManyOperations refuses what is over MAX_OPERATIONS.
var errTooManyOperations = errors.New("too many operations")

// errNoResponse is a handler that returned neither an answer nor an error.
var errNoResponse = errors.New("no response")

// causes tells codes from errors; the first that matches wins, so the reason that
// stands behind another comes before it.
var causes = []struct {
	matches func(error) bool
	code    api.ProblemCode
}{
	{is(echo.ErrNotFound), api.ProblemCodeRouteNotFound},
	{is(errDraining), api.ProblemCodeDraining},
	{is(errTooManyOperations), api.ProblemCodeTooManyOperations},
	{as[*qr.OperationTimeoutError], api.ProblemCodeOperationTimeout},
	{as[*qr.FilterError], api.ProblemCodeInvalidRequest},
	{as[*qr.NotAllowedError], api.ProblemCodePACSNotAllowed},
	{as[*qr.BusyError], api.ProblemCodePACSBusy},
	{as[*qr.TooManyMatchesError], api.ProblemCodeTooManyMatches},
	{is(context.Canceled), api.ProblemCodeCancelled},
	{is(context.DeadlineExceeded), api.ProblemCodeOperationTimeout},
	{timer(dicomnet.TimerConnection), api.ProblemCodeConnectionTimeout},
	{timer(dicomnet.TimerACSE), api.ProblemCodeAssociationTimeout},
	{timer(dicomnet.TimerDIMSE), api.ProblemCodeDIMSETimeout},
	{timer(dicomnet.TimerMove), api.ProblemCodeMoveTimeout},
	{timer(dicomnet.TimerNetwork), api.ProblemCodeNetworkTimeout},
	{as[*net.DNSError], api.ProblemCodeNameResolutionFailed},
	{as[*dicomnet.ConnectError], api.ProblemCodePACSUnreachable},
	{as[*dicomnet.TLSError], api.ProblemCodeTLSFailed},
	{is(dicomnet.ErrTLSExpected), api.ProblemCodeTLSExpected},
	{is(dicomnet.ErrNotDICOM), api.ProblemCodeNotADicomPeer},
	{as[*dicomnet.RejectError], api.ProblemCodeAssociationRejected},
	{as[*dicomnet.NoContextError], api.ProblemCodeNoPresentationContext},
	{status(dicomnet.StepMove, dicomnet.StatusMoveDestination), api.ProblemCodeMoveDestinationUnknown},
	{operation(dicomnet.StepMove), api.ProblemCodeMoveFailed},
	{operation(dicomnet.StepFind), api.ProblemCodeFindFailed},
	{operation(dicomnet.StepEcho), api.ProblemCodeEchoFailed},
	{as[*dicomnet.LimitError], api.ProblemCodeLimitExceeded},
	{as[*dicomnet.ProtocolError], api.ProblemCodeProtocolError},
	{as[*dicomnet.DataSetError], api.ProblemCodeProtocolError},
	{as[*dicomnet.AbortError], api.ProblemCodeAssociationAborted},
	{is(dicomnet.ErrReleased), api.ProblemCodeAssociationReleased},
	{is(dicomnet.ErrConnectionLost), api.ProblemCodeConnectionLost},
	{is(dicomnet.ErrClosed), api.ProblemCodeConnectionLost},
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func timer(t dicomnet.Timer) func(error) bool {
	return func(err error) bool {
		timeout, ok := errors.AsType[*dicomnet.TimeoutError](err)
		return ok && timeout.Timer == t
	}
}

func status(op dicomnet.Step, s dicomnet.Status) func(error) bool {
	return func(err error) bool {
		final, ok := errors.AsType[*dicomnet.StatusError](err)
		return ok && final.Op == op && final.Status == s
	}
}

func operation(op dicomnet.Step) func(error) bool {
	return func(err error) bool {
		final, ok := errors.AsType[*dicomnet.StatusError](err)
		return ok && final.Op == op
	}
}

// problemOf is the answer to err; one that nothing is known of is a fault of the
// gateway.
func problemOf(ctx context.Context, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	p := &problem{code: api.ProblemCodeInternalError, cause: err}
	for _, cause := range causes {
		if cause.matches(err) {
			p.code = cause.code
			break
		}
	}
	if p.code == api.ProblemCodeCancelled && errors.Is(context.Cause(ctx), errDraining) {
		p.code = api.ProblemCodeDraining
	}
	switch p.status() {
	case http.StatusBadGateway:
		p.dicom = dicomFault(err)
	case http.StatusServiceUnavailable:
		p.retryAfter = retryAfter
	case http.StatusBadRequest:
		p.faults = []api.Fault{{Detail: "holds a filter that cannot be asked for"}}
	}
	return p
}

// retryAfter is the same whatever was refused: another instance behind the same proxy takes over at once and a restart takes
// about that long, and by then a line that is longer than QUEUE_TIMEOUT has moved on.
const retryAfter = 5

var steps = map[dicomnet.Step]api.DICOMFaultStep{
	qr.StepResolve:         api.DICOMFaultStepResolve,
	dicomnet.StepConnect:   api.DICOMFaultStepConnect,
	dicomnet.StepTLS:       api.DICOMFaultStepTLS,
	dicomnet.StepAssociate: api.DICOMFaultStepAssociate,
	dicomnet.StepEcho:      api.DICOMFaultStepEcho,
	dicomnet.StepFind:      api.DICOMFaultStepFind,
	dicomnet.StepMove:      api.DICOMFaultStepMove,
}

// dicomFault tells where err arose and what the PACS said, in the standard's
// words; nil where the step is unknown.
func dicomFault(err error) *api.DICOMFault {
	var fault api.DICOMFault
	if op, ok := errors.AsType[*dicomnet.OpError](err); ok {
		fault.Step = steps[op.Step]
	}
	if final, ok := errors.AsType[*dicomnet.StatusError](err); ok {
		if fault.Step == "" {
			fault.Step = steps[final.Op]
		}
		fault.Status, fault.Meaning = new(final.Status.String()), new(final.Status.Meaning(final.Op))
	}
	if reject, ok := errors.AsType[*dicomnet.RejectError](err); ok {
		fault.Result, fault.Source, fault.Reason = new(reject.ResultText()), new(reject.SourceText()), new(reject.ReasonText())
	}
	if aborted, ok := errors.AsType[*dicomnet.AbortError](err); ok {
		fault.Source, fault.Reason = new(aborted.SourceText()), new(aborted.ReasonText())
	}
	if fault.Step == "" {
		return nil
	}
	return &fault
}

// document is p as it goes out; every problem but a 404 names the correlation ID.
func (p *problem) document(correlationID string) api.Problem {
	k := kinds[p.code]
	document := api.Problem{
		Type:     "urn:dicom-qr-gateway:problem:" + string(p.code),
		Title:    k.title,
		Status:   k.status,
		Detail:   k.detail,
		Code:     p.code,
		Errors:   p.faults,
		DICOM:    p.dicom,
		Warnings: p.warnings,
		Steps:    p.steps,
	}
	if p.detail != "" {
		document.Detail = p.detail
	}
	if k.status != http.StatusNotFound {
		document.CorrelationID = &correlationID
	}
	return document
}

func (p *problem) write(w http.ResponseWriter, correlationID string) error {
	body, err := json.Marshal(p.document(correlationID))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.authenticate != "" {
		h.Set("WWW-Authenticate", p.authenticate)
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	w.WriteHeader(p.status())
	_, err = w.Write(body)
	return err
}

package problem

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
)

// ErrDraining refuses new operations while the gateway shuts down, and is the cause with which operations are cancelled that
// run longer than DRAIN_TIMEOUT.
var ErrDraining = errors.New("shutting down")

// Refusals of requests before anything is done for them.
var (
	// ErrTooManyOperations: as many requests for operations are in progress as the gateway takes.
	ErrTooManyOperations = errors.New("too many operations")
	// ErrTooManyBodies: the requests in progress hold as many bytes as they may.
	ErrTooManyBodies = errors.New("too many bodies")
	// ErrCallerShare: this caller has its share of one of these.
	ErrCallerShare = errors.New("too many requests of this caller")
)

// causes maps errors to codes. The first match wins, so a more specific reason comes before the error that wraps it.
var causes = []struct {
	matches func(error) bool
	code    api.ProblemCode
}{
	{is(echo.ErrNotFound), api.ProblemCodeRouteNotFound},
	{is(ErrDraining), api.ProblemCodeDraining},
	{is(ErrTooManyOperations), api.ProblemCodeTooManyOperations},
	{is(ErrTooManyBodies), api.ProblemCodeTooManyOperations},
	{is(ErrCallerShare), api.ProblemCodeTooManyRequests},
	{as[*qr.OperationTimeoutError], api.ProblemCodeOperationTimeout},
	{as[*qr.FilterError], api.ProblemCodeInvalidRequest},
	{as[*pool.NotAllowedError], api.ProblemCodePACSNotAllowed},
	{busy(pool.TooManyOperations), api.ProblemCodeTooManyOperations},
	{busy(pool.CallerShare), api.ProblemCodeTooManyRequests},
	{as[*pool.BusyError], api.ProblemCodePACSBusy},
	{as[*qr.SearchTooBroadError], api.ProblemCodeSearchTooBroad},
	{as[*qr.ModalityUnknownError], api.ProblemCodeModalityUnknown},
	{as[*qr.RelationalQueryError], api.ProblemCodeRelationalQueryUnsupported},
	{as[*receive.NotFoundError], api.ProblemCodeNotFound},
	{as[*receive.NoWayError], api.ProblemCodeRetrievalUnsupported},
	{as[*receive.IncompleteError], api.ProblemCodeRetrieveIncomplete},
	{as[*spool.FullError], api.ProblemCodeSpoolFull},
	{as[*receive.FloodError], api.ProblemCodeLimitExceeded},
	{as[*budget.BusyError], api.ProblemCodeMemoryBusy},
	{as[*budget.TooLargeError], api.ProblemCodeAnswerTooLarge},
	{as[*qr.TooManyMatchesError], api.ProblemCodeTooManyMatches},
	{is(context.Canceled), api.ProblemCodeCancelled},
	{is(context.DeadlineExceeded), api.ProblemCodeOperationTimeout},
	{timer(dicomnet.TimerConnection), api.ProblemCodeConnectionTimeout},
	{timer(dicomnet.TimerACSE), api.ProblemCodeAssociationTimeout},
	{timer(dicomnet.TimerDIMSE), api.ProblemCodeDIMSETimeout},
	{timer(dicomnet.TimerMove), api.ProblemCodeMoveTimeout},
	{timer(dicomnet.TimerNetwork), api.ProblemCodeNetworkTimeout},
	{outOfFiles, api.ProblemCodeTooManyOpenFiles},
	{as[*net.DNSError], api.ProblemCodeNameResolutionFailed},
	{refused, api.ProblemCodeConnectionRefused},
	{as[*dicomnet.ConnectError], api.ProblemCodePACSUnreachable},
	{as[*dicomnet.TLSError], api.ProblemCodeTLSFailed},
	{is(dicomnet.ErrTLSExpected), api.ProblemCodeTLSExpected},
	{is(dicomnet.ErrNotDICOM), api.ProblemCodeNotADicomPeer},
	{as[*dicomnet.RejectError], api.ProblemCodeAssociationRejected},
	{as[*dicomnet.NoContextError], api.ProblemCodeNoPresentationContext},
	{status(dicomnet.StepMove, dicomnet.StatusMoveDestination), api.ProblemCodeMoveDestinationUnknown},
	{operation(dicomnet.StepMove), api.ProblemCodeMoveFailed},
	{operation(stepGet), api.ProblemCodeGetFailed},
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

func busy(reason pool.BusyReason) func(error) bool {
	return func(err error) bool {
		refusal, ok := errors.AsType[*pool.BusyError](err)
		return ok && refusal.Reason == reason
	}
}

// details replace the detail of the code for errors that have a more precise one.
var details = []struct {
	matches func(error) bool
	detail  string
}{
	{busy(pool.QueueFull), "As many operations wait for this PACS as may. Try again later."},
	{busy(pool.CallerShare), "This caller has as many operations waiting for this PACS, or running, as its share allows. Try again later."},
	{busy(pool.TooManyRetrievals), "As many retrievals from this PACS run as may. Try again later."},
	{busy(pool.ShareLost), "The gateway could not renew its lease of the association, because NATS did not answer, and closed it. Try again later."},
	{is(ErrTooManyBodies), "The requests in progress hold as much memory as they may. Try again later."},
}

// outOfFiles reports whether no connection could be opened because this process (EMFILE) or its machine (ENFILE) has no free file
// descriptor. An error of the resolver holds the text of its cause only; that of ENFILE begins with that of EMFILE.
func outOfFiles(err error) bool {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return true
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && strings.Contains(dns.Err, syscall.EMFILE.Error())
}

// refused reports whether the machine of the PACS refused the connection. Any other fault of a connection is a PACS that is
// unreachable.
func refused(err error) bool {
	return as[*dicomnet.ConnectError](err) && errors.Is(err, syscall.ECONNREFUSED)
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

// CodeOf returns the code of the problem for err, as the label of metrics.
func CodeOf(ctx context.Context, err error) string { return string(Of(ctx, err).Code) }

// Of returns the problem for err: err itself if it is a *Problem, or else the one that the table of errors gives it. An error
// that is not in the table is an internal error of the gateway.
func Of(ctx context.Context, err error) *Problem { return OfOperation(ctx, err, false) }

// OfOperation is Of for an error of an operation at a PACS that was called with or without TLS, which some hints depend on.
func OfOperation(ctx context.Context, err error, withTLS bool) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	p := &Problem{Code: api.ProblemCodeInternalError, Cause: err}
	for _, cause := range causes {
		if cause.matches(err) {
			p.Code = cause.code
			break
		}
	}
	if p.Code == api.ProblemCodeCancelled && errors.Is(context.Cause(ctx), ErrDraining) {
		p.Code = api.ProblemCodeDraining
	}
	for _, precise := range details {
		if precise.matches(err) {
			p.Detail = precise.detail
			break
		}
	}
	switch p.Status() {
	case http.StatusBadGateway:
		p.DICOM, p.Hint = dicomFault(err), hintOf(err, withTLS)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		p.RetryAfter = RetryAfter
	case http.StatusBadRequest:
		p.Faults = []api.Fault{{Detail: "has a filter that cannot be sent to the PACS"}}
	}
	return p
}

// OfRetrieval is OfOperation for a retrieval of DICOMweb, which says with its status that a PACS did not answer in time.
func OfRetrieval(ctx context.Context, err error, withTLS bool) *Problem {
	p := OfOperation(ctx, err, withTLS)
	if slices.Contains(timeouts, p.Code) {
		p.HTTPStatus = http.StatusGatewayTimeout
	}
	return p
}

var timeouts = []api.ProblemCode{
	api.ProblemCodeConnectionTimeout, api.ProblemCodeAssociationTimeout, api.ProblemCodeDIMSETimeout, api.ProblemCodeMoveTimeout,
	api.ProblemCodeNetworkTimeout, api.ProblemCodeOperationTimeout,
}

// NothingMoved returns the problem of a retrieve that moved nothing because of err, which may be nil if the cause is unknown. It
// is not an internal error in any case: a C-MOVE failed.
func NothingMoved(ctx context.Context, err error, withTLS bool) *Problem {
	if err != nil {
		if known := OfOperation(ctx, err, withTLS); known.Code != api.ProblemCodeInternalError {
			return known
		}
	}
	return &Problem{
		Code: api.ProblemCodeMoveFailed, Hint: hintFor(dicomnet.StepMove, &stepFault{err: err, tls: withTLS}),
		DICOM: &api.DICOMFault{Step: api.DICOMFaultStepMove}, Cause: err,
	}
}

// hintOf returns the hint for the step at which err occurred.
func hintOf(err error, withTLS bool) string {
	var step dicomnet.Step
	if op, ok := errors.AsType[*dicomnet.OpError](err); ok {
		step = op.Step
	} else if final, ok := errors.AsType[*dicomnet.StatusError](err); ok {
		step = final.Op
	}
	return hintFor(step, &stepFault{err: err, tls: withTLS})
}

// RetryAfter is the Retry-After of every 429 and 503, in seconds. It is the same for all refusals: another instance behind the same proxy
// takes over at once, a restart takes about that long, and by then a queue that was longer than QUEUE_TIMEOUT has moved on.
const RetryAfter = 5

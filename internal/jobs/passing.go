package jobs

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// errUnknown stands for a study that is not ok although nothing says why.
var errUnknown = errors.New("not everything was moved")

// passing reports whether the cause of a failure may pass, so that another attempt may succeed: the PACS cannot be reached or does not
// answer in time, refuses for now, ends the association, or is short of resources; or the gateway is.
func passing(err error) bool {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	if reject, ok := errors.AsType[*dicomnet.RejectError](err); ok {
		return reject.Transient()
	}
	if final, ok := errors.AsType[*dicomnet.StatusError](err); ok {
		return outOfResources(final.Status.String())
	}
	for _, matches := range []func(error) bool{
		as[*dicomnet.ConnectError], as[*net.DNSError], as[*dicomnet.AbortError], as[*pool.BusyError], as[*budget.BusyError],
		is(dicomnet.ErrConnectionLost), is(dicomnet.ErrReleased), is(dicomnet.ErrClosed), is(syscall.EMFILE), is(syscall.ENFILE),
	} {
		if matches(err) {
			return true
		}
	}
	return false
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// outOfResources reports whether the status is one of A7xx, refused: out of resources (PS3.4 tables C.4-1 and C.4-2).
func outOfResources(status string) bool { return strings.HasPrefix(status, "A7") }

// mayComplete reports whether another attempt may move what this one did not: a study was moved in part, was refused for lack of
// resources, or was not reached for a reason that may pass.
func mayComplete(r *qr.RetrieveResult) bool {
	for i := range r.Retrievals {
		m := &r.Retrievals[i]
		switch {
		case m.Status == qr.RetrievalOK:
		case m.Status == qr.RetrievalPartial, outOfResources(m.DICOMStatus):
			return true
		case m.DICOMStatus == "" && (r.Err == nil || passing(r.Err) || passing(r.LastErr)):
			return true
		}
	}
	return false
}

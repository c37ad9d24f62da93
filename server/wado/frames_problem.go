package wado

import (
	"errors"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/dicomnet/pixeldata"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/dicomweb/render"
	"dicom-qr-gateway/server/problem"
)

func has[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// frameProblem returns the problem of an error of packages pixeldata and render, or of the data set; else err itself.
func frameProblem(err error) error {
	p := &problem.Problem{Cause: err}
	switch {
	case err == nil:
		return nil
	case has[*pixeldata.NoPixelDataError](err), has[*pixeldata.NoFrameError](err):
		p.Code, p.Detail = api.ProblemCodeNotFound, "The instance has no such frame, or no pixel data."
	case has[*pixeldata.IndeterminateError](err):
		p.Code, p.Detail = api.ProblemCodeProtocolError, "The instance does not say where its frames begin and end. Retrieve it as a whole."
	case has[*pixeldata.FormatError](err), has[*dataset.FormatError](err), has[*stream.TruncatedError](err), has[*stream.GroupError](err):
		p.Code, p.Detail = api.ProblemCodeProtocolError, "The instance that the PACS sent is malformed."
	case has[*pixeldata.LimitError](err), has[*dataset.LimitError](err):
		p.Code, p.Detail = api.ProblemCodeLimitExceeded,
			"The frames need more memory than the gateway permits. Ask for fewer of them, in ascending order, or retrieve the instance as a whole."
	case has[*dataset.TransferSyntaxError](err):
		p.Code = api.ProblemCodeTransferSyntaxUnavailable
	case has[*render.BusyError](err), has[*pixeldata.BusyError](err):
		p.Code, p.RetryAfter = api.ProblemCodeMemoryBusy, problem.RetryAfter
	default:
		return err
	}
	return p
}

// pictureProblem is frameProblem for rendered images.
func pictureProblem(err error) error {
	switch {
	case has[*render.UnsupportedError](err), has[*pixeldata.NoPixelDataError](err):
		return &problem.Problem{Code: api.ProblemCodeNotAcceptable, Detail: notAnImage, Cause: err}
	case has[*pixeldata.LimitError](err):
		return &problem.Problem{Code: api.ProblemCodeRenderingUnsupported, Detail: "The image is too large for the gateway to render.", Cause: err}
	case has[*render.CompressedError](err), has[*dataset.TransferSyntaxError](err):
		return &problem.Problem{Code: api.ProblemCodeRenderingUnsupported, Cause: err}
	case has[*render.RegionError](err):
		return problem.Invalid([]api.Fault{{Pointer: "/viewport", Detail: "must have a region inside the image"}})
	}
	return frameProblem(err)
}

const notAnImage = "The instance is not an image, so it cannot be rendered."

// Compressed reports whether an answer failed because the gateway does not decode what the PACS sent. The PACS may send it uncompressed.
func Compressed(err error) bool { return has[*render.CompressedError](err) }

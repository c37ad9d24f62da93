package problem

import (
	"errors"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/pool"
)

var steps = map[dicomnet.Step]api.DICOMFaultStep{
	pool.StepResolve:       api.DICOMFaultStepResolve,
	dicomnet.StepConnect:   api.DICOMFaultStepConnect,
	dicomnet.StepTLS:       api.DICOMFaultStepTLS,
	dicomnet.StepAssociate: api.DICOMFaultStepAssociate,
	dicomnet.StepEcho:      api.DICOMFaultStepEcho,
	dicomnet.StepFind:      api.DICOMFaultStepFind,
	dicomnet.StepMove:      api.DICOMFaultStepMove,
	stepGet:                api.DICOMFaultStepGet,
}

const stepGet dicomnet.Step = "get"

// dicomFault returns the step at which err occurred and what the PACS answered, in the terms of the standard; nil if the step
// is unknown.
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

package dicomnet

import "context"

// Echo performs C-ECHO (PS3.7 section 9.1.5). It returns nil for success, otherwise an *OpError.
// Its cause is a *StatusError if the peer answered with another status.
func (a *Association) Echo(ctx context.Context) error {
	c := CommandSet{CommandField: CEchoRQ, AffectedSOPClassUID: VerificationSOPClass}
	op, err := a.begin(ctx, StepEcho, a.context(VerificationSOPClass), c, nil, nil)
	if err != nil {
		return opError(StepEcho, err)
	}
	defer op.end()
	m, err := op.response()
	if err != nil {
		return opError(StepEcho, err)
	}
	if m.command.Status != StatusSuccess {
		return opError(StepEcho, &StatusError{Op: StepEcho, Status: m.command.Status, Detail: m.command.Detail})
	}
	return nil
}

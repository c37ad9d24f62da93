package dicomnet

import (
	"context"

	"dicom-qr-gateway/dicomnet/dataset"
)

// StoreRequest is one C-STORE request, alone or a sub-operation of a C-MOVE.
type StoreRequest struct {
	SOPClassUID, SOPInstanceUID string
	// TransferSyntax is that of Data. Empty means the one that Association.TransferSyntax returns for SOPClassUID.
	TransferSyntax dataset.TransferSyntax
	// Data is the data set, encoded in TransferSyntax.
	Data []byte
	// MoveOriginatorAETitle and MoveOriginatorMessageID identify the C-MOVE; they are empty outside
	// one.
	MoveOriginatorAETitle   string
	MoveOriginatorMessageID uint16
}

// Store performs C-STORE (PS3.7 section 9.1.1). If the status is neither success nor a warning, the
// error is an *OpError whose cause is a *StatusError.
func (a *Association) Store(ctx context.Context, r StoreRequest) (Status, error) {
	op, err := a.begin(ctx, StepStore, a.contextIn(r.SOPClassUID, r.TransferSyntax), CommandSet{
		AffectedSOPClassUID:     r.SOPClassUID,
		CommandField:            CStoreRQ,
		AffectedSOPInstanceUID:  r.SOPInstanceUID,
		MoveOriginatorAETitle:   r.MoveOriginatorAETitle,
		MoveOriginatorMessageID: r.MoveOriginatorMessageID,
	}, r.Data)
	if err != nil {
		return 0, opError(StepStore, err)
	}
	defer op.end()
	m, err := op.response()
	if err != nil {
		return 0, opError(StepStore, err)
	}
	if class := m.command.Status.Class(); class != ClassSuccess && class != ClassWarning {
		err = opError(StepStore, &StatusError{Op: StepStore, Status: m.command.Status, Detail: m.command.Detail})
	}
	return m.command.Status, err
}

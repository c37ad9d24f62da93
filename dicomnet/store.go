package dicomnet

import (
	"bufio"
	"context"
	"errors"
	"io"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// StoreRequest is one C-STORE request, alone or a sub-operation of a C-MOVE.
type StoreRequest struct {
	SOPClassUID, SOPInstanceUID string
	// TransferSyntax is that of Data. Empty means the one that Association.TransferSyntax returns for SOPClassUID.
	TransferSyntax dataset.TransferSyntax
	// Data is the data set, encoded in TransferSyntax. If Body is not nil, it is what Body reads instead; an error of Body ends the
	// association.
	Data []byte
	Body io.Reader
	// MoveOriginatorAETitle and MoveOriginatorMessageID identify the C-MOVE; they are empty outside
	// one.
	MoveOriginatorAETitle   string
	MoveOriginatorMessageID uint16
}

func (r *StoreRequest) command() CommandSet {
	return CommandSet{
		AffectedSOPClassUID:     r.SOPClassUID,
		CommandField:            CStoreRQ,
		AffectedSOPInstanceUID:  r.SOPInstanceUID,
		MoveOriginatorAETitle:   r.MoveOriginatorAETitle,
		MoveOriginatorMessageID: r.MoveOriginatorMessageID,
	}
}

// Store performs C-STORE (PS3.7 section 9.1.1). If the status is neither success nor a warning, the
// error is an *OpError whose cause is a *StatusError.
func (a *Association) Store(ctx context.Context, r StoreRequest) (Status, error) {
	op, err := a.begin(ctx, StepStore, a.contextIn(r.SOPClassUID, r.TransferSyntax), r.command(), r.Data, r.Body)
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

// sendRequest sends a command set with the data set data, or with what body reads unless that is nil.
func (u *upperLayer) sendRequest(contextID byte, c *CommandSet, data []byte, body io.Reader, maxLength uint32) error {
	if body == nil {
		return u.sendMessage(contextID, c, data, maxLength)
	}
	u.traceCommand(true, c)
	const perWrite = 64 << 10 // several PDUs in a write if they are short
	fragment := int(maxLength-pdu.PDVHeaderLength) &^ 1
	reader := bufio.NewReaderSize(body, fragment+1)
	b := pdu.AppendMessagePart(make([]byte, 0, perWrite+int(maxLength)), contextID, true, c.Append(nil), maxLength)
	for {
		// The byte after the fragment shows whether it is the last one.
		data, err := reader.Peek(fragment + 1)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		last := len(data) <= fragment
		data = data[:min(len(data), fragment)]
		b = pdu.AppendPDataTF(b, pdu.PDV{ContextID: contextID, Last: last, Fragment: data})
		_, _ = reader.Discard(len(data))
		if last || len(b) >= perWrite {
			if err := u.sendData(b); err != nil {
				return err
			}
			b = b[:0]
		}
		if last {
			return nil
		}
	}
}

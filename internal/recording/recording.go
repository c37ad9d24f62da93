// Package recording describes what a query or a retrieve at a PACS did, in the values that audit records take. Requests and jobs use it
// alike.
package recording

import (
	"context"
	"iter"
	"strconv"

	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr"
)

// Codes returns why an operation failed, as the code of a problem.
type Codes interface {
	// Of returns the code for an error.
	Of(ctx context.Context, err error) string
	// NothingMoved returns the code for a retrieve that moved nothing because of err, which may be nil.
	NothingMoved(ctx context.Context, err error) string
}

// Operation returns what all records of an operation at the PACS have in common. patientID may be "".
func Operation(caller principal.Principal, peer qr.Peer, patientID string) audit.Operation {
	return audit.Operation{
		Caller:         caller,
		PACS:           audit.Node{Name: peer.Name, Host: peer.Host, Port: peer.Port, AETitle: peer.CalledAETitle},
		CallingAETitle: peer.CallingAETitle,
		PatientID:      patientID,
	}
}

// Query returns the record of a C-FIND as it is sent; false: it cannot be encoded, so nothing is sent.
func Query(i qr.Identifier) (audit.Query, bool) {
	b, err := i.Encode()
	if err != nil {
		return audit.Query{}, false
	}
	return audit.Query{SOPClassUID: i.SOPClassUID, TransferSyntax: string(i.TransferSyntax), Identifier: b}, true
}

// Result returns how err ends an event, with the code that the caller gets.
func Result(ctx context.Context, err error, codes Codes) audit.Result {
	if err == nil {
		return audit.Result{Outcome: audit.Success, Description: "ok"}
	}
	return audit.Result{Outcome: audit.SeriousFailure, Description: codes.Of(ctx, err)}
}

// Transferred returns how a retrieve with a result ended.
func Transferred(ctx context.Context, result *qr.RetrieveResult, codes Codes) audit.Result {
	switch succeeded := result.Succeeded(); {
	case succeeded == len(result.Studies):
		return audit.Result{Outcome: audit.Success, Description: "ok"}
	case result.Moved():
		return audit.Result{Outcome: audit.MinorFailure, Description: "partial"}
	}
	return audit.Result{Outcome: audit.SeriousFailure, Description: codes.NothingMoved(ctx, result.Err)}
}

// Studies yields studies, with the outcome of each in its details; nil: it has none. Nothing changes studies and outcomes once they
// are recorded, as an audit record requires: they are part of a result.
func Studies(studies []qr.Study, outcome func(i int) *qr.Retrieval) iter.Seq[audit.Study] {
	return func(yield func(audit.Study) bool) {
		var details []audit.Detail // of the current study
		for i := range studies {
			s := &studies[i]
			details = details[:0]
			if outcome != nil {
				details = appendDetails(details, outcome(i))
			}
			if !yield(audit.Study{
				UID: s.StudyInstanceUID, Description: s.StudyDescription, AccessionNumber: s.AccessionNumber, PatientName: s.PatientName,
				Details: details,
			}) {
				return
			}
		}
	}
}

// Outcomes returns the outcome of study i of a result, for Studies; nil: the study has none.
func Outcomes(result *qr.RetrieveResult) func(i int) *qr.Retrieval {
	return func(i int) *qr.Retrieval {
		if i >= len(result.Retrievals) {
			return nil
		}
		return &result.Retrievals[i]
	}
}

// NotAttempted is the outcome of studies that were announced and not moved, for Studies.
func NotAttempted(int) *qr.Retrieval { return &qr.Retrieval{Status: qr.RetrievalNotAttempted} }

func appendDetails(details []audit.Detail, r *qr.Retrieval) []audit.Detail {
	if r == nil {
		return details
	}
	details = append(details, audit.Detail{Type: "status", Value: []byte(r.Status)})
	if r.DICOMStatus != "" {
		details = append(details, audit.Detail{Type: "dicom_status", Value: []byte(r.DICOMStatus)})
	}
	for _, counter := range []struct {
		name  string
		value *int
	}{{"completed", r.Completed}, {"failed", r.Failed}, {"warning", r.Warning}} {
		if counter.value != nil {
			details = append(details, audit.Detail{Type: counter.name, Value: strconv.AppendInt(nil, int64(*counter.value), 10)})
		}
	}
	return details
}

package problem

import (
	"slices"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/qr"
)

// stepFault is why a step failed, with what else decides what to check.
type stepFault struct {
	err  error
	tls  bool // the PACS was called with TLS
	find bool // the association of a C-ECHO accepts C-FIND
}

// hint is what to check if a fault of one of the steps matches; no steps: of any step. The texts are for people who connect a
// PACS: they name the fields of a request and the settings. A text holds no address and nothing that the peer sent.
type hint struct {
	steps   []dicomnet.Step
	matches func(*stepFault) bool
	text    string
}

// hintFor returns the text of the first hint that matches at the step.
func hintFor(step dicomnet.Step, f *stepFault) string {
	for i := range hints {
		h := &hints[i]
		if (h.steps == nil || slices.Contains(h.steps, step)) && h.matches(f) {
			return h.text
		}
	}
	return "This fault is unusual. Check the log of the PACS at this time."
}

// EchoHint returns what to check after step i of the report, in plain words: always if the step failed, and for associate also
// if the PACS accepted C-ECHO without C-FIND or C-MOVE; else "". withTLS says whether the PACS was called with TLS.
func EchoHint(r *qr.EchoReport, i int, withTLS bool) string {
	s := &r.Steps[i]
	switch {
	case s.Status == qr.EchoFailed:
		return hintFor(s.Step, &stepFault{err: s.Err, tls: withTLS, find: acceptsFind(r)})
	case s.Step == dicomnet.StepAssociate && s.Accepted("C-ECHO"):
		return missingServices(s)
	}
	return ""
}

// acceptsFind reports whether the association was established and accepts C-FIND.
func acceptsFind(r *qr.EchoReport) bool {
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Step == dicomnet.StepAssociate && s.Status == qr.EchoOK {
			return s.Accepted("C-FIND")
		}
	}
	return false
}

// missingServices returns the hint about an association that accepts C-ECHO but not everything that the gateway needs.
func missingServices(s *qr.EchoStep) string {
	const permit = " Check what the PACS permits to this calling AE title (Study Root)."
	find, move := s.Accepted("C-FIND"), s.Accepted("C-MOVE")
	switch {
	case !find && !move:
		return "The PACS accepts neither C-FIND nor C-MOVE from this caller: queries and retrieves will fail." + permit
	case !find:
		return "The PACS does not accept C-FIND from this caller: queries and retrieves will fail." + permit
	case !move:
		return "The PACS does not accept C-MOVE from this caller: retrieves will fail." + permit
	}
	return ""
}

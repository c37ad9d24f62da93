// Package match judges whether a data set matches the keys of a query: the attribute matching of PS3.4 section C.2.2.2 for
// every VR. It also builds the identifier of a C-FIND from such keys.
//
// A PACS is not trusted to have applied a key. [Filter.Judge] decides about each of its matches, and it decides as the standard
// allows a PACS to decide: UIDs, dates, codes and Patient IDs match exactly, text and person names also if letter case or
// accents differ, numbers by value. So it drops what does not match and keeps what a PACS may rightly return.
//
// The cost of a judgement is linear in the length of the values, whatever the key and the data set contain.
package match

import (
	"fmt"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Path leads to an attribute: the tags of the sequences that contain it, from the top level down, then its own tag.
type Path []dataset.Tag

// String returns the tags as PS3.18 section 8.3.4.1 writes them: eight hexadecimal digits each, joined by dots.
func (p Path) String() string {
	var b strings.Builder
	for i, t := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		fmt.Fprintf(&b, "%04X%04X", t.Group, t.Element)
	}
	return b.String()
}

// Verdict says whether a data set matches.
type Verdict int

// The verdicts.
const (
	// Unknown means that the data set lacks the attribute, or what is needed to judge it. An attribute that is present but empty
	// is known: it differs from every value.
	Unknown Verdict = iota
	Matches
	Differs
)

func (v Verdict) String() string { return [...]string{"unknown", "matches", "differs"}[v] }

// ValueError reports a key that the standard does not allow. It does not contain the value.
type ValueError struct {
	Path   Path
	VR     string // of the attribute; "" if it is not known
	Reason string // what is wrong, as a predicate: "is not a UID"
}

func (e *ValueError) Error() string { return e.Path.String() + " " + e.Reason }

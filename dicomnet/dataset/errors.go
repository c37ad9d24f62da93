package dataset

import (
	"fmt"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// FormatError reports a data set whose structure cannot be parsed.
type FormatError struct {
	Offset int    // of the element or item, in bytes from the start
	Reason string // what is wrong with it
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("invalid data set at offset %d: %s", e.Offset, e.Reason)
}

// LimitError reports a data set that exceeds a limit.
type LimitError struct {
	What  string // "elements", "levels" or "bytes"
	Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("data set exceeds the limit of %d %s", e.Limit, e.What)
}

// TransferSyntaxError reports a transfer syntax that this package does not read, or does not write.
type TransferSyntaxError struct{ TransferSyntax TransferSyntax }

func (e *TransferSyntaxError) Error() string {
	return fmt.Sprintf("transfer syntax %q is not supported", string(e.TransferSyntax))
}

// ValueError reports an element that cannot be encoded.
type ValueError struct {
	Tag    tag.Tag
	Reason string
}

func (e *ValueError) Error() string { return fmt.Sprintf("element %v: %s", e.Tag, e.Reason) }

// RepertoireError reports text with a character that the Specific Character Set of its data set
// does not have.
type RepertoireError struct {
	Tag          tag.Tag
	CharacterSet string // the value of (0008,0005); "" is the default repertoire
}

func (e *RepertoireError) Error() string {
	return fmt.Sprintf("element %v: text cannot be encoded in the character set %q", e.Tag, e.CharacterSet)
}

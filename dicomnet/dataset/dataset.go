// Package dataset reads and writes DICOM data sets as they travel over an
// association (PS3.5 section 7): without a Part 10 header, in a transfer syntax
// that was negotiated.
//
// Reading is made for bytes of a peer that nobody checked. [Parse] walks the
// structure once within [Limits] and allocates by what it finds, never by what
// a length claims; the [Set] it returns points into the caller's buffer and
// decodes a value when it is asked for. A malformed value costs that value and
// leaves a [Warning]; only a structure that cannot be walked is an error.
//
// Writing ([Encode]) takes the element type of github.com/suyashkumar/dicom
// and is strict: what the standard does not allow is an error.
//
// Text is UTF-8 on this side, always valid; Specific Character Set (0008,0005)
// rules on the other (PS3.3 section C.12.1.1.2, PS3.5 section 6.1).
//
// No error of this package holds a value of a data set, other than the name of a
// character set to be written.
package dataset

import "fmt"

// TransferSyntax is a transfer syntax UID.
type TransferSyntax string

// The transfer syntaxes of this package (PS3.5 section 10 and annex A).
const (
	ImplicitVRLittleEndian TransferSyntax = "1.2.840.10008.1.2"
	ExplicitVRLittleEndian TransferSyntax = "1.2.840.10008.1.2.1"
	ExplicitVRBigEndian    TransferSyntax = "1.2.840.10008.1.2.2" // for reading; retired in PS3.5 2016b
)

// Limits bound the structure of one data set; zero fields stand for defaults.
type Limits struct {
	MaxDepth    int // nested sequences, 8
	MaxElements int // elements and items in all, 4096
}

func (l Limits) withDefaults() Limits {
	if l.MaxDepth <= 0 {
		l.MaxDepth = 8
	}
	if l.MaxElements <= 0 {
		l.MaxElements = 4096
	}
	return l
}

// Warning is a bit set of what was assumed or lost while reading.
type Warning uint8

// What may have happened.
const (
	// CharacterSetAssumed: bytes which the Specific Character Set, as far as there is one, leaves without a meaning, read
	// by a guess: valid UTF-8 as UTF-8, others as ISO_IR 100; or as what is usually meant by them (see Set.String).
	CharacterSetAssumed Warning = 1 << iota
	// CharacterSetUnknown: a term that is none of the standard's nor a known misspelling; the same guess is made.
	CharacterSetUnknown
	// TextUndecodable: bytes that the character set does not have; U+FFFD stands for them.
	TextUndecodable
	// ValueMalformed: a value that its VR does not allow, or an element that had to be passed over.
	ValueMalformed
	// TransferSyntaxAssumed: the set was evidently not in the transfer syntax negotiated; see Set.TransferSyntax.
	TransferSyntaxAssumed
)

// FormatError is a data set whose structure cannot be walked.
type FormatError struct {
	Offset int    // of the element or item, in bytes from the start
	Reason string // what is wrong with it
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("data set broken at offset %d: %s", e.Offset, e.Reason)
}

// LimitError is a data set that is larger than the limits allow.
type LimitError struct {
	What  string // "elements", "levels" or "bytes"
	Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("data set exceeds the limit of %d %s", e.Limit, e.What)
}

// TransferSyntaxError is a transfer syntax which this package does not read or write.
type TransferSyntaxError struct{ TransferSyntax TransferSyntax }

func (e *TransferSyntaxError) Error() string {
	return fmt.Sprintf("transfer syntax %q is not supported", string(e.TransferSyntax))
}

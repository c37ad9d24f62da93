// Package dataset reads and writes DICOM data sets as they are transmitted over an association
// (PS3.5 section 7): without a Part 10 header, in a negotiated transfer syntax.
//
// The reader is made for unchecked bytes from a peer. [Parse] walks the structure once within
// [Limits]. It allocates memory for what it finds, never for a length that is only claimed. The
// [Set] that it returns refers to the caller's buffer and decodes values on demand. A malformed
// value affects only itself and sets one of the [Warnings]; only a structure that cannot be parsed is an
// error.
//
// The writer, [Encode], takes a [Dataset] of github.com/suyashkumar/dicom. It is strict: what
// the standard does not allow is an error.
//
// In Go, text is always valid UTF-8. In the encoded data set, its encoding is that of Specific
// Character Set (0008,0005) (PS3.3 section C.12.1.1.2, PS3.5 section 6.1).
//
// No error of this package contains a value of a data set, except the name of a character set that
// was to be written.
package dataset

// TransferSyntax is a transfer syntax UID.
type TransferSyntax string

// The transfer syntaxes of data sets (PS3.5 section 10 and annex A). This package reads and writes the first three; package stream reads
// all.
const (
	ImplicitVRLittleEndian TransferSyntax = "1.2.840.10008.1.2"
	ExplicitVRLittleEndian TransferSyntax = "1.2.840.10008.1.2.1"
	ExplicitVRBigEndian    TransferSyntax = "1.2.840.10008.1.2.2" // read only; retired in PS3.5 2016b

	DeflatedExplicitVRLittleEndian TransferSyntax = "1.2.840.10008.1.2.1.99"
	JPEGBaseline                   TransferSyntax = "1.2.840.10008.1.2.4.50"
	RLELossless                    TransferSyntax = "1.2.840.10008.1.2.5"
)

// Limits bounds the structure of one data set. Zero fields stand for the defaults.
type Limits struct {
	MaxDepth    int // of nested sequences; default 8
	MaxElements int // elements and items together; default 4096
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

// Warnings is a bit set of what the reader assumed or lost.
type Warnings uint8

// The warnings.
const (
	// CharacterSetAssumed reports bytes to which Specific Character Set gives no meaning. The
	// reader decodes them as UTF-8 if they are valid UTF-8 and as ISO_IR 100 otherwise, or as what
	// senders usually mean by them (see [Set.String]).
	CharacterSetAssumed Warnings = 1 << iota
	// CharacterSetUnknown reports a term that is neither a defined term of the standard nor a known
	// misspelling. The reader then decodes as for CharacterSetAssumed.
	CharacterSetUnknown
	// TextUndecodable reports bytes that are not in the character set. U+FFFD replaces them.
	TextUndecodable
	// ValueMalformed reports a value that its VR does not allow, or an element that the reader
	// skipped.
	ValueMalformed
	// TransferSyntaxAssumed reports that the data set is evidently not in the negotiated transfer
	// syntax; see [Set.TransferSyntax].
	TransferSyntaxAssumed
	// TextCut reports text that is cut because it is longer than [MaxText].
	TextCut
)

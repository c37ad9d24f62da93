// Package dataset reads and writes DICOM data sets as they travel over an
// association: without a Part 10 header, in a transfer syntax that was
// negotiated. (stub of the face; the real one follows)
package dataset

import (
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// TransferSyntax is a transfer syntax UID.
type TransferSyntax string

// The transfer syntaxes of this package (PS3.5 section 10 and annex A).
const (
	ImplicitVRLittleEndian TransferSyntax = "1.2.840.10008.1.2"
	ExplicitVRLittleEndian TransferSyntax = "1.2.840.10008.1.2.1"
	ExplicitVRBigEndian    TransferSyntax = "1.2.840.10008.1.2.2"
)

// Limits bound the structure of one data set; zero fields stand for defaults.
type Limits struct {
	MaxDepth    int // nested sequences, 8
	MaxElements int // elements in all, 4096
}

// Set is a light, read-only view of one data set over the caller's buffer.
type Set struct{}

// Parse indexes b; the Set refers to b. Malformed values cost themselves, a broken structure is an error.
func Parse(b []byte, ts TransferSyntax, lim Limits) (*Set, error) { panic("stub") }

// Len counts the elements of the top level.
func (s *Set) Len() int { panic("stub") }

// Has reports whether the element is present, even if empty.
func (s *Set) Has(t tag.Tag) bool { panic("stub") }

// String is the first value of a text element as UTF-8 without padding; "" where absent.
func (s *Set) String(t tag.Tag) string { panic("stub") }

// Strings are all values of a text element, split at backslashes (LT, ST, UT, UR: one), without padding.
func (s *Set) Strings(t tag.Tag) []string { panic("stub") }

// Uint16 is the first value of a US element.
func (s *Set) Uint16(t tag.Tag) (uint16, bool) { panic("stub") }

// Bytes is the raw value, which aliases the buffer.
func (s *Set) Bytes(t tag.Tag) ([]byte, bool) { panic("stub") }

// Items are the items of a sequence.
func (s *Set) Items(t tag.Tag) []*Set { panic("stub") }

// Warning is a bit set of what was assumed or lost while reading.
type Warning uint8

// What may have happened.
const (
	// CharacterSetAssumed: bytes above 7F without a Specific Character Set; see String.
	CharacterSetAssumed Warning = 1 << iota
	// CharacterSetUnknown: a term that is none of the standard's nor a known misspelling.
	CharacterSetUnknown
	// TextUndecodable: bytes that the character set does not have; U+FFFD stands for them.
	TextUndecodable
	// ValueMalformed: a value that its VR does not allow, or an element that had to be passed over.
	ValueMalformed
)

// Warnings tells what happened so far; reading text may add to it.
func (s *Set) Warnings() Warning { panic("stub") }

// Dataset converts to the library's type.
func (s *Set) Dataset() (*dicom.Dataset, error) { panic("stub") }

// Text makes an element with a text VR; it panics where the dictionary does not know t as such.
func Text(t tag.Tag, values ...string) *dicom.Element { panic("stub") }

// Encode writes ds in ts, sorted, padded, and in the character set that its (0008,0005) names.
func Encode(ds *dicom.Dataset, ts TransferSyntax) ([]byte, error) { panic("stub") }

package pixeldata

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
)

// Limits bounds what is held of an instance. Zero fields stand for the defaults.
type Limits struct {
	// Attributes limits the bytes of the attributes that are kept; default 16 MiB.
	Attributes int
	// Held limits the bytes of frames that must be held: those that were asked for in another order than they have in the data set, and those
	// whose end is only known later; default 32 MiB.
	Held int64
	// Memory, if it is not nil, gives and takes back the memory of frames that are held.
	Memory Memory
	// Stream are the limits of the data set.
	Stream stream.Limits
}

// Memory is a budget that several callers share. It is safe for concurrent use.
type Memory interface {
	TryTake(bytes int64) bool
	Give(bytes int64)
}

const (
	defaultAttributes = 16 << 20
	defaultHeld       = 32 << 20
)

// Form is how the pixel data are encoded.
type Form uint8

// The forms.
const (
	Native       Form = iota // (7FE0,0010), Pixel Data (PS3.5 section 8.1)
	Encapsulated             // (7FE0,0010) as fragments (PS3.5 annex A.4)
	Float                    // (7FE0,0008), Float Pixel Data (PS3.3 section C.7.6.24)
	Double                   // (7FE0,0009), Double Float Pixel Data (PS3.3 section C.7.6.25)
)

// Source is an instance whose data set has been read up to its pixel data. A Source may be used by one goroutine at a time.
type Source struct {
	Layout
	Form           Form
	TransferSyntax dataset.TransferSyntax
	// Count is the Number of Frames.
	Count int
	// Attributes has the attributes that keep selected, and those that describe the pixel data.
	Attributes *dataset.Set

	decoder *stream.Decoder
	limits  Limits
	length  int64 // of native pixel data

	offsets, lengths []uint64 // Extended Offset Table
}

// NoPixelDataError reports an instance without pixel data, such as a structured report.
type NoPixelDataError struct{}

func (*NoPixelDataError) Error() string { return "instance has no pixel data" }

// NoFrameError reports a frame number that is greater than the number of frames.
type NoFrameError struct{}

func (*NoFrameError) Error() string { return "instance has no such frame" }

// BusyError reports that Limits.Memory had no memory for a frame that must be held.
type BusyError struct{}

func (*BusyError) Error() string { return "no memory for frames that must be held" }

// IndeterminateError reports that the data set does not say for certain where its frames begin.
type IndeterminateError struct{ Reason string }

func (e *IndeterminateError) Error() string { return "pixel data: " + e.Reason }

// Open reads the data set of r in transfer syntax ts up to its pixel data. It keeps the attributes that describe them, and those at any depth
// for which keep, which may be nil, returns true; what is in a sequence is kept only if the sequence is.
//
// The error is a *NoPixelDataError, a *FormatError, an *IndeterminateError, a *LimitError, or an error of package stream.
func Open(r io.Reader, ts dataset.TransferSyntax, keep func(dataset.Tag) bool, limits Limits) (*Source, error) {
	if limits.Attributes <= 0 {
		limits.Attributes = defaultAttributes
	}
	if limits.Held <= 0 {
		limits.Held = defaultHeld
	}
	s := &Source{decoder: stream.NewDecoder(r, ts, limits.Stream), limits: limits, TransferSyntax: ts}
	if err := s.open(keep); err != nil {
		s.decoder.Close()
		return nil, err
	}
	return s, nil
}

// Close releases memory. Frames yields nothing more afterwards.
func (s *Source) Close() { s.decoder.Close() }

func (s *Source) open(keep func(dataset.Tag) bool) error {
	c := collector{decoder: s.decoder, keep: keep, limit: s.limits.Attributes}
	for {
		token, err := s.decoder.Next()
		if errors.Is(err, io.EOF) {
			return &NoPixelDataError{}
		} else if err != nil {
			return err
		}
		if token.Depth == 0 {
			if done, err := s.pixelData(&token); err != nil {
				return err
			} else if done {
				break
			}
		}
		if err := c.collect(&token); err != nil {
			return err
		}
	}
	set, err := c.set()
	if err != nil {
		return err
	}
	s.Attributes = set
	return s.describe()
}

// pixelData reports whether token begins pixel data.
func (s *Source) pixelData(token *stream.Token) (bool, error) {
	switch token.Tag {
	case tagExtendedOffsetTable, tagExtendedOffsetLengths:
		if token.Kind != stream.Element {
			return false, nil
		}
		table, err := readTable(s.decoder, token.Length, 8, s.limits.Attributes)
		if err != nil {
			return false, err
		}
		if token.Tag == tagExtendedOffsetTable {
			s.offsets = table
		} else {
			s.lengths = table
		}
		return false, nil
	case tagFloatPixelData:
		s.Form = Float
	case tagDoublePixelData:
		s.Form = Double
	case tagPixelData:
		if token.Kind == stream.FragmentsStart {
			s.Form = Encapsulated
		}
	default:
		return false, nil
	}
	switch {
	case token.Kind == stream.SequenceStart, token.Kind == stream.FragmentsStart && s.Form != Encapsulated:
		return false, &FormatError{Reason: "pixel data are a sequence"}
	case Encapsulates(s.TransferSyntax) != (s.Form == Encapsulated):
		return false, &FormatError{Reason: "the form of the pixel data is not that of the transfer syntax"}
	}
	s.length = token.Length
	return true, nil
}

// describe reads the attributes that describe the pixel data.
func (s *Source) describe() error {
	a := s.Attributes
	number := func(tag dataset.Tag, otherwise int) int {
		if v, ok := a.Uint16(tag); ok {
			return int(v)
		}
		return otherwise
	}
	s.Rows, s.Columns = number(tagRows, 0), number(tagColumns, 0)
	s.Samples = number(tagSamplesPerPixel, 1)
	s.BitsAllocated = number(tagBitsAllocated, 0)
	switch s.Form {
	case Float:
		s.BitsAllocated = 32
	case Double:
		s.BitsAllocated = 64
	default:
	}
	s.BitsStored = number(tagBitsStored, s.BitsAllocated)
	s.HighBit = number(tagHighBit, s.BitsStored-1)
	s.Signed = number(tagPixelRepresentation, 0) == 1
	s.PlanarConfiguration = number(tagPlanarConfiguration, 0)
	s.Photometric = upper(a.String(tagPhotometric))
	s.Count = 1
	if text := a.String(tagNumberOfFrames); text != "" {
		n, ok := a.Int(tagNumberOfFrames)
		if !ok || n < 1 || n > maxFrames {
			return &IndeterminateError{Reason: "the Number of Frames is no number from 1 to " + strconv.Itoa(maxFrames)}
		}
		s.Count = int(n)
	}
	if s.Form != Encapsulated {
		return s.checkLength()
	}
	return nil
}

// maxFrames is the greatest value of VR IS.
const maxFrames = 1<<31 - 1

// readTable reads a table of numbers with the given size in bytes.
func readTable(d *stream.Decoder, length int64, size, limit int) ([]uint64, error) {
	if length < 0 || length%int64(size) != 0 {
		return nil, &FormatError{Reason: "the length of an offset table is not that of its numbers"}
	}
	b, err := d.Bytes(limit)
	if err != nil {
		return nil, fmt.Errorf("reading an offset table: %w", err)
	}
	table := make([]uint64, len(b)/size)
	for i := range table {
		for j := size - 1; j >= 0; j-- {
			table[i] = table[i]<<8 | uint64(b[i*size+j])
		}
	}
	return table, nil
}

// Encapsulates reports whether pixel data are encapsulated in a transfer syntax (PS3.5 annex A.4), and not native.
func Encapsulates(ts dataset.TransferSyntax) bool {
	switch ts {
	case dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian, dataset.ExplicitVRBigEndian,
		"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205":
		return false // JPIP has no pixel data
	}
	return true
}

// Package transcode converts DICOM data sets to Explicit VR Little Endian while they are read: from Implicit VR Little Endian, Explicit VR Big
// Endian, Deflated Explicit VR Little Endian, RLE Lossless and JPEG Baseline (PS3.5 section 10 and annex A).
//
// Memory does not grow with the data set: at most one frame is held, and the size of a frame is limited.
package transcode

import (
	"fmt"
	"io"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
)

// Converts reports whether [NewReader] converts data sets in transfer syntax from. Explicit VR Little Endian is one: such a data set is copied.
func Converts(from dataset.TransferSyntax) bool {
	switch from {
	case dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian, dataset.ExplicitVRBigEndian, dataset.DeflatedExplicitVRLittleEndian,
		dataset.RLELossless, dataset.JPEGBaseline:
		return true
	}
	return false
}

// UnsupportedError reports pixel data that is not encoded as its transfer syntax says, or in a way that this package does not decode.
type UnsupportedError struct{ Reason string }

func (e *UnsupportedError) Error() string { return "pixel data cannot be decoded: " + e.Reason }

// FrameError reports a frame that cannot be decoded.
type FrameError struct {
	Frame int // from 1
	Err   error
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("frame %d cannot be decoded: %v", e.Frame, e.Err)
}

// Unwrap returns the reason.
func (e *FrameError) Unwrap() error { return e.Err }

// Limits bounds a conversion. Zero fields stand for the defaults.
type Limits struct {
	stream.Limits
	MaxFrame int64 // bytes of a frame, encoded as well as decoded; default 256 MiB
}

// Reader reads the converted data set. It differs from the source as follows:
//
//   - Sequences and items have undefined length. An element of undefined length in implicit VR is a sequence, and so is one of VR UN.
//   - VRs of implicit elements are those of the dictionary, UN if it does not have the tag. US or SS is decided by Pixel Representation of the
//     item, or else of what encloses it.
//   - A value that is longer than its VR allows in explicit VR becomes UN (PS3.18 section 8.7.8.1). A value of odd length is padded.
//   - Group lengths are left out (PS3.5 section 7.2), and so are delimiters and zeros that do not belong to the data set.
//   - Pixel data of RLE Lossless and JPEG Baseline is decoded, also in items such as those of Icon Image Sequence. It has the length that Rows,
//     Columns, Samples per Pixel, Bits Allocated and Number of Frames give, and the Extended Offset Table is left out.
//   - Colour pixels of JPEG Baseline become RGB, sample by sample: Photometric Interpretation and Planar Configuration say so. Those of RLE
//     Lossless have the Photometric Interpretation and the Planar Configuration of the source.
//
// Data sets in Explicit VR Little Endian are not checked and stay as they are.
//
// Read and WriteTo return the errors of [stream.Decoder], an *[UnsupportedError], or a *[FrameError].
type Reader struct {
	d            *stream.Decoder
	copied       io.Reader // the source, if it needs no conversion
	encapsulated bool      // pixel data has to be decoded
	jpeg         bool
	limits       Limits

	rest []byte // of what produce returned
	out  []byte // its buffer
	err  error  // sticky

	value  bool // the Decoder is in a value that is being copied
	pad    int  // the byte after the value, -1 for none
	levels []pixelAttributes
	pixels frames // the frames that are being decoded, nil if none
}

// NewReader returns a Reader of the data set that r has in transfer syntax from. The error is a *dataset.TransferSyntaxError.
func NewReader(r io.Reader, from dataset.TransferSyntax, limits Limits) (*Reader, error) {
	if !Converts(from) {
		return nil, &dataset.TransferSyntaxError{TransferSyntax: from}
	}
	if from == dataset.ExplicitVRLittleEndian {
		return &Reader{copied: r}, nil
	}
	if limits.MaxFrame <= 0 {
		limits.MaxFrame = 256 << 20
	}
	return &Reader{
		d: stream.NewDecoder(r, from, limits.Limits), limits: limits, jpeg: from == dataset.JPEGBaseline,
		encapsulated: from == dataset.JPEGBaseline || from == dataset.RLELossless,
		levels:       make([]pixelAttributes, 1, 4), out: make([]byte, 0, 2*enough),
	}, nil
}

// Close releases memory that other Readers can use.
func (r *Reader) Close() {
	if r.d != nil {
		r.d.Close()
	}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.copied != nil {
		return r.copied.Read(p)
	}
	if len(r.rest) == 0 && len(p) > 0 {
		var err error
		if r.rest, err = r.produce(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if r.copied != nil {
		return io.Copy(w, r.copied)
	}
	var written int64
	for {
		n, err := w.Write(r.rest)
		written += int64(n)
		r.rest = r.rest[n:]
		if err != nil {
			return written, err
		}
		if r.rest, err = r.produce(); err == io.EOF { //nolint:errorlint // made there
			return written, nil
		} else if err != nil {
			return written, err
		}
	}
}

const (
	// enough is how many bytes of small elements produce collects.
	enough = 16 << 10
	// small is the length of a value that is collected, and not returned from where it is.
	small = 4 << 10
)

// produce returns the next bytes, at least one. They are valid until the next call.
func (r *Reader) produce() ([]byte, error) {
	r.out = r.out[:0]
	for r.err == nil && len(r.out) < enough {
		var b []byte
		switch {
		case r.pixels != nil:
			b, r.err = r.pixelBytes()
		case r.value:
			b, r.err = r.valueBytes()
		default:
			var token stream.Token
			if token, r.err = r.d.Next(); r.err == nil {
				r.err = r.token(&token)
			}
		}
		if len(b) == 0 {
			continue
		}
		if len(b) <= small && len(r.out)+len(b) <= cap(r.out) {
			r.out = append(r.out, b...)
			continue
		}
		if len(r.out) == 0 {
			return b, nil
		}
		r.out = append(r.out, b...)
	}
	if len(r.out) > 0 {
		return r.out, nil
	}
	return nil, r.err
}

// valueBytes returns the next bytes of the value that is being copied, and its padding.
func (r *Reader) valueBytes() ([]byte, error) {
	b, err := r.d.Chunk()
	if err == io.EOF { //nolint:errorlint // made there
		r.value = false
		if r.pad >= 0 {
			r.out = append(r.out, byte(r.pad))
		}
		return nil, nil
	}
	return b, err
}

// pixelBytes returns the next bytes of the frames that are being decoded, and their padding.
func (r *Reader) pixelBytes() ([]byte, error) {
	b, err := r.pixels.next()
	if err == io.EOF { //nolint:errorlint // made there
		r.pixels = nil
		if r.pad >= 0 {
			r.out = append(r.out, byte(r.pad))
		}
		return nil, nil
	}
	return b, err
}

// token writes a token.
func (r *Reader) token(token *stream.Token) error {
	if token.Depth == 0 && r.encapsulated {
		r.addPlanarConfiguration(token)
	}
	switch token.Kind {
	case stream.Element:
		return r.element(token)
	case stream.SequenceStart:
		r.out = stream.AppendHeader(r.out, token.Tag, token.VR, stream.Undefined)
	case stream.ItemStart:
		r.levels = append(r.levels[:token.Depth+1], pixelAttributes{})
		r.out = stream.AppendItem(r.out, stream.Undefined)
	case stream.ItemEnd:
		r.out = stream.AppendItemEnd(r.out)
	case stream.SequenceEnd:
		r.out = stream.AppendSequenceEnd(r.out)
	case stream.FragmentsStart:
		return r.fragments(token)
	case stream.OffsetTable, stream.Fragment, stream.FragmentsEnd:
		return &UnsupportedError{"unexpected fragment"} // frames read them
	}
	return nil
}

// element writes the header of an element, and the value too if it describes pixels.
func (r *Reader) element(token *stream.Token) error {
	switch {
	case token.Tag.Element == 0: // group length
		return nil
	case r.encapsulated && token.Tag.Group == groupPixels:
		if token.Tag == tagPixelData && token.Depth == 0 {
			return &UnsupportedError{"it is not encapsulated"}
		}
		if token.Tag == tagExtendedOffsetTable || token.Tag == tagExtendedOffsetTableLengths {
			return nil
		}
	case r.encapsulated && token.Tag.Group == groupImage && token.Length <= maxAttribute:
		return r.attribute(token)
	}
	r.header(token, token.Length)
	r.value = true
	return nil
}

// header writes the header of an element with a value of the given length before it is padded.
func (r *Reader) header(token *stream.Token, length int64) {
	r.pad = -1
	vr := token.VR
	if length&1 != 0 {
		r.pad = 0
		if vr.Kind() == dataset.KindText && vr.Name() != "UI" {
			r.pad = ' '
		}
		length++
	}
	if length > maxShort && !vr.LongForm() {
		vr = vrUN
	}
	r.out = stream.AppendHeader(r.out, token.Tag, vr, length)
}

// maxShort is the greatest even length of a value whose header has a length of 2 bytes.
const maxShort = 65534

var vrUN, vrUS, vrOW = vrOf("UN"), vrOf("US"), vrOf("OW")

func vrOf(name string) dataset.VR {
	vr, _ := dataset.LookupVR(name[0], name[1])
	return vr
}

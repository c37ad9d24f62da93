package stream_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
)

var fuzzed = []dataset.TransferSyntax{
	dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian, dataset.ExplicitVRBigEndian, dataset.DeflatedExplicitVRLittleEndian,
}

func seed(f *testing.F) {
	f.Helper()
	for i, s := range []syntax{implicit, explicit, bigEndian} {
		for _, b := range []string{
			"",
			s.head(),
			s.head(s.sequence(0x00081115, "SQ", s.item(s.us(0x00280010, 1), s.sequence(0x00081199, "SQ")), s.definedItem(s.us(0x00280010, 1)))),
			s.us(0x00280103, 1) + s.element(0x00280106, "SS", "ab") + s.sequence(0x00283000, "SQ", s.item(s.element(0x00280106, "SS", "ab"))),
			s.sequence(0x7fe00010, "OB", s.definedItem("abcd"), s.definedItem("efgh")),
			s.header(0x00091001, "UN", undefined) + implicit.item(implicit.us(0x00280010, 3)) + implicit.header(0xfffee0dd, "", 0),
			s.element(0x00080060, "??", "CT") + s.header(0xfffee00d, "", 0) + "\x00\x00\x00",
			s.header(0x00081115, "SQ", undefined) + s.header(0xfffee000, "", undefined) + s.header(0xfffee0dd, "", 0),
			s.element(0x00091001, "OD", "12345678901"),
		} {
			f.Add([]byte(b), uint8(i))
		}
	}
	f.Add([]byte("\x4b\x04\x00\x00\x00\xff\xff"), uint8(3))
}

// FuzzDecoder checks that starts and ends of tokens are balanced, that no value is longer than the data set, and that the tokens do not depend on
// how the bytes arrive.
func FuzzDecoder(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte, ts uint8) {
		limits := stream.Limits{MaxElements: 1000, MaxBytes: 1 << 20}
		one := stream.NewDecoder(bytes.NewReader(b), fuzzed[ts%4], limits)
		defer one.Close()
		two := stream.NewDecoder(iotest.OneByteReader(bytes.NewReader(b)), fuzzed[ts%4], limits)
		defer two.Close()
		var open []stream.Token
		for {
			token, err := one.Next()
			other, otherErr := two.Next()
			if token != other || (err == nil) != (otherErr == nil) || err != nil && err.Error() != otherErr.Error() {
				t.Fatalf("%v %v became %v %v when the bytes arrive one by one", token, err, other, otherErr)
			}
			if errors.Is(err, io.EOF) && len(open) > 0 {
				t.Fatalf("%v is open at the end", open)
			} else if err != nil {
				checkError(t, err)
				return
			}
			switch token.Kind {
			case stream.SequenceStart, stream.ItemStart, stream.FragmentsStart:
				open = append(open, token)
			case stream.SequenceEnd, stream.ItemEnd, stream.FragmentsEnd:
				start := open[len(open)-1]
				open = open[:len(open)-1]
				if ends[start.Kind] != token.Kind || start.Tag != token.Tag || start.Depth != token.Depth || start.Index != token.Index {
					t.Fatalf("%v ends %v", token, start)
				}
			case stream.Element, stream.OffsetTable, stream.Fragment:
				var value bytes.Buffer
				n, err := one.WriteTo(&value)
				whole, otherErr := two.Bytes(1 << 20)
				if (err == nil) != (otherErr == nil) || err == nil && (!bytes.Equal(value.Bytes(), whole) || n != token.Length) {
					t.Fatalf("%d bytes of %v read in different ways differ: %v, %v", n, token, err, otherErr)
				}
				if ts%4 != 3 && n > int64(len(b)) {
					t.Fatalf("%v is longer than the data set", token)
				}
			}
		}
	})
}

var ends = map[stream.Kind]stream.Kind{
	stream.SequenceStart: stream.SequenceEnd, stream.ItemStart: stream.ItemEnd, stream.FragmentsStart: stream.FragmentsEnd,
}

// checkError fails if err is not one that the package documents.
func checkError(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, io.EOF) || errors.As(err, new(*dataset.FormatError)) || errors.As(err, new(*dataset.LimitError)) ||
		errors.As(err, new(*stream.GroupError)) || errors.As(err, new(*stream.TruncatedError)) {
		return
	}
	t.Fatalf("undocumented error %T: %v", err, err)
}

// FuzzReadHead checks that what is read is a prefix of the data set, and that the UIDs are those that a Decoder finds first.
func FuzzReadHead(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte, ts uint8) {
		head, read, err := stream.ReadHead(bytes.NewReader(b), fuzzed[ts%4], make([]byte, 0, 16), 4096)
		if !bytes.HasPrefix(b, read) || len(read) > 4096 {
			t.Fatal("what was read is not the beginning of the data set")
		}
		slow, _, slowErr := stream.ReadHead(iotest.OneByteReader(bytes.NewReader(b)), fuzzed[ts%4], nil, 4096)
		if head != slow || (err == nil) != (slowErr == nil) {
			t.Fatalf("%v %v became %v %v when the bytes arrive one by one", head, err, slow, slowErr)
		}
		if err != nil {
			checkError(t, err)
			return
		}
		for _, uid := range []string{head.SOPClassUID, head.SOPInstanceUID, head.StudyInstanceUID, head.SeriesInstanceUID} {
			if len(uid) > 64 || strings.Trim(uid, "0123456789.") != "" {
				t.Fatalf("%q is not a UID", uid)
			}
		}
		d := stream.NewDecoder(bytes.NewReader(b), fuzzed[ts%4], stream.Limits{})
		defer d.Close()
		var found [4]string
		for {
			token, err := d.Next()
			if err != nil {
				return // the Decoder is stricter, and reads further
			}
			tag := uint32(token.Tag.Group)<<16 | uint32(token.Tag.Element)
			if token.Depth == 0 && tag > 0x0020000e {
				break
			}
			if token.Depth > 0 || token.Kind != stream.Element {
				continue
			}
			for i, of := range []uint32{0x00080016, 0x00080018, 0x0020000d, 0x0020000e} {
				if tag == of {
					found[i] = strings.TrimRight(d.Text(100), "\x00 ")
				}
			}
			if tag == 0x0020000e {
				break
			}
		}
		if (stream.Head{SOPClassUID: found[0], SOPInstanceUID: found[1], StudyInstanceUID: found[2], SeriesInstanceUID: found[3]}) != head {
			t.Fatalf("the Decoder finds %q, ReadHead %v", found, head)
		}
	})
}

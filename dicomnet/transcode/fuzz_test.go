package transcode_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/dicomnet/transcode"
)

// FuzzReader checks that what is converted without an error is well formed, that converting it once more changes nothing, and that no more is
// written than limits allow.
func FuzzReader(f *testing.F) {
	syntaxes := []dataset.TransferSyntax{
		dataset.ImplicitVRLittleEndian, dataset.ExplicitVRBigEndian, dataset.DeflatedExplicitVRLittleEndian, dataset.RLELossless, dataset.JPEGBaseline,
	}
	e := explicit
	grey := pixels{samples: 1, rows: 1, columns: 4, bits: 8, frames: "2 ", photometric: "MONOCHROME2 "}
	f.Add([]byte(implicit.us(0x00280103, 1)+implicit.sequence(0x00081115, "", implicit.item(implicit.element(0x00280106, "", "ab")))+implicit.element(0x7fe00010, "", "abc")), uint8(0))
	f.Add([]byte(bigEndian.us(0x00280103, 1)+bigEndian.element(0x7fe00010, "OW", "abcd")), uint8(1))
	f.Add([]byte("\x4b\x04\x00\x00\x00\xff\xff"), uint8(2))
	f.Add([]byte(grey.attributes()+e.sequence(0x7fe00010, "OB", e.fragment(""), e.fragment(rle("\x03abcd")), e.fragment(rle("\xfda")))), uint8(3))
	colour := pixels{samples: 3, rows: 1, columns: 2, bits: 16, photometric: "RGB ", planar: "1"}
	f.Add([]byte(colour.attributes()+e.sequence(0x7fe00010, "OB", e.fragment(""), e.fragment(rle("\x01ab", "\x01ab", "\x01ab", "\x01ab", "\x01ab", "\x01ab")))), uint8(3))
	frame := "\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x01\x00\x04\x01\x01\x11\x00\xff\xda"
	f.Add([]byte(grey.attributes()+e.sequence(0x7fe00010, "OB", e.fragment("\x00\x00\x00\x00\x10\x00\x00\x00"), e.fragment(frame), e.fragment(frame))), uint8(4))
	f.Fuzz(func(t *testing.T, b []byte, from uint8) {
		limits := transcode.Limits{Limits: stream.Limits{MaxElements: 1000, MaxBytes: 1 << 16}, MaxFrame: 1 << 12}
		r, err := transcode.NewReader(bytes.NewReader(b), syntaxes[int(from)%len(syntaxes)], limits)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		const most = 1 << 20
		out, err := io.ReadAll(io.LimitReader(r, most))
		if err != nil || len(out) == most {
			known := errors.As(err, new(*dataset.FormatError)) || errors.As(err, new(*dataset.LimitError)) ||
				errors.As(err, new(*stream.GroupError)) || errors.As(err, new(*stream.TruncatedError)) ||
				errors.As(err, new(*transcode.UnsupportedError)) || errors.As(err, new(*transcode.FrameError))
			if err != nil && !known {
				t.Fatalf("undocumented error %T: %v", err, err)
			}
			return
		}
		again := recode(t, out)
		if !bytes.Equal(out, again) {
			t.Fatalf("%q became %q when it was converted again", out, again)
		}
	})
}

// recode writes the tokens of a data set in Explicit VR Little Endian again.
func recode(t *testing.T, b []byte) []byte {
	t.Helper()
	d := stream.NewDecoder(bytes.NewReader(b), dataset.ExplicitVRLittleEndian, stream.Limits{})
	var out []byte
	for {
		token, err := d.Next()
		if err == io.EOF { //nolint:errorlint // made by the Decoder
			return out
		} else if err != nil {
			t.Fatalf("%q cannot be read: %v", b, err)
		}
		switch token.Kind {
		case stream.Element, stream.SequenceStart:
			if token.Length&1 != 0 && token.Length != stream.Undefined {
				t.Fatalf("%v has an odd length", token)
			}
			out = stream.AppendHeader(out, token.Tag, token.VR, token.Length)
		case stream.ItemStart:
			out = stream.AppendItem(out, token.Length)
		case stream.ItemEnd:
			out = stream.AppendItemEnd(out)
		case stream.SequenceEnd:
			out = stream.AppendSequenceEnd(out)
		case stream.FragmentsStart, stream.OffsetTable, stream.Fragment, stream.FragmentsEnd:
			t.Fatal("pixel data is encapsulated")
		}
		value, err := d.Bytes(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, value...)
	}
}

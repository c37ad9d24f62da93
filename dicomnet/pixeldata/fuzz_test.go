package pixeldata_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pixeldata"
)

// FuzzFrames checks that the frames of any data set are read without a panic, within the limits, and alike whatever order is asked for.
func FuzzFrames(f *testing.F) {
	a, b := codeStream("aa"), codeStream("bbbb")
	f.Add(uint8(0), []byte(module("3", 1, 4, 8)+native("OB", "aabbccddeeff")))
	f.Add(uint8(0), []byte(module("3", 3, 3, 1)+native("OB", "\x81\xFD\x55\x05")))
	f.Add(uint8(0), []byte(samples("2", 3, "YBR_FULL_422", 1, 2, 8)+native("OB", "yybrYYBR")))
	f.Add(uint8(1), []byte(module("2", 1, 1, 8)+encapsulated(numbers(4, 0, 16), a, b)))
	f.Add(uint8(1), []byte(module("2", 1, 1, 8)+encapsulated("", a, b)))
	f.Add(uint8(1), []byte(module("2", 1, 1, 8)+element(0x7FE0, 0x0001, "OV", numbers(8, 0, 16))+element(0x7FE0, 0x0002, "OV", numbers(8, 8, 10))+encapsulated("", a, b)))
	f.Add(uint8(2), []byte(module("2", 1, 1, 8)+encapsulated("", rleFrame("aa"), rleFrame("bb"))))
	f.Add(uint8(3), []byte(module("2", 1, 1, 8)+encapsulated("", "\xFF\x0Aaa", "\xFF\x0Abb")))
	syntaxes := []dataset.TransferSyntax{explicit, jpegBaseline, rle, jpegXL, dataset.ImplicitVRLittleEndian, dataset.ExplicitVRBigEndian}
	limits := pixeldata.Limits{Attributes: 1 << 16, Held: 1 << 16}
	f.Fuzz(func(t *testing.T, syntax uint8, data []byte) {
		frames := func(numbers ...int) map[int]string {
			source, err := pixeldata.Open(bytes.NewReader(data), syntaxes[int(syntax)%len(syntaxes)], nil, limits)
			if err != nil {
				return nil
			}
			defer source.Close()
			got := map[int]string{}
			for frame, err := range source.Frames(numbers) {
				if err != nil {
					return nil
				}
				b, err := io.ReadAll(frame)
				if err != nil {
					return nil
				}
				if frame.Size >= 0 && frame.Size != int64(len(b)) {
					t.Fatalf("frame %d has %d bytes instead of %d", frame.Number, len(b), frame.Size)
				}
				got[frame.Number] = string(b)
			}
			return got
		}
		forwards, backwards, second := frames(1, 2), frames(2, 1), frames(2)
		if forwards != nil && backwards != nil && (forwards[1] != backwards[1] || forwards[2] != backwards[2]) {
			t.Fatal("the order changes the frames")
		}
		if forwards != nil && second != nil && forwards[2] != second[2] {
			t.Fatal("the first frame changes the second")
		}
	})
}

// FuzzDecode checks that a frame of any bytes is decoded to its size, or is an error.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(rleFrame("\x01ab\xFFc")), uint16(2), uint16(2), uint8(0))
	f.Add(encodeRLE([]byte(strings.Repeat("abcabd", 20)), 2, 3), uint16(4), uint16(5), uint8(5))
	f.Fuzz(func(t *testing.T, frame []byte, rows, columns uint16, kind uint8) {
		l := pixeldata.Layout{Rows: int(rows % 512), Columns: int(columns % 512), Samples: 1 + int(kind)&2, BitsAllocated: 8 + 8*int(kind&1), Photometric: "RGB"}
		if got, err := pixeldata.DecodeRLE(nil, frame, l); err == nil && int64(len(got)) != l.Size() {
			t.Fatal("wrong size")
		}
		l.BitsAllocated = 8
		if got, _, err := pixeldata.DecodeJPEG(nil, frame, l); err == nil && int64(len(got)) != l.Size() {
			t.Fatal("wrong size")
		}
	})
}

package pixeldata

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// family is how code streams of related transfer syntaxes begin and end.
type family struct {
	// starts reports whether a fragment that begins with b begins a frame. It is nil if the transfer syntax does not mark frames.
	starts func(b []byte) bool
	// endMarker reports that a code stream ends with the marker FFD9: EOI (ISO 10918-1, ISO 14495-1), or EOC (ISO 15444-1).
	endMarker bool
	// distinct reports that starts cannot be true by chance.
	distinct bool
}

// startSize is how many bytes starts needs.
const startSize = 12

func familyOf(ts dataset.TransferSyntax) family {
	prefix := func(prefixes ...string) func([]byte) bool {
		return func(b []byte) bool {
			for _, p := range prefixes {
				if bytes.HasPrefix(b, []byte(p)) {
					return true
				}
			}
			return false
		}
	}
	const jpeg = "1.2.840.10008.1.2.4."
	number, isJPEG := strings.CutPrefix(string(ts), jpeg)
	switch {
	case ts == dataset.RLELossless:
		// The first segment begins after the header, whose length is fixed (PS3.5 section G.5).
		return family{starts: startsRLE, distinct: true}
	case !isJPEG:
	case len(number) == 2 && number >= "50" && number <= "81":
		return family{starts: prefix("\xFF\xD8\xFF"), endMarker: true}
	case number == "90", number == "91", number == "92", number == "93", number == "201", number == "202", number == "203":
		return family{starts: prefix("\xFF\x4F\xFF\x51"), endMarker: true}
	case number == "110", number == "111", number == "112":
		return family{starts: prefix("\xFF\x0A", "\x00\x00\x00\x0CJXL \x0D\x0A\x87\x0A")}
	}
	return family{}
}

func startsRLE(b []byte) bool {
	return len(b) >= 8 && b[0] >= 1 && b[0] <= rleSegments && bytes.Equal(b[1:8], []byte{0, 0, 0, rleHeader, 0, 0, 0})
}

// ends reports whether b ends a code stream, except for a byte of padding.
func (f *family) ends(b []byte) bool {
	return f.endMarker && (bytes.HasSuffix(b, []byte("\xFF\xD9")) || bytes.HasSuffix(b, []byte("\xFF\xD9\x00")))
}

// trim removes the byte of padding that follows a code stream of odd length (PS3.5 section A.4).
func (f *family) trim(b []byte) []byte {
	if f.endMarker && bytes.HasSuffix(b, []byte("\xFF\xD9\x00")) {
		return b[:len(b)-1]
	}
	return b
}

// trimmer reads a frame without its padding.
type trimmer struct {
	r      io.Reader
	family family
	buf    []byte
	ready  int // bytes of buf that can be returned
	read   bool
	err    error
}

// tail is how many bytes decide if there is padding.
const tail = 3

func (t *trimmer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for t.ready == 0 && t.err == nil {
		t.fill()
	}
	if t.ready == 0 {
		return 0, t.err
	}
	n := copy(p, t.buf[:t.ready])
	t.buf = t.buf[n:]
	t.ready -= n
	return n, nil
}

func (t *trimmer) fill() {
	const size = 32 << 10
	b := make([]byte, size)
	held := copy(b, t.buf)
	n, err := t.r.Read(b[held:])
	t.buf, t.err = b[:held+n], err
	t.read = t.read || n > 0
	switch {
	case errors.Is(err, io.EOF):
		t.buf = t.family.trim(t.buf)
		if t.ready = len(t.buf); !t.read {
			t.err = &FormatError{Reason: "a frame is empty"}
		}
	case err == nil:
		t.ready = max(len(t.buf)-tail, 0)
	}
}

//go:build interop

// Package transcode compares the conversion of data sets, and pictures of images, with those of DCMTK.
package transcode

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/dicomnet/part10"
	"dicom-qr-gateway/dicomnet/transcode"
)

// dcmtk runs a program of DCMTK, which must succeed.
func dcmtk(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	require.NoError(t, err, "%s %q (Debian package dcmtk): %s", program, args, out)
	return string(out)
}

// reference returns the data set of a file as DCMTK writes it in Explicit VR Little Endian, with sequences of undefined length and without group
// lengths.
func reference(t *testing.T, file string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "reference")
	dcmtk(t, "dcmconv", "-F", "+te", "-e", "-g", file, out)
	return read(t, out)
}

// converted returns the data set of a file as this project converts it.
func converted(t *testing.T, file string) []byte {
	t.Helper()
	ts, b := split(t, read(t, file))
	r, err := transcode.NewReader(bytes.NewReader(b), ts, transcode.Limits{})
	require.NoError(t, err)
	defer r.Close()
	out, err := io.ReadAll(r)
	require.NoError(t, err, "%s", ts)
	return out
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return b
}

// split returns the transfer syntax and the data set of a file.
func split(t *testing.T, file []byte) (dataset.TransferSyntax, []byte) {
	t.Helper()
	const start = 128 + len("DICM") + 12 // (0002,0000)
	b := file[start+int(binary.LittleEndian.Uint32(file[start-4:])):]
	var ts dataset.TransferSyntax
	for meta := file[start : len(file)-len(b)]; len(meta) > 0; {
		size, length := 8, int(binary.LittleEndian.Uint16(meta[6:]))
		if string(meta[4:6]) == "OB" {
			size, length = 12, int(binary.LittleEndian.Uint32(meta[8:]))
		}
		if meta[2] == 0x10 {
			ts = dataset.TransferSyntax(strings.TrimRight(string(meta[size:size+length]), "\x00"))
		}
		meta = meta[size+length:]
	}
	return ts, b
}

// write writes a data set in transfer syntax ts as a file.
func write(t *testing.T, ts dataset.TransferSyntax, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.dcm")
	meta := part10.Meta{SOPClassUID: "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID: "1.2.3", TransferSyntax: ts}
	require.NoError(t, os.WriteFile(file, append(meta.Append(nil), b...), 0o600))
	return file
}

// builder makes a data set in Explicit VR Little Endian.
type builder []byte

func (b *builder) add(tag uint32, vr string, value []byte) {
	v, _ := dataset.LookupVR(vr[0], vr[1])
	*b = append(stream.AppendHeader(*b, dataset.Tag{Group: uint16(tag >> 16), Element: uint16(tag)}, v, int64(len(value))), value...)
}

func (b *builder) text(tag uint32, vr, value string) {
	if len(value)%2 != 0 {
		value += map[bool]string{true: "\x00", false: " "}[vr == "UI"]
	}
	b.add(tag, vr, []byte(value))
}

func (b *builder) us(tag uint32, numbers ...uint16) {
	var value []byte
	for _, n := range numbers {
		value = binary.LittleEndian.AppendUint16(value, n)
	}
	b.add(tag, "US", value)
}

func (b *builder) sequence(tag uint32, items ...builder) {
	sq, _ := dataset.LookupVR('S', 'Q')
	*b = stream.AppendHeader(*b, dataset.Tag{Group: uint16(tag >> 16), Element: uint16(tag)}, sq, stream.Undefined)
	for _, item := range items {
		*b = stream.AppendItemEnd(append(stream.AppendItem(*b, stream.Undefined), item...))
	}
	*b = stream.AppendSequenceEnd(*b)
}

// imageOf describes an image.
type imageOf struct {
	rows, columns, samples, bits, frames int
	photometric                          string
	planar, signed                       uint16
}

// build returns a data set with this image, with elements of all VRs around it.
func (i imageOf) build(t *testing.T) []byte {
	t.Helper()
	var b, code, nested, icon builder
	b.text(0x00080005, "CS", "ISO_IR 100")
	b.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7")
	b.text(0x00080018, "UI", "1.2.3")
	b.text(0x00080020, "DA", "20260102")
	b.text(0x00080060, "CS", "OT")
	code.text(0x00080100, "SH", "113100")
	code.sequence(0x00081140)
	nested.us(0x00280103, 1)
	nested.add(0x00280106, "SS", []byte{0xfe, 0xff})
	b.sequence(0x00081115, code, nested, builder{})
	b.text(0x00090010, "LO", "ACME TEST 1.0")
	b.add(0x00091001, "UN", []byte("private"+"\x00"))
	b.text(0x00100010, "PN", "Synthetic^Patient")
	b.text(0x00104000, "LT", "comment")
	b.text(0x00181063, "DS", "40.5")
	b.add(0x00186030, "UL", []byte{1, 2, 3, 4})
	b.add(0x00189073, "FD", []byte("12345678"))
	b.text(0x0020000d, "UI", "1.2")
	b.text(0x0020000e, "UI", "1.2.1")
	b.us(0x00280002, uint16(i.samples))
	b.text(0x00280004, "CS", i.photometric)
	if i.samples > 1 {
		b.us(0x00280006, i.planar)
	}
	if i.frames > 1 {
		b.text(0x00280008, "IS", string(append([]byte(nil), byte('0'+i.frames))))
		b.add(0x00280009, "AT", []byte{0x18, 0, 0x63, 0x10})
	}
	b.us(0x00280010, uint16(i.rows))
	b.us(0x00280011, uint16(i.columns))
	b.us(0x00280100, uint16(i.bits))
	b.us(0x00280101, uint16(i.bits))
	b.us(0x00280102, uint16(i.bits-1))
	b.us(0x00280103, i.signed)
	vr := map[uint16]string{0: "US", 1: "SS"}[i.signed]
	b.add(0x00280106, vr, []byte{3, 0})
	b.add(0x00280107, vr, []byte{0xff, 0x3f})
	icon.us(0x00280010, 2)
	icon.us(0x00280011, 2)
	icon.us(0x00280103, 0)
	icon.add(0x00280106, "US", []byte{3, 0})
	b.sequence(0x00880200, icon)
	n := i.rows * i.columns * i.samples * i.frames * i.bits / 8
	pixels := make([]byte, n+n%2)
	for p := range pixels[:n] {
		if pixels[p] = byte(p/7 + p*p/1000); i.samples == 3 {
			pixels[p] = i.gradient(p)
		}
	}
	b.add(0x7fe00010, "OW", pixels)
	return b
}

// gradient returns byte p of a colour image that is so smooth that JPEG changes little.
func (i imageOf) gradient(p int) byte {
	colour, pixel := p%3, p/3
	if i.planar == 1 {
		pixel = p % (i.rows * i.columns)
		colour = p / (i.rows * i.columns) % 3
	}
	return byte(3*(pixel%i.columns) + 2*(pixel/i.columns%i.rows) + 40*colour)
}

var images = map[string]imageOf{
	"16 bits":                   {rows: 33, columns: 47, samples: 1, bits: 16, frames: 1, photometric: "MONOCHROME2"},
	"16 bits, signed":           {rows: 16, columns: 16, samples: 1, bits: 16, frames: 1, photometric: "MONOCHROME2", signed: 1},
	"8 bits, odd":               {rows: 15, columns: 17, samples: 1, bits: 8, frames: 1, photometric: "MONOCHROME1"},
	"8 bits, frames":            {rows: 15, columns: 17, samples: 1, bits: 8, frames: 5, photometric: "MONOCHROME2"},
	"16 bits, frames":           {rows: 40, columns: 30, samples: 1, bits: 16, frames: 3, photometric: "MONOCHROME2"},
	"colour by pixel":           {rows: 21, columns: 31, samples: 3, bits: 8, frames: 2, photometric: "RGB"},
	"colour by plane":           {rows: 21, columns: 31, samples: 3, bits: 8, frames: 2, photometric: "RGB", planar: 1},
	"large":                     {rows: 512, columns: 512, samples: 1, bits: 16, frames: 1, photometric: "MONOCHROME2"},
	"luminance and chrominance": {rows: 32, columns: 32, samples: 3, bits: 8, frames: 1, photometric: "YBR_FULL"},
}

func TestUncompressedSyntaxesAreConvertedAsByDCMTK(t *testing.T) {
	for name, image := range images {
		file := write(t, dataset.ExplicitVRLittleEndian, image.build(t))
		for syntax, option := range map[string]string{"Implicit": "+ti", "Big Endian": "+tb", "Deflated": "+td"} {
			for lengths, more := range map[string]string{"undefined": "-e", "defined": "+e"} {
				t.Run(name+"/"+syntax+"/"+lengths, func(t *testing.T) {
					source := filepath.Join(t.TempDir(), "source.dcm")
					dcmtk(t, "dcmconv", option, more, "+g", file, source)
					compare(t, reference(t, source), converted(t, source))
				})
			}
		}
	}
}

func TestRLELosslessIsConvertedAsByDCMTK(t *testing.T) {
	for name, image := range images {
		t.Run(name, func(t *testing.T) {
			file, rle, decoded := write(t, dataset.ExplicitVRLittleEndian, image.build(t)), filepath.Join(t.TempDir(), "rle.dcm"), filepath.Join(t.TempDir(), "decoded.dcm")
			dcmtk(t, "dcmcrle", file, rle)
			dcmtk(t, "dcmdrle", rle, decoded)
			compare(t, reference(t, decoded), converted(t, rle))
		})
	}
}

func TestJPEGBaselineIsConvertedAsByDCMTK(t *testing.T) {
	for name, image := range images {
		if image.bits != 8 || image.photometric == "YBR_FULL" {
			continue
		}
		for _, options := range [][]string{{"+s4"}, {"+s2"}, {"+n1"}, {"+np"}, {"+cr"}, {"-ot"}, {"+fs", "1"}} {
			if image.samples == 1 && len(options) == 1 && options[0] != "-ot" {
				continue
			}
			t.Run(name+"/"+strings.Join(options, " "), func(t *testing.T) {
				file, encoded, decoded := write(t, dataset.ExplicitVRLittleEndian, image.build(t)), filepath.Join(t.TempDir(), "jpeg.dcm"), filepath.Join(t.TempDir(), "decoded.dcm")
				dcmtk(t, "dcmcjpeg", append(options, "+eb", "+q", "95", file, encoded)...)
				dcmtk(t, "dcmdjpeg", "+px", encoded, decoded)
				want, wantPixels := cutPixels(t, reference(t, decoded))
				got, gotPixels := cutPixels(t, converted(t, encoded))
				compare(t, want, got)
				require.Len(t, gotPixels, len(wantPixels))
				sum := 0
				for i := range wantPixels {
					sum += max(int(wantPixels[i])-int(gotPixels[i]), int(gotPixels[i])-int(wantPixels[i]))
				}
				// Decoders round in different ways.
				assert.Less(t, float64(sum)/float64(len(wantPixels)), 1.0, "mean difference of pixels")
			})
		}
	}
}

// cutPixels returns what precedes pixel data, and pixel data.
func cutPixels(t *testing.T, b []byte) (rest, pixels []byte) {
	t.Helper()
	at := bytes.LastIndex(b, []byte("\xe0\x7f\x10\x00OW\x00\x00"))
	require.Positive(t, at)
	return b[:at], b[at+12:]
}

func TestFilesOfOthersAreConvertedAsByDCMTK(t *testing.T) {
	files, err := filepath.Glob("/usr/lib/python3/dist-packages/pydicom/data/charset_files/*.dcm")
	require.NoError(t, err)
	require.NotEmpty(t, files, "Debian package python3-pydicom")
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/suyashkumar/dicom").Output()
	require.NoError(t, err)
	more, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "testdata", "*.dcm"))
	require.NoError(t, err)
	require.NotEmpty(t, more)
	tested := 0
	for _, file := range append(files, more...) {
		b := read(t, file)
		if len(b) < 132 || string(b[128:132]) != "DICM" {
			continue
		}
		if ts, _ := split(t, b); ts != dataset.ImplicitVRLittleEndian && ts != dataset.ExplicitVRLittleEndian {
			continue
		}
		tested++
		for _, option := range []string{"+ti", "+tb", "+td"} {
			t.Run(filepath.Base(file)+"/"+option, func(t *testing.T) {
				source := filepath.Join(t.TempDir(), "source.dcm")
				dcmtk(t, "dcmconv", option, file, source)
				compare(t, reference(t, source), converted(t, source))
			})
		}
	}
	require.Greater(t, tested, 5)
}

// compare compares two data sets. It shows the first lines of their dumps that differ.
func compare(t *testing.T, want, got []byte) {
	t.Helper()
	if bytes.Equal(want, got) {
		return
	}
	theirs, ours := dump(t, want), dump(t, got)
	for i, line := range theirs {
		if i >= len(ours) || line != ours[i] {
			assert.Fail(t, "data sets differ", "DCMTK: %.200s\nhere:  %.200s", line, strings.Join(ours[i:min(i+1, len(ours))], ""))
			return
		}
	}
	assert.Fail(t, "data sets differ, but not their dumps", "%d and %d bytes", len(want), len(got))
}

func dump(t *testing.T, b []byte) []string {
	t.Helper()
	out := dcmtk(t, "dcmdump", "-q", "+L", write(t, dataset.ExplicitVRLittleEndian, b))
	_, out, _ = strings.Cut(out, "# Dicom-Data-Set")
	return strings.Split(out, "\n")
}

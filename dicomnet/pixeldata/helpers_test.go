package pixeldata_test

import (
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pixeldata"
)

// element encodes an element in Explicit VR Little Endian.
func element(group, number uint16, vr, value string) string {
	le := binary.LittleEndian
	b := le.AppendUint16(le.AppendUint16(nil, group), number)
	b = append(b, vr...)
	if slices.Contains([]string{"OB", "OW", "OF", "OD", "OV", "SQ", "UN"}, vr) {
		return string(le.AppendUint32(append(b, 0, 0), uint32(len(value)))) + value
	}
	return string(le.AppendUint16(b, uint16(len(value)))) + value
}

func us(values ...int) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return string(b)
}

// numbers encodes numbers of the given size in bytes.
func numbers(size int, values ...uint64) string {
	var b []byte
	for _, v := range values {
		b = append(b, binary.LittleEndian.AppendUint64(nil, v)[:size]...)
	}
	return string(b)
}

// module describes pixels of one sample. frames "" leaves Number of Frames out.
func module(frames string, rows, columns, bits int) string {
	return samples(frames, 1, "MONOCHROME2", rows, columns, bits)
}

func samples(frames string, perPixel int, photometric string, rows, columns, bits int) string {
	text := element(0x0028, 0x0002, "US", us(perPixel)) + element(0x0028, 0x0004, "CS", even(photometric))
	if frames != "" {
		text += element(0x0028, 0x0008, "IS", even(frames))
	}
	return text + element(0x0028, 0x0010, "US", us(rows)) + element(0x0028, 0x0011, "US", us(columns)) +
		element(0x0028, 0x0100, "US", us(bits)) + element(0x0028, 0x0101, "US", us(bits)) + element(0x0028, 0x0102, "US", us(bits-1)) +
		element(0x0028, 0x0103, "US", us(0))
}

func even(text string) string {
	if len(text)%2 == 1 {
		return text + " "
	}
	return text
}

func native(vr, pixels string) string { return element(0x7FE0, 0x0010, vr, pixels) }

func item(value string) string {
	return string(binary.LittleEndian.AppendUint32([]byte("\xFE\xFF\x00\xE0"), uint32(len(value)))) + value
}

// encapsulated encodes fragments after a Basic Offset Table.
func encapsulated(table string, fragments ...string) string {
	all := make([]string, 0, len(fragments))
	for _, fragment := range fragments {
		all = append(all, item(fragment))
	}
	return "\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF" + item(table) + strings.Join(all, "") + "\xFE\xFF\xDD\xE0\x00\x00\x00\x00"
}

const (
	jpegBaseline = dataset.TransferSyntax("1.2.840.10008.1.2.4.50")
	jpeg2000     = dataset.TransferSyntax("1.2.840.10008.1.2.4.90")
	jpegXL       = dataset.TransferSyntax("1.2.840.10008.1.2.4.110")
	rle          = dataset.TransferSyntax("1.2.840.10008.1.2.5")
	mpeg4        = dataset.TransferSyntax("1.2.840.10008.1.2.4.102")
	explicit     = dataset.ExplicitVRLittleEndian
)

// read returns the frames with the given numbers. The data set arrives byte by byte.
func read(t *testing.T, ts dataset.TransferSyntax, data string, numbers ...int) ([]string, error) {
	t.Helper()
	return readWithin(t, pixeldata.Limits{}, ts, data, numbers...)
}

func readWithin(t *testing.T, limits pixeldata.Limits, ts dataset.TransferSyntax, data string, numbers ...int) ([]string, error) {
	t.Helper()
	source, err := pixeldata.Open(iotest.OneByteReader(strings.NewReader(data)), ts, nil, limits)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	var frames []string
	for frame, err := range source.Frames(numbers) {
		if err != nil {
			return frames, err
		}
		b, err := io.ReadAll(frame)
		if err != nil {
			return frames, err
		}
		if frame.Size >= 0 {
			require.EqualValues(t, frame.Size, len(b))
		}
		require.Equal(t, numbers[len(frames)], frame.Number)
		frames = append(frames, string(b))
	}
	return frames, nil
}

// code is a code stream of a JPEG family with the given start.
func code(start, content string) string { return start + content + "\xFF\xD9" }

func codeStream(content string) string { return code("\xFF\xD8\xFF\xE0", content) }

package dicomtest

import (
	"bytes"
	"hash/fnv"
	"io"
	"strconv"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Open returns the data set of the instance, as Encode does, to be read in parts.
func (in *Instance) Open(ts dataset.TransferSyntax) (io.Reader, error) {
	if in.pixels.generated == 0 {
		b, err := in.Encode(ts)
		return bytes.NewReader(b), err
	}
	b, err := dataset.Encode(&dicom.Dataset{Elements: in.sorted}, ts)
	if err != nil {
		return nil, err
	}
	if b, err = appendPixelHeader(b, ts, in.pixels.generated); err != nil {
		return nil, err
	}
	return io.MultiReader(bytes.NewReader(b), generate(in.Text(tag.SOPInstanceUID), in.pixels.generated)), nil
}

// pattern is repeated in generated pixels. Its length is a prime, so that parts of usual lengths that are lost or exchanged show.
var pattern = func() (p [65521]byte) {
	state := uint32(1)
	for i := range p {
		state = state*1664525 + 1013904223
		p[i] = byte(state >> 24)
	}
	return p
}()

// generate returns n bytes that depend on a UID.
func generate(uid string, n int64) io.Reader {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid))
	return &generator{at: int(h.Sum32() % uint32(len(pattern))), left: n}
}

type generator struct {
	at   int // in pattern
	left int64
}

func (g *generator) Read(p []byte) (n int, err error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), g.left)]
	for n < len(p) {
		k := copy(p[n:], pattern[g.at:])
		n += k
		g.at = (g.at + k) % len(pattern)
	}
	g.left -= int64(n)
	return n, nil
}

// GeneratedStudy returns a study of one series of CT images, each with generated pixels of at least bytesEach bytes: rows of 512
// pixels of 16 bits. Beyond 4 MiB the images are multi-frame ultrasound images of 512 rows each.
func GeneratedStudy(patientID string, instances int, bytesEach int64) Study {
	const row, frame = 512 * 2, 512 * 512 * 2
	rows, frames := (bytesEach+row-1)/row, int64(1)
	class := CTImageStorage
	if rows > 4096 {
		rows, frames = 512, (bytesEach+frame-1)/frame
		class = UltrasoundMultiFrameImageStorage
	}
	size := row * rows * frames
	return Study{
		PatientID: patientID, PatientName: "Generated^Study", AccessionNumber: "GENERATED",
		Series: []Series{{Modality: "CT", Instances: instances, Image: func(int) Image {
			var b builder
			b.text(tag.NumberOfFrames, strconv.FormatInt(frames, 10))
			b.numbers(tag.SamplesPerPixel, 1)
			b.text(tag.PhotometricInterpretation, "MONOCHROME2")
			b.numbers(tag.Rows, int(rows))
			b.numbers(tag.Columns, 512)
			b.numbers(tag.BitsAllocated, 16)
			b.numbers(tag.BitsStored, 16)
			b.numbers(tag.HighBit, 15)
			b.numbers(tag.PixelRepresentation, 0)
			return Image{SOPClassUID: class, Attributes: b.elements, GeneratedPixels: size}
		}}},
	}
}

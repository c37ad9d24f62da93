package demo_test

import (
	"bytes"
	"image/jpeg"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// encode returns the data set of an instance in its own transfer syntax.
func encode(t *testing.T, in *dicomtest.Instance) []byte {
	t.Helper()
	ts := in.TransferSyntax()
	if ts == "" {
		ts = dataset.ExplicitVRLittleEndian
	}
	data, err := in.Encode(ts)
	require.NoError(t, err)
	return data
}

func images(t *testing.T) []*dicomtest.Instance {
	t.Helper()
	var list []*dicomtest.Instance
	for _, study := range demo.ImagingStudies() {
		list = append(list, study.Instances()...)
	}
	return list
}

func TestPixelsHaveTheDescribedSize(t *testing.T) {
	compressed := 0
	for _, in := range images(t) {
		number := func(tg tag.Tag) int {
			n, err := strconv.Atoi(in.Text(tg))
			require.NoError(t, err, "%v of %s", tg, in.Text(tag.Modality))
			return n
		}
		set, err := dataset.Parse(encode(t, in), dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		pixels, has := set.Bytes(tag.PixelData)
		require.True(t, has)
		if in.TransferSyntax() != "" {
			compressed++
			_, stream, found := bytes.Cut(pixels, []byte{0xFF, 0xD8})
			require.True(t, found)
			picture, err := jpeg.Decode(bytes.NewReader(append([]byte{0xFF, 0xD8}, stream...)))
			require.NoError(t, err)
			assert.Equal(t, number(tag.Rows), picture.Bounds().Dy())
			assert.Equal(t, number(tag.Columns), picture.Bounds().Dx())
			continue
		}
		frames := 1
		if in.Text(tag.NumberOfFrames) != "" {
			frames = number(tag.NumberOfFrames)
		}
		assert.Len(t, pixels, frames*number(tag.Rows)*number(tag.Columns)*number(tag.SamplesPerPixel)*number(tag.BitsAllocated)/8)
		assert.Greater(t, len(slices.Compact(slices.Sorted(slices.Values(pixels)))), 50, "a picture has many shades")
	}
	assert.Equal(t, 1, compressed)
}

func TestTheSlicesOfTheVolumeFollowEachOther(t *testing.T) {
	position := ""
	for i, in := range demo.ImagingStudies()[0].Instances() {
		assert.Equal(t, strconv.Itoa(i+1), in.Text(tag.InstanceNumber))
		assert.Equal(t, strconv.Itoa(5*i), in.Text(tag.SliceLocation))
		assert.NotEqual(t, position, in.Text(tag.SliceLocation))
		position = in.Text(tag.SliceLocation)
	}
}

func TestImagesAreTheSameEachTime(t *testing.T) {
	first, second := images(t), images(t)
	for i := range first {
		assert.Equal(t, encode(t, first[i]), encode(t, second[i]))
	}
}

func TestImagesMoveUnchanged(t *testing.T) {
	d := start(t)
	for _, way := range []struct{ address, from, to string }{
		{d.A.Addr(), demo.AETitleA, demo.AETitleB},
		{d.B.Addr(), demo.AETitleB, demo.AETitleA},
	} {
		assoc := dial(t, way.address, way.from)
		assertCounters(t, 35, 0, 0, move(t, assoc, way.to, demo.ImagingPatientID))
		require.NoError(t, assoc.Close())
	}
	for _, in := range images(t) {
		uid := in.Text(tag.SOPInstanceUID)
		for _, pacs := range []*dicomtest.PACS{d.A, d.B} {
			arrived := pacs.Instance(uid)
			require.NotNil(t, arrived)
			assert.Equal(t, in.TransferSyntax(), arrived.TransferSyntax())
			assert.Equal(t, encode(t, in), encode(t, arrived))
		}
	}
}

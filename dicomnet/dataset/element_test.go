package dataset_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestNewElementEncodesTextAsItsVR(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tag    tag.Tag
		vr     string
		values []string
		want   string
	}{
		{tag.PatientID, "", []string{"P1"}, explicit(tag.PatientID, "LO", "P1")},
		{tag.StudyInstanceUID, "", []string{"1.2", "1.3"}, explicit(tag.StudyInstanceUID, "UI", "1.2\\1.3\x00")},
		{tag.Rows, "", []string{"512"}, explicit(tag.Rows, "US", "\x00\x02")},
		{tag.SelectorSSValue, "", []string{"-2", "3"}, explicit(tag.SelectorSSValue, "SS", "\xfe\xff\x03\x00")},
		{tag.SelectorSVValue, "", []string{"-1"}, explicit(tag.SelectorSVValue, "SV", "\xff\xff\xff\xff\xff\xff\xff\xff")},
		{tag.SelectorUVValue, "", []string{"18446744073709551615"}, explicit(tag.SelectorUVValue, "UV", "\xff\xff\xff\xff\xff\xff\xff\xff")},
		{tag.SelectorFLValue, "", []string{"1.5"}, explicit(tag.SelectorFLValue, "FL", "\x00\x00\xc0\x3f")},
		{tag.SelectorFDValue, "", []string{"1"}, explicit(tag.SelectorFDValue, "FD", "\x00\x00\x00\x00\x00\x00\xf0\x3f")},
		{tag.FrameIncrementPointer, "", []string{"00181063"}, explicit(tag.FrameIncrementPointer, "AT", "\x18\x00\x63\x10")},
		{privateText, "LO", []string{"x "}, explicit(privateText, "LO", "x ")},
		{privateText, "", nil, explicit(privateText, "UN", "")},
		{tag.Rows, "", nil, explicit(tag.Rows, "US", "")},
		{tag.SelectorFDValue, "", nil, explicit(tag.SelectorFDValue, "FD", "")},
		{tag.FrameIncrementPointer, "", nil, explicit(tag.FrameIncrementPointer, "AT", "")},
		{tag.OverlayData, "OB", nil, explicit(tag.OverlayData, "OB", "")},
		{tag.RequestAttributesSequence, "", nil, explicit(tag.RequestAttributesSequence, "SQ", "")},
		{privateSequence, "SQ", nil, explicit(privateSequence, "SQ", "")},
	} {
		e, err := dataset.NewElement(c.tag, c.vr, c.values...)
		require.NoError(t, err, c.tag)
		b, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{e}}, dataset.ExplicitVRLittleEndian)
		require.NoError(t, err, c.tag)
		assert.Equal(t, c.want, string(b), c.tag)
	}
}

func TestKeyHasNoValueWhateverItsVR(t *testing.T) {
	t.Parallel()
	for key, vr := range map[tag.Tag]string{tag.PatientName: "PN", tag.Rows: "US", tag.OtherPatientIDsSequence: "SQ", privateText: "UN"} {
		b, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{dataset.Key(key)}}, dataset.ExplicitVRLittleEndian)
		require.NoError(t, err, key)
		assert.Equal(t, explicit(key, vr, ""), string(b), key)
	}
}

func TestNewElementRefusesWhatTheVRCannotBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tag   tag.Tag
		vr    string
		value string
	}{
		{tag.Rows, "", "65536"},
		{tag.Rows, "", "-1"},
		{tag.SelectorSSValue, "", "32768"},
		{tag.SelectorFDValue, "", "one"},
		{tag.FrameIncrementPointer, "", "181063"},
		{tag.FrameIncrementPointer, "", "0018106G"},
		{tag.RequestAttributesSequence, "", "x"},
		{tag.OverlayData, "OW", "x"},
		{privateText, "", "x"},
		{privateText, "XX", "x"},
	} {
		_, err := dataset.NewElement(c.tag, c.vr, c.value)
		var invalid *dataset.ValueError
		require.ErrorAs(t, err, &invalid, c.tag)
		assert.Equal(t, c.tag, invalid.Tag)
		assert.NotContains(t, err.Error(), c.value)
	}
}

func TestSequenceOfATagThatIsNotInTheDictionary(t *testing.T) {
	t.Parallel()
	e := dataset.Sequence(privateSequence, []*dicom.Element{dataset.Text(tag.CodeValue, "1 ")})
	b, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{e}}, dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	assert.Equal(t, explicit(privateSequence, "SQ", item(explicit(tag.CodeValue, "SH", "1 "))), string(b))
	assert.Panics(t, func() { dataset.Sequence(tag.PatientID) })
}

func TestPixelRepresentationDecidesBetweenUSAndSS(t *testing.T) {
	t.Parallel()
	padding := element(tag.PixelPaddingValue, "\xff\xff")
	lut := element(tag.ModalityLUTSequence, item(element(tag.LUTDescriptor, "\xff\xff")))
	for value, want := range map[string]int64{"\x00\x00": 65535, "\x01\x00": -1, "": 65535} {
		set := parse(t, element(tag.PixelRepresentation, value), padding, lut)
		n, _ := set.Int(tag.PixelPaddingValue)
		assert.Equal(t, want, n)
		n, _ = set.Items(tag.ModalityLUTSequence)[0].Int(tag.LUTDescriptor)
		assert.Equal(t, want, n, "an item follows its data set")
		assert.Equal(t, want < 0, set.HasVR(tag.PixelPaddingValue, "SS"))
	}
	n, _ := parse(t, padding).Int(tag.PixelPaddingValue)
	assert.Equal(t, int64(65535), n)
	set := parseExplicit(t, explicit(tag.PixelRepresentation, "US", "\x01\x00"), explicit(tag.PixelPaddingValue, "US", "\xff\xff"))
	n, _ = set.Int(tag.PixelPaddingValue)
	assert.Equal(t, int64(65535), n, "the VR of the element counts first")
}

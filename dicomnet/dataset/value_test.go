package dataset_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

func value(t *testing.T, elements string, of tag.Tag) dataset.Value {
	t.Helper()
	v, ok := parseExplicit(t, elements).Value(of)
	require.True(t, ok)
	return v
}

func TestValuesAreInAscendingOrderAndEachTagOnce(t *testing.T) {
	set := parseExplicit(t, explicit(tag.PatientID, "LO", "id"), explicit(tag.StudyDate, "DA", "20240101"), explicit(tag.PatientID, "LO", "no"))
	var tags []tag.Tag
	for v := range set.Values() {
		tags = append(tags, v.Tag())
		assert.NotEqual(t, []string{"no"}, v.AppendStrings(nil))
	}
	assert.Equal(t, []tag.Tag{tag.StudyDate, tag.PatientID}, tags)
	for v := range set.Values() {
		assert.Equal(t, "DA", v.VR())
		break
	}
	_, ok := set.Value(tag.PatientName)
	assert.False(t, ok)
}

func TestAValueIsReadByItsKind(t *testing.T) {
	t.Run("text", func(t *testing.T) {
		v := value(t, explicit(privateText, "UC", " a\\b "), privateText)
		assert.Equal(t, dataset.KindText, v.Kind())
		assert.True(t, v.Multiple())
		assert.Equal(t, " a\\b", string(v.Unpadded()))
		assert.Equal(t, []string{" a", "b"}, v.AppendStrings(nil))
	})
	t.Run("text with padding in front", func(t *testing.T) {
		v := value(t, explicit(privateText, "SH", "  a\\b "), privateText)
		assert.Equal(t, "a\\b", string(v.Unpadded()))
		assert.False(t, value(t, explicit(privateText, "LT", "a\\b "), privateText).Multiple())
	})
	t.Run("signed", func(t *testing.T) {
		v := value(t, explicit(privateText, "SS", "\xff\xff\x01\x00"), privateText)
		n, ok := v.Signed(0)
		assert.True(t, ok)
		assert.Equal(t, int64(-1), n)
		_, ok = v.Signed(2)
		assert.False(t, ok)
	})
	t.Run("unsigned", func(t *testing.T) {
		v := value(t, explicit(privateText, "UV", "\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"), privateText)
		n, ok := v.Unsigned(0)
		assert.True(t, ok)
		assert.Equal(t, uint64(math.MaxUint64), n)
		_, ok = v.Unsigned(1)
		assert.False(t, ok, "truncated")
	})
	t.Run("float", func(t *testing.T) {
		f, size, ok := value(t, explicit(privateText, "FL", "\x00\x00\x80\x3f"), privateText).Float(0)
		assert.True(t, ok)
		assert.InDelta(t, 1, f, 0)
		assert.Equal(t, 32, size)
		f, size, ok = value(t, explicit(privateText, "FD", "\x00\x00\x00\x00\x00\x00\xf0\x3f"), privateText).Float(0)
		assert.True(t, ok)
		assert.InDelta(t, 1, f, 0)
		assert.Equal(t, 64, size)
	})
	t.Run("tag", func(t *testing.T) {
		v := value(t, explicit(privateText, "AT", "\x10\x00\x20\x00"), privateText)
		got, ok := v.TagAt(0)
		assert.True(t, ok)
		assert.Equal(t, tag.PatientID, got)
		_, ok = v.TagAt(1)
		assert.False(t, ok)
	})
	t.Run("binary", func(t *testing.T) {
		assert.Equal(t, "\x01\x02", string(value(t, explicit(privateText, "OW", "\x01\x02"), privateText).Words()))
	})
	t.Run("sequence", func(t *testing.T) {
		v := value(t, explicit(privateSequence, "SQ", item(explicit(tag.PatientID, "LO", "id"))), privateSequence)
		require.Len(t, v.Items(), 1)
		assert.Equal(t, "id", v.Items()[0].String(tag.PatientID))
	})
	t.Run("fragments", func(t *testing.T) {
		v := value(t, explicitUndefined(tag.PixelData, "OB", item("")+item("ab")+sequenceEnd), tag.PixelData)
		assert.True(t, v.Encapsulated())
		assert.Nil(t, v.Words())
	})
}

func TestAValueIsEmptyWithoutContent(t *testing.T) {
	for _, empty := range []string{
		explicit(privateText, "LO", ""), explicit(privateText, "LT", "  "), explicit(privateText, "US", ""), explicit(privateText, "SQ", ""),
		explicitUndefined(privateText, "SQ", sequenceEnd),
	} {
		assert.True(t, value(t, empty, privateText).Empty(), "%q", empty)
	}
	for _, content := range []string{explicit(privateText, "LO", "a "), explicit(privateText, "OB", "\x00\x00"), explicit(privateText, "SQ", item(""))} {
		assert.False(t, value(t, content, privateText).Empty(), "%q", content)
	}
}

func TestAValueOfAnotherKindIsNone(t *testing.T) {
	text, number := value(t, explicit(privateText, "SH", "1234"), privateText), value(t, explicit(privateText, "US", "12"), privateText)
	_, ok := text.Signed(0)
	assert.False(t, ok)
	_, ok = text.Unsigned(0)
	assert.False(t, ok)
	_, _, ok = text.Float(0)
	assert.False(t, ok)
	_, ok = text.TagAt(0)
	assert.False(t, ok)
	assert.Nil(t, text.Words())
	assert.Nil(t, text.Items())
	assert.Nil(t, number.AppendStrings(nil))
}

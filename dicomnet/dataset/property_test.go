package dataset_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/dataset"
)

// alphabets holds character sets and some of the characters that each can encode.
var alphabets = map[string]string{
	"":                                "AZ az09.,;:'()*?~",
	"ISO_IR 6":                        "AZ az09.,;:'()*?~",
	"ISO_IR 100":                      "Az ÄÖÜäöüßéèêç¿ÿ",
	"ISO_IR 101":                      "Az ŁódźčřŽ",
	"ISO_IR 109":                      "Az ĦħŭŬ",
	"ISO_IR 110":                      "Az ĀāĢģ",
	"ISO_IR 144":                      "Az ДжЯяЩ№",
	"ISO_IR 127":                      "Az قباني،؟",
	"ISO_IR 126":                      "Az ΔιονΩώ",
	"ISO_IR 138":                      "Az שרוןאת",
	"ISO_IR 148":                      "Az ÇşĞğİı",
	"ISO_IR 203":                      "Az €ŠšŒœŸ",
	"ISO_IR 166":                      "Az นามสกุล฿๛",
	"ISO_IR 13":                       "Az ｱｲﾔﾏﾀﾞ｡ﾟ‾",
	`\ISO 2022 IR 87`:                 "Az 山田太郎本表ァЯΩ−〜￥",
	`\ISO 2022 IR 159`:                "Az 鷗齩丂",
	`\ISO 2022 IR 149`:                "Az 홍길동洪吉洞",
	`\ISO 2022 IR 58`:                 "Az 张小东王第一行",
	`ISO 2022 IR 100\ISO 2022 IR 126`: "Az äöüß Διον",
	`ISO 2022 IR 13\ISO 2022 IR 87`:   "Az ﾔﾏﾀﾞ山田‾",
	`ISO 2022 IR 6\ISO 2022 IR 87\ISO 2022 IR 159\ISO 2022 IR 13\ISO 2022 IR 100\ISO 2022 IR 144\ISO 2022 IR 149\ISO 2022 IR 58`: "Az山鷗ﾔéЯ홍张~",
	"GB18030":    "Az 王小东誠謂ßü𠮷€",
	"GBK":        "Az 王小东誠謂郳",
	"ISO_IR 192": "Az äЯ山홍𠮷🙂\u200d",

	"windows-1250":                "Az ŠšŽž„“ř€",
	"windows-1251":                "Az ПриветЁ№–",
	"windows-1252":                "Az ÄéŒž€–",
	`windows-1251\ISO 2022 IR 87`: "Az ПриветЁ№山田",
}

// generateText generates texts over an alphabet, without spaces at the ends.
func generateText(alphabet string) *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]rune(alphabet)), 0, 12), func(r []rune) string {
		return strings.TrimSpace(string(r))
	})
}

// TestTextRoundTrip checks that text within the repertoire of a character set is unchanged after
// encoding and parsing, in names, lists and long texts, beside other elements.
func TestTextRoundTrip(t *testing.T) {
	t.Parallel()
	for characterSet, alphabet := range alphabets {
		t.Run(characterSet, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				words := generateText(alphabet)
				name := words.Draw(t, "family") + "^" + words.Draw(t, "given") + "=" + words.Draw(t, "ideographic") + "^" + words.Draw(t, "more")
				list := rapid.SliceOfN(words, 2, 4).Draw(t, "list")
				lines := strings.Join(rapid.SliceOfN(words, 0, 4).Draw(t, "lines"), "\r\n")
				ts := rapid.SampledFrom([]dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian}).Draw(t, "transfer syntax")
				b, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{
					dataset.Text(tag.SpecificCharacterSet, strings.Split(characterSet, `\`)...),
					dataset.Text(tag.PatientName, name),
					dataset.Text(tag.OtherPatientIDs, list...),
					dataset.Text(tag.AdditionalPatientHistory, lines),
				}}, ts)
				require.NoError(t, err)
				set, err := dataset.Parse(b, ts, dataset.Limits{})
				require.NoError(t, err)
				assert.Equal(t, name, set.String(tag.PatientName))
				assert.Equal(t, strings.TrimRight(lines, " "), set.String(tag.AdditionalPatientHistory))
				if strings.Join(list, "") == "" {
					return
				}
				assert.Equal(t, list, set.Strings(tag.OtherPatientIDs))
				assert.Zero(t, set.Warnings())
			})
		})
	}
}

// generateElements generates the elements of a data set as a peer may send them: any VR, nested,
// sorted.
func generateElements(depth int) *rapid.Generator[[]*dicom.Element] {
	return rapid.Custom(func(t *rapid.T) []*dicom.Element {
		var list []*dicom.Element
		for i := range rapid.IntRange(0, 6).Draw(t, "count") {
			tg := tag.Tag{Group: 0x0009, Element: uint16(0x1000 + i)}
			vrs := []string{"LO", "UI", "US", "SS", "UL", "SL", "OB", "FD", "UT"}
			if depth > 0 {
				vrs = append(vrs, "SQ")
			}
			vr := rapid.SampledFrom(vrs).Draw(t, "VR")
			var data any
			switch vr {
			case "LO", "UT":
				data = []string{rapid.StringMatching(`[A-Za-z]{0,9}`).Draw(t, "text")}
			case "UI":
				data = []string{rapid.StringMatching(`[0-9](\.[0-9]){0,9}`).Draw(t, "UID")}
			case "US":
				data = rapid.SliceOfN(rapid.IntRange(0, 65535), 0, 3).Draw(t, "numbers")
			case "SS":
				data = rapid.SliceOfN(rapid.IntRange(-32768, 32767), 0, 3).Draw(t, "numbers")
			case "UL":
				data = rapid.SliceOfN(rapid.IntRange(0, 1<<32-1), 0, 3).Draw(t, "numbers")
			case "SL":
				data = rapid.SliceOfN(rapid.IntRange(-1<<31, 1<<31-1), 0, 3).Draw(t, "numbers")
			case "OB":
				data = append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "bytes")...)
				if b, _ := data.([]byte); len(b)%2 != 0 {
					data = b[:len(b)-1]
				}
			case "FD":
				data = rapid.SliceOfN(rapid.Float64Range(-1e9, 1e9), 0, 3).Draw(t, "numbers")
			case "SQ":
				data = rapid.SliceOfN(generateElements(depth-1), 0, 3).Draw(t, "items")
			}
			value, err := dicom.NewValue(data)
			require.NoError(t, err)
			list = append(list, &dicom.Element{Tag: tg, RawValueRepresentation: vr, Value: value})
		}
		return list
	})
}

// summary returns the properties of elements that a round trip preserves, as text.
func summary(elements []*dicom.Element) string {
	var b strings.Builder
	for _, d := range comparableElements(elements) {
		d.Kind, d.Length = 0, 0
		if s, ok := d.Value.([]string); ok && len(s) == 0 {
			d.Value = []string{""}
		}
		if items, ok := d.Value.([][]comparableElement); ok {
			d.Value = len(items)
		}
		fmt.Fprintf(&b, "%v\n", d)
	}
	for _, e := range elements {
		if items, ok := e.Value.GetValue().([]*dicom.SequenceItemValue); ok {
			for _, item := range items {
				b.WriteString("{" + summary(item.GetValue().([]*dicom.Element)) + "}") //nolint:forcetypeassert // the library's own
			}
		}
	}
	return b.String()
}

func TestElementsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := generateElements(3).Draw(t, "elements")
		b, err := dataset.Encode(&dicom.Dataset{Elements: list}, dataset.ExplicitVRLittleEndian)
		require.NoError(t, err)
		set, err := dataset.Parse(b, dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		ds, err := set.Dataset()
		require.NoError(t, err)
		assert.Equal(t, summary(list), summary(ds.Elements))
		again, err := dataset.Encode(ds, dataset.ExplicitVRLittleEndian)
		require.NoError(t, err)
		assert.Equal(t, b, again)
	})
}

// TestAnyBytesDecodeToBoundedText checks that any bytes in any character set decode to valid UTF-8
// without control characters, at most three times as long.
func TestAnyBytesDecodeToBoundedText(t *testing.T) {
	t.Parallel()
	sets := []string{"KLINGON"}
	for characterSet := range alphabets {
		sets = append(sets, characterSet)
	}
	rapid.Check(t, func(t *rapid.T) {
		characterSet := rapid.SampledFrom(sets).Draw(t, "character set")
		b := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")
		set, err := dataset.Parse([]byte(element(tag.SpecificCharacterSet, characterSet)+element(tag.StudyDescription, string(b))), dataset.ImplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		text := strings.Join(set.Strings(tag.StudyDescription), `\`)
		assert.True(t, utf8.ValidString(text))
		assert.LessOrEqual(t, len(text), 3*len(b))
		assert.False(t, strings.ContainsFunc(text, unicode.IsControl))
	})
}

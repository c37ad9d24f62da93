package dicomweb_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/server/dicomweb"
)

var update = flag.Bool("update", false, "write the golden files")

// everyVR has an attribute of each VR with no, one and several values, in ascending order but for the last two.
func everyVR(e encoder) string {
	word := func(s string) string { return s } // not swapped by the encoder: numbers make their own bytes
	binaries := func(vr string, element uint16, value string) string {
		return e.element(0x7001, element, vr, "") + e.element(0x7001, element+1, vr, word(value))
	}
	return strings.Join([]string{
		e.element(0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1\x00"), // no part of a data set
		e.element(0x0008, 0x0000, "UL", e.uint32(4)),               // group length
		e.element(0x0008, 0x0005, "CS", `ISO 2022 IR 100\ISO 2022 IR 87`),
		e.element(0x0008, 0x0016, "UI", ""),
		e.element(0x0008, 0x0018, "UI", "1.2.3\x00"),
		e.element(0x0008, 0x001a, "UI", "1.2.3\\1.02.4\x00"), // a leading zero is the sender's
		e.element(0x0008, 0x0020, "DA", "20240101"),
		e.element(0x0008, 0x0021, "DA", "2020.01.01"),
		e.element(0x0008, 0x002a, "DT", "20240101120000.000000+0100"),
		e.element(0x0008, 0x0030, "TM", "120000.5"),
		e.element(0x0008, 0x0050, "SH", " ACC \"1\" "),
		e.element(0x0008, 0x0054, "AE", "MAIN\\ARCHIVE "),
		e.element(0x0008, 0x0061, "CS", "CT\\\\MR "),
		e.element(0x0008, 0x0090, "PN", "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"),
		e.element(0x0008, 0x0119, "UC", " leading and trailing  "),
		e.element(0x0008, 0x0120, "UR", "http://example.test/a?b=c\\d "),
		e.element(0x0008, 0x1010, "SH", "~/\x5c~ "),
		e.element(0x0008, 0x1030, "LO", "M\xfcller <&> "),
		e.element(0x0008, 0x1050, "PN", "A^B\\\\=\\C^D"),
		e.element(0x0008, 0x1060, "PN", "=="),
		e.element(0x0008, 0x1070, "PN", "Only^Alphabetic^^^ "),
		e.element(0x0008, 0x1140, "SQ", ""),
		e.sequence(0x0008, 0x1199,
			"",
			e.element(0x0008, 0x1150, "UI", "1.2\x00")+e.sequence(0x0040, 0xa168, e.element(0x0008, 0x0104, "LO", "nested three "))),
		e.element(0x0010, 0x1010, "AS", "034Y"),
		e.element(0x0010, 0x21b0, "LT", " one\r\ntwo\\three\ttab\x1b$B;3\x1b(B "),
		e.element(0x0010, 0x4000, "LT", "  "),
		e.element(0x0018, 0x1020, "LO", "a\\b\\"),
		e.element(0x0018, 0x9074, "UT", "\"quoted\" "),
		e.element(0x0020, 0x0013, "IS", "+3"),
		e.element(0x0020, 0x1206, "IS", "007 "),
		e.element(0x0020, 0x1208, "IS", " 12 "),
		e.element(0x0020, 0x1209, "IS", `1.5\-7\\0\-0\12345678901234567890`),
		e.element(0x0028, 0x0009, "AT", e.uint16(0x0018, 0x1063, 0x00ab, 0xcdef)),
		e.element(0x0028, 0x000a, "AT", ""),
		e.element(0x0028, 0x0010, "US", e.uint16(512)),
		e.element(0x0028, 0x0011, "US", e.uint16(0, 65535)),
		e.element(0x0028, 0x0030, "DS", `1.50\0.30`),
		e.element(0x0028, 0x0106, "SS", e.uint16(0x8000, 32767)),
		e.element(0x0028, 0x1050, "DS", `40\+40\.5\5.\abc\1e5\1E-05\1e999\-0.0\01`),
		e.element(0x0028, 0x1051, "DS", "400 "),
		e.element(0x0028, 0x1053, "DS", "12345678901234567890"),
		e.element(0x0040, 0x4010, "ST", "short text"),
		e.element(0x0040, 0xa160, "UT", ""),
		e.element(0x0041, 0x0010, "LO", "VENDOR 1"),
		e.element(0x0041, 0x1001, "SL", e.uint32(0x80000000, 7)),
		e.element(0x0041, 0x1002, "UL", e.uint32(0xffffffff)),
		e.element(0x0041, 0x1003, "FL", e.uint32(math.Float32bits(0.1), math.Float32bits(float32(math.NaN())), math.Float32bits(1e30))),
		e.element(0x0041, 0x1004, "FD", e.uint64(math.Float64bits(-0.1), math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)),
			math.Float64bits(math.Copysign(0, -1)), math.Float64bits(math.MaxFloat64))),
		e.element(0x0041, 0x1005, "FD", ""),
		e.element(0x0041, 0x1006, "SV", e.uint64(1<<63, 1<<53-1)),
		e.element(0x0041, 0x1007, "UV", e.uint64(math.MaxUint64, 1<<53)),
		e.element(0x0041, 0x1008, "UV", ""),
		e.element(0x0041, 0x1009, "UN", "\x01\x02\x03\x04"),
		e.element(0x0041, 0x100a, "UN", ""),
		e.element(0x5400, 0x1010, "OW", e.uint16(1, 2)),
		binaries("OB", 0x1010, "\x00\xff"),
		binaries("OD", 0x1012, e.uint64(1)),
		binaries("OF", 0x1014, e.uint32(2)),
		binaries("OL", 0x1016, e.uint32(3)),
		binaries("OV", 0x1018, e.uint64(4)),
		binaries("OW", 0x101a, e.uint16(5, 6)),
		e.element(0x0020, 0x000d, "UI", "1.2.840"), // out of order
		e.element(0x0010, 0x0010, "PN", "Last^One"),
		e.element(0x0020, 0x000d, "UI", "9.9.9\x00"), // a second time
	}, "")
}

func TestEveryVRIsWrittenAsInTheGoldenFile(t *testing.T) {
	for name, e := range map[string]encoder{"little endian": {binary.LittleEndian}, "big endian": {binary.BigEndian}} {
		t.Run(name, func(t *testing.T) {
			got := jsonOf(t, e.parse(t, everyVR(e)))
			var indented bytes.Buffer
			require.NoError(t, json.Indent(&indented, got, "", "  "))
			indented.WriteByte('\n')
			if *update {
				require.NoError(t, os.WriteFile("testdata/every_vr.json", indented.Bytes(), 0o600))
			}
			want, err := os.ReadFile("testdata/every_vr.json")
			require.NoError(t, err)
			assert.Equal(t, string(want), indented.String())
		})
	}
}

func TestAttributesInImplicitVRHaveTheVROfTheDictionary(t *testing.T) {
	set, err := dataset.Parse([]byte("\x10\x00\x20\x00\x02\x00\x00\x00id\x09\x00\x01\x10\x02\x00\x00\x00\x01\x02"), dataset.ImplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	assert.Equal(t, `{"00091001":{"vr":"UN","InlineBinary":"AQI="},"00100020":{"vr":"LO","Value":["id"]}}`, string(jsonOf(t, set)))
}

func TestASequenceOfUnknownVRIsASequence(t *testing.T) {
	undefined := "\x09\x00\x01\x10\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"
	set, err := dataset.Parse([]byte(undefined), dataset.ImplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	assert.Equal(t, `{"00091001":{"vr":"SQ","Value":[{}]}}`, string(jsonOf(t, set)))
}

func TestEncapsulatedPixelDataIsLeftOut(t *testing.T) {
	e := encoder{binary.LittleEndian}
	fragments := "\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x02\x00\x00\x00ab\xfe\xff\xdd\xe0\x00\x00\x00\x00"
	set := e.parse(t, e.element(0x0010, 0x0020, "LO", "id")+fragments)
	assert.Equal(t, `{"00100020":{"vr":"LO","Value":["id"]}}`, string(jsonOf(t, set)))
}

func TestUndecodableTextIsReplaced(t *testing.T) {
	e := encoder{binary.LittleEndian}
	set := e.parse(t, e.element(0x0008, 0x0005, "CS", "ISO_IR 192")+e.element(0x0008, 0x1030, "LO", "a\xffb\x01"))
	assert.Equal(t, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00081030":{"vr":"LO","Value":["a`+"\ufffd"+`b"]}}`, string(jsonOf(t, set)))
}

func TestValuesOfTheGatewayAreWritten(t *testing.T) {
	var out bytes.Buffer
	w := dicomweb.NewJSONWriter(&out)
	w.BeginArray()
	w.BeginObject()
	w.Text(dataset.StudyDate, "DA")
	w.Text(dataset.AccessionNumber, "SH", "")
	w.Empty(dataset.StudyTime, "TM")
	w.Text(dataset.ModalitiesInStudy, "CS", "CT", "", "MR")
	w.Text(dataset.Tag{Group: 0x0008, Element: 0x1190}, "UR", "http://a/\x00\"\\\n\r\t\u2028\xff\u00fc")
	w.EndObject()
	w.BeginObject()
	w.EndObject()
	w.EndArray()
	require.NoError(t, w.Flush())
	assert.Equal(t, `[{"00080020":{"vr":"DA"},"00080050":{"vr":"SH"},"00080030":{"vr":"TM"},"00080061":{"vr":"CS","Value":["CT",null,"MR"]},`+
		`"00081190":{"vr":"UR","Value":["http://a/\u0000\"\\\n\r\t`+"\u2028\ufffd\u00fc"+`"]}},{}]`, out.String())
	assert.True(t, json.Valid(out.Bytes()))
}

// counter counts writes.
type counter struct {
	bytes.Buffer
	writes, longest int
}

func (c *counter) Write(p []byte) (int, error) {
	c.writes++
	c.longest = max(c.longest, len(p))
	return c.Buffer.Write(p)
}

func TestLongAnswersLeaveInPieces(t *testing.T) {
	e := encoder{binary.LittleEndian}
	long := map[string]string{
		"binary":      e.element(0x0009, 0x1001, "OB", strings.Repeat("\x01\x02", 1<<20)),
		"plain text":  e.element(0x0009, 0x1001, "UT", strings.Repeat("ab", 1<<20)),
		"text":        e.element(0x0008, 0x0005, "CS", "ISO_IR 192") + e.element(0x0009, 0x1001, "UT", "x"+strings.Repeat("ü", 1<<20)),
		"values":      e.element(0x0009, 0x1001, "UC", strings.Repeat(`a\`, 30000)),
		"names":       e.element(0x0009, 0x1001, "UN", "") + e.element(0x0010, 0x0010, "PN", strings.Repeat(`a=b\`, 10000)),
		"numbers":     e.element(0x0009, 0x1001, "UV", strings.Repeat("\xff", 8*30000)),
		"many values": strings.Repeat(e.element(0x0009, 0x1001, "SH", "a")+e.element(0x0009, 0x1002, "SH", "a"), 2000),
	}
	for name, elements := range long {
		t.Run(name, func(t *testing.T) {
			set := e.parse(t, elements)
			var out counter
			w := dicomweb.NewJSONWriter(&out)
			w.BeginArray()
			for range 300 {
				w.Set(set)
				if name != "many values" {
					break
				}
			}
			w.EndArray()
			require.NoError(t, w.Flush())
			assert.Less(t, out.longest, 160<<10)
			assert.True(t, json.Valid(out.Bytes()))
			assert.NotContains(t, out.String(), "\ufffd")
		})
	}
}

func TestAnErrorOfTheOutputSticks(t *testing.T) {
	failure := errors.New("gone")
	w := dicomweb.NewJSONWriter(writerFunc(func([]byte) (int, error) { return 0, failure }))
	e := encoder{binary.LittleEndian}
	w.Set(e.parse(t, e.element(0x0009, 0x1001, "OB", strings.Repeat("\x01\x02", 1<<17))))
	require.ErrorIs(t, w.Flush(), failure)
	require.ErrorIs(t, w.Flush(), failure)
	assert.Zero(t, w.Len())

	var out bytes.Buffer
	w.Reset(&out)
	w.Set(e.parse(t, ""))
	require.NoError(t, w.Flush())
	assert.Equal(t, "{}", out.String())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// FuzzJSON checks that any data set becomes valid JSON with ascending names.
func FuzzJSON(f *testing.F) {
	for _, e := range []encoder{{binary.LittleEndian}, {binary.BigEndian}} {
		f.Add([]byte(everyVR(e)), byte(e.order.Uint16([]byte{1, 0})))
	}
	f.Add([]byte("\x10\x00\x10\x00\x06\x00\x00\x00a^\x1b$B="), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, syntax byte) {
		syntaxes := []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian, dataset.ExplicitVRBigEndian}
		set, err := dataset.Parse(b, syntaxes[int(syntax)%len(syntaxes)], dataset.Limits{})
		if err != nil {
			return
		}
		got := jsonOf(t, set)
		if !json.Valid(got) {
			t.Fatalf("not valid JSON: %s", got)
		}
		decoder := json.NewDecoder(bytes.NewReader(got))
		_, _ = decoder.Token()
		last := ""
		for decoder.More() {
			name, err := decoder.Token()
			require.NoError(t, err)
			require.Greater(t, name, last)
			last = name.(string)
			var attribute struct {
				VR           string            `json:"vr"`
				Value        []json.RawMessage `json:"Value"`
				InlineBinary *string           `json:"InlineBinary"`
			}
			require.NoError(t, decoder.Decode(&attribute))
			require.Len(t, attribute.VR, 2)
			require.False(t, attribute.Value != nil && attribute.InlineBinary != nil)
		}
	})
}

func BenchmarkStudy(b *testing.B) {
	e := encoder{binary.LittleEndian}
	set := e.parse(b, study(e))
	var size int
	w := dicomweb.NewJSONWriter(writerFunc(func(p []byte) (int, error) { size += len(p); return len(p), nil }))
	b.ReportAllocs()
	for b.Loop() {
		w.Set(set)
		_ = w.Flush()
	}
	b.SetBytes(int64(size / b.N))
}

// study is what a PACS sends for a study with ten attributes more than PS3.18 requires.
func study(e encoder) string {
	return strings.Join([]string{
		e.element(0x0008, 0x0005, "CS", "ISO_IR 100"),
		e.element(0x0008, 0x0020, "DA", "20240101"),
		e.element(0x0008, 0x0030, "TM", "120000"),
		e.element(0x0008, 0x0050, "SH", "ACC-1000001 "),
		e.element(0x0008, 0x0052, "CS", "STUDY "),
		e.element(0x0008, 0x0054, "AE", "ORTHANCA"),
		e.element(0x0008, 0x0056, "CS", "ONLINE"),
		e.element(0x0008, 0x0061, "CS", `CT\MR `),
		e.element(0x0008, 0x0062, "UI", "1.2.840.10008.5.1.4.1.1.2\x00"),
		e.element(0x0008, 0x0080, "LO", "Hospital"),
		e.element(0x0008, 0x0090, "PN", "REF^MD"),
		e.element(0x0008, 0x0201, "SH", "+0100 "),
		e.element(0x0008, 0x1010, "SH", "STATION1"),
		e.element(0x0008, 0x1030, "LO", "CT ABDOMEN"),
		e.element(0x0008, 0x1040, "LO", "Radiology "),
		e.element(0x0008, 0x1060, "PN", "READ^MD "),
		e.element(0x0010, 0x0010, "PN", "M\xfcLLER^JOHN"),
		e.element(0x0010, 0x0020, "LO", "1112223333"),
		e.element(0x0010, 0x0021, "LO", "HOSPITAL"),
		e.element(0x0010, 0x0030, "DA", "19700101"),
		e.element(0x0010, 0x0040, "CS", "M "),
		e.element(0x0010, 0x1010, "AS", "053Y"),
		e.element(0x0010, 0x4000, "LT", "none"),
		e.element(0x0020, 0x000d, "UI", "2.25.207963261240332500817286819139225894982\x00"),
		e.element(0x0020, 0x0010, "SH", "1 "),
		e.element(0x0020, 0x1206, "IS", "3 "),
		e.element(0x0020, 0x1208, "IS", "512 "),
	}, "")
}

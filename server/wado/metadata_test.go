package wado

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/server/problem"
)

// objects sends the metadata of data sets and returns the objects.
func objects(t *testing.T, instances ...arriving) []map[string]map[string]any {
	t.Helper()
	w, _, err := sent(t, request(t, Metadata, studyPath, ""), all(instances...), metadata(t))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.Code)
	var found []map[string]map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &found), "%s", w.Body)
	return found
}

func TestMetadataIsInlineButForPixelDataAndLongBinaryValues(t *testing.T) {
	const bulk = baseURL + "/studies/1.2/series/1.2.3/instances/1.2.3.1/bulkdata/"
	got := objects(t, arriving{data: element(0x0008_0005, "CS", "ISO_IR 100") +
		element(0x0010_0000, "UL", "\x08\x00\x00\x00") +
		element(0x0010_0010, "PN", "M\xfcller^J ") +
		sequence(0x0040_0275,
			element(0x0040_0009, "SH", "SPS1")+element(0x0042_0011, "OB", strings.Repeat("x", 5000)),
			element(0x0008_0005, "CS", "ISO_IR 192")+element(0x0040_0007, "LO", "\xc3\xa9")+sequence(0x0040_0008, element(0x0028_3006, "US", strings.Repeat("\x01\x00", 2050))),
		) +
		sequence(0x0040_0555) +
		element(0x0040_a160, "UT", strings.Repeat("text ", 4000)) +
		element(0x7fe0_0010, "OW", "\x01\x00")})
	require.Len(t, got, 1)
	o := got[0]
	assert.Equal(t, []any{map[string]any{"Alphabetic": "Müller^J"}}, o["00100010"]["Value"])
	assert.NotContains(t, o, "00100000", "group lengths are no attributes")
	assert.Equal(t, []any{"ISO_IR 192"}, o["00080005"]["Value"], "that of the text in the answer")
	items := o["00400275"]["Value"].([]any)
	require.Len(t, items, 2)
	first, second := items[0].(map[string]any), items[1].(map[string]any)
	assert.Equal(t, map[string]any{"vr": "OB", "BulkDataURI": bulk + "00400275.1.00420011"}, first["00420011"])
	assert.NotContains(t, first, "00080005")
	assert.Equal(t, []any{"é"}, second["00400007"].(map[string]any)["Value"])
	inner := second["00400008"].(map[string]any)["Value"].([]any)[0].(map[string]any)
	assert.Equal(t, bulk+"00400275.2.00400008.1.00283006", inner["00283006"].(map[string]any)["BulkDataURI"])
	assert.Equal(t, map[string]any{"vr": "SQ"}, o["00400555"])
	assert.Len(t, o["0040A160"]["Value"].([]any)[0], 5*4000-1)
	assert.Equal(t, map[string]any{"vr": "OW", "BulkDataURI": bulk + "7FE00010"}, o["7FE00010"])
}

func TestMetadataOfEncapsulatedPixelDataIsAURI(t *testing.T) {
	got := objects(t, arriving{syntax: jpeg, data: element(0x0028_0010, "US", "\x10\x00") + encapsulated("jpeg")})
	assert.Equal(t, "OB", got[0]["7FE00010"]["vr"])
	assert.True(t, strings.HasSuffix(got[0]["7FE00010"]["BulkDataURI"].(string), "/bulkdata/7FE00010"))
	assert.Equal(t, []any{16.0}, got[0]["00280010"]["Value"])
}

func TestMetadataOfImplicitVRHasTheVRsOfTheStandard(t *testing.T) {
	implicit := "\x28\x00\x03\x01\x02\x00\x00\x00\x01\x00" + "\x28\x00\x06\x01\x02\x00\x00\x00\xff\xff"
	got := objects(t, arriving{syntax: dataset.ImplicitVRLittleEndian, data: implicit})
	assert.Equal(t, map[string]any{"vr": "SS", "Value": []any{-1.0}}, got[0]["00280106"])
}

func TestMetadataOfRepeatedAndUnorderedElementsIsValid(t *testing.T) {
	big := strings.Repeat(element(0x0011_1010, "OB", strings.Repeat("x", 5000)), 2)
	got := objects(t, arriving{data: element(0x0020_0013, "IS", "7 ") + big + element(0x0020_0013, "IS", "8 ") + element(0x0008_0060, "CS", "CT")})
	assert.Equal(t, []any{7.0}, got[0]["00200013"]["Value"])
	assert.Equal(t, []any{"CT"}, got[0]["00080060"]["Value"])

	var descending strings.Builder
	for i := range 50000 {
		descending.WriteString(element(0x0011_FFFF-uint32(i), "LO", ""))
	}
	assert.Len(t, objects(t, arriving{data: descending.String() + element(0x0011_FFFF, "LO", "")})[0], 50000)
}

func TestMetadataOfManyElementsIsComplete(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		b.WriteString(element(0x0011_0000|uint32(i+0x1000), "LO", "value "))
	}
	assert.Len(t, objects(t, arriving{data: b.String()})[0], 5000)
}

func TestMetadataSaysHowManyInstancesAreMissing(t *testing.T) {
	one := arriving{data: element(0x0008_0060, "CS", "CT")}
	_, transfer, err := sent(t, request(t, Metadata, studyPath, ""), all(one).missing("1.2.3.9"), metadata(t))
	p, _ := err.(*problem.Problem) //nolint:errorlint // not wrapped
	require.NotNil(t, p)
	assert.Equal(t, api.ProblemCodeRetrieveIncomplete, p.Code)
	assert.Equal(t, []string{"1.2.3.9"}, p.Missing)
	assert.False(t, transfer.Begun())

	w, _, err := sent(t, request(t, Metadata, studyPath, "", "Prefer", "handling=lenient"), all(one).missing("1.2.3.9"), metadata(t))
	require.NoError(t, err)
	assert.Equal(t, http.StatusPartialContent, w.Code)
	assert.Equal(t, `299 dicom-qr-gateway "1 instance is missing."`, w.Header().Get("Warning"))
	assert.Equal(t, "incomplete; missing=1", w.Header().Get("Retrieve-Outcome"))
	assert.Equal(t, "handling=lenient", w.Header().Get("Preference-Applied"))
	assert.Empty(t, w.Header().Get("ETag"))
}

func TestMetadataOfAMalformedDataSetIsAProblem(t *testing.T) {
	good := arriving{data: element(0x0008_0060, "CS", "CT")}
	for name, test := range map[string]struct {
		bad  arriving
		code api.ProblemCode
	}{
		"truncated": {arriving{data: element(0x0008_0060, "CS", "CT")[:9]}, api.ProblemCodeProtocolError},
		"nested":    {arriving{data: strings.Repeat("\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff", 10_000)}, api.ProblemCodeProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			_, transfer, err := sent(t, request(t, Metadata, studyPath, ""), all(good, test.bad), metadata(t))
			p, _ := err.(*problem.Problem) //nolint:errorlint // not wrapped
			require.NotNil(t, p)
			assert.Equal(t, test.code, p.Code)
			assert.False(t, transfer.Begun())
		})
	}
	_, _, err := sent(t, request(t, Metadata, studyPath, ""), all(good, arriving{data: good.data, err: errArrival}), metadata(t))
	require.ErrorIs(t, err, errArrival)
}

func TestMetadataThatDoesNotFitIsAProblem(t *testing.T) {
	w := func(transfer *Transfer) error {
		transfer.Spool = newSpool(t, spool.Settings{MemoryEach: 64 << 10, Memory: 64 << 10, Patience: time.Millisecond})
		return SendMetadata(t.Context(), transfer)
	}
	_, _, err := sent(t, request(t, Metadata, studyPath, ""), all(arriving{data: element(0x0040_a160, "UT", strings.Repeat("x", 900_000))}), w)
	assert.Equal(t, string(api.ProblemCodeSpoolFull), problem.CodeOf(t.Context(), err))
}

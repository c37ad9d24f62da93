package dicomweb_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/dicomweb"
)

func studies(query string) (*dicomweb.Parameters, []api.Fault) {
	return dicomweb.ParseParameters(dicomweb.Resource{Level: qr.LevelStudy}, query)
}

// keysOf returns the keys as PS3.18 writes them.
func keysOf(s *qr.Search) []string {
	var keys []string
	for i := range s.Keys {
		keys = append(keys, s.Keys[i].Path.String()+"="+strings.Join(s.Keys[i].Values, "|"))
	}
	return keys
}

func includesOf(s *qr.Search) []string {
	var paths []string
	for _, p := range s.Include {
		paths = append(paths, p.String())
	}
	return paths
}

func TestKeysAreKeywordsTagsAndPaths(t *testing.T) {
	for query, want := range map[string][]string{
		"":                                      nil,
		"&&":                                    nil,
		"PatientID=123":                         {"00100020=123"},
		"00100020=123":                          {"00100020=123"},
		"0020000d=1.2.3":                        {"0020000D=1.2.3"},
		"PatientName=M%C3%9CLLER*":              {"00100010=MÜLLER*"},
		"PatientName=A+B":                       {"00100010=A B"},
		"PatientName":                           {"00100010="},
		"PatientName=":                          {"00100010="},
		"StudyDate=20240101-20240131":           {"00080020=20240101-20240131"},
		"StudyInstanceUID=1.2,3.4":              {"0020000D=1.2|3.4"},
		"StudyInstanceUID=1.2%5C3.4":            {"0020000D=1.2|3.4"},
		"StudyInstanceUID=1.2%2C3.4":            {"0020000D=1.2|3.4"},
		"AccessionNumber=A&StudyID=1":           {"00080050=A", "00200010=1"},
		"00081032.CodeValue=1":                  {"00081032.00080100=1"},
		"ProcedureCodeSequence.00080100=1":      {"00081032.00080100=1"},
		"00090010=VENDOR&includefield=00091001": {"00090010=VENDOR"},
	} {
		p, faults := studies(query)
		require.Empty(t, faults, query)
		assert.Equal(t, want, keysOf(&p.Search), query)
		assert.Empty(t, p.Warnings, query)
		assert.Equal(t, qr.LevelStudy, p.Search.Level)
	}
}

func TestModalitiesAreAlternatives(t *testing.T) {
	for query, want := range map[string][]string{
		"ModalitiesInStudy=CT":        {"CT"},
		"ModalitiesInStudy=CT,MR":     {"CT", "MR"},
		"ModalitiesInStudy=CT%2CMR":   {"CT", "MR"},
		"00080061=CT%5CMR":            {"CT", "MR"},
		"ModalitiesInStudy=CT,%20MR,": {"CT", "MR"},
		"ModalitiesInStudy=":          nil,
		"ModalitiesInStudy=*":         nil,
	} {
		p, faults := studies(query)
		require.Empty(t, faults, query)
		assert.Equal(t, want, p.Search.Modalities, query)
		assert.Empty(t, p.Search.Keys, "it is never sent")
	}
}

func TestIncludedFieldsAreListedRepeatedOrAll(t *testing.T) {
	for query, want := range map[string][]string{
		"includefield=00081030":                                 {"00081030"},
		"includefield=StudyDescription,00080060,%2000080090":    {"00081030", "00080090"}, // Modality is an attribute of a series
		"includefield=00081030%2C00080090":                      {"00081030", "00080090"},
		"includefield=StudyDescription&includefield=PatientAge": {"00081030", "00101010"},
		"includefield=":   nil,
		"includefield=,,": nil,
		"includefield=ProcedureCodeSequence.CodeValue":                         {"00081032.00080100"},
		"includefield=00081190,00080005,00080052":                              nil, // always the gateway's own
		"includefield=00091001,00090010&00090010=VENDOR":                       {"00091001", "00090010"},
		"includefield=00091001.00080100&00090010=VENDOR":                       {"00091001.00080100"},
		"includefield=00081032.00091001&ProcedureCodeSequence.00090010=VENDOR": {"00081032.00091001"},
	} {
		p, faults := studies(query)
		require.Empty(t, faults, query)
		assert.Equal(t, want, includesOf(&p.Search), query)
		assert.False(t, p.Search.IncludeAll)
	}
	p, faults := studies("includefield=all&includefield=PatientAge")
	require.Empty(t, faults)
	assert.True(t, p.Search.IncludeAll)
}

func TestPagesAreUnsignedIntegers(t *testing.T) {
	p, faults := studies("limit=101&offset=202")
	require.Empty(t, faults)
	assert.Equal(t, 101, p.Search.Limit)
	assert.Equal(t, 202, p.Search.Offset)
	assert.False(t, p.Empty)
	p, faults = studies("limit=0")
	require.Empty(t, faults)
	assert.True(t, p.Empty, "a limit of zero is no missing limit")
	for _, wrong := range []string{"-1", "abc", "", "1.0", "+1", "1e3", "4294967297", "1000000001", " 1", "0x1"} {
		for _, name := range []string{"limit", "offset"} {
			_, faults := studies(name + "=" + url.QueryEscape(wrong))
			require.Len(t, faults, 1, "%s=%s", name, wrong)
			assert.Equal(t, "/"+name, faults[0].Pointer)
		}
	}
}

func TestOptionsThatAreNotSupportedGiveAWarning(t *testing.T) {
	for _, option := range []string{"emptyvaluematching", "multiplevaluematching"} {
		p, faults := studies(option + "=true")
		require.Empty(t, faults)
		assert.Equal(t, []string{"The " + option + " parameter is not supported. Only literal matching has been performed."}, p.Warnings)
		p, faults = studies(option + "=false")
		require.Empty(t, faults)
		assert.Empty(t, p.Warnings)
		for _, wrong := range []string{"TRUE", "1", "", "yes"} {
			_, faults = studies(option + "=" + wrong)
			assert.Equal(t, []api.Fault{{Pointer: "/" + option, Detail: "must be true or false"}}, faults)
		}
	}
}

func TestFuzzyMatchingConcernsTheNamesBeforeAndAfterIt(t *testing.T) {
	p, faults := studies("PatientName=DOE&fuzzymatching=true&ReferringPhysicianName=REF")
	require.Empty(t, faults)
	assert.Empty(t, p.Warnings)
	assert.True(t, p.Search.Keys[0].Fuzzy)
	assert.True(t, p.Search.Keys[1].Fuzzy)
	p, faults = studies("PatientName=DOE&fuzzymatching=false")
	require.Empty(t, faults)
	assert.False(t, p.Search.Keys[0].Fuzzy)
	for _, wrong := range []string{"TRUE", "1", ""} {
		_, faults = studies("fuzzymatching=" + wrong)
		assert.Equal(t, []api.Fault{{Pointer: "/fuzzymatching", Detail: "must be true or false"}}, faults)
	}
}

func TestOtherNamesInLowerCaseAreIgnoredWithAWarning(t *testing.T) {
	p, faults := studies("foo=DOE&_=123&cache-bust=1&PatientID=1&charset=utf-8")
	require.Empty(t, faults)
	assert.Equal(t, []string{"00100020=1"}, keysOf(&p.Search))
	assert.Equal(t, []string{
		"The parameter foo is not supported and was ignored.",
		"The parameter _ is not supported and was ignored.",
		"The parameter cache-bust is not supported and was ignored.",
		"The parameter charset is not supported and was ignored.",
	}, p.Warnings)
}

func TestManyIgnoredNamesAreCounted(t *testing.T) {
	p, faults := studies("a=1&b=1&c=1&d=1&e=1&f=1")
	require.Empty(t, faults)
	assert.Equal(t, []string{"6 parameters are not supported and were ignored."}, p.Warnings)
}

func TestNamesThatLookLikeAttributesAndAreNoneAreFaults(t *testing.T) {
	const none = "is not an attribute: use its keyword in PS3.6, such as PatientID, or its tag as eight hexadecimal digits"
	for name, detail := range map[string]string{
		"Foo":                   none,
		"PatientNam":            none,
		"0010002":               none,
		"001000200":             none,
		"(0010,0020)":           none,
		"0010,0020":             none,
		"":                      none,
		"a b":                   none,
		"ünbekannt":             none,
		strings.Repeat("a", 33): none,
		"foo.bar":               none,
		".":                     none,
		"PatientID.":            "has a path through an attribute that is no sequence",
		"00081032.":             none,
		"00081032..00080100":    none,
		"patientid":             `is not an attribute; did you mean "PatientID"?`,
		"PATIENTID":             `is not an attribute; did you mean "PatientID"?`,
		"patientID":             `is not an attribute; did you mean "PatientID"?`,
		"Limit":                 `is not an attribute; did you mean "limit"?`,
		"includeField":          `is not an attribute; did you mean "includefield"?`,
		"PatientID.PatientName": "has a path through an attribute that is no sequence",
		"00100099":              "is not the tag of an attribute that can be searched",
		"deadbeef":              "needs its private creator, as the value of the parameter DEAD00BE",
		"00090001":              "is not the tag of an attribute that can be searched",
		"00070010":              "is not the tag of an attribute that can be searched",
		"00080000":              "is not the tag of an attribute that can be searched",
		"00020010":              "is not the tag of an attribute that can be searched",
		"TransferSyntaxUID":     "is not an attribute that can be searched",
		"FFFEE000":              "is not the tag of an attribute that can be searched",
		strings.Repeat("00081032.", 8) + "00080100": "has more than 8 attributes in its path",
	} {
		_, faults := studies(url.QueryEscape(name) + "=")
		if assert.Len(t, faults, 1, name) {
			assert.Equal(t, detail, faults[0].Detail, name)
		}
		if name == "" {
			continue // an empty element of a list is ignored
		}
		if strings.Contains(name, ",") || name == "foo.bar" {
			continue
		}
		_, faults = studies("includefield=" + url.QueryEscape(name))
		if assert.Len(t, faults, 1, name) {
			assert.Equal(t, api.Fault{Pointer: "/includefield/0", Detail: detail}, faults[0], name)
		}
	}
}

func TestKeysThatCannotBeAreFaults(t *testing.T) {
	for query, detail := range map[string]string{
		"Modality=CT":                                  "is an attribute of a lower level than this search",
		"SeriesInstanceUID=1.2":                        "is an attribute of a lower level than this search",
		"RetrieveURL=a":                                "cannot be matched",
		"SpecificCharacterSet=ISO_IR%20100":            "cannot be matched",
		"QueryRetrieveLevel=STUDY":                     "cannot be matched",
		"PatientID=1&00100020=1":                       "is given more than once",
		"PatientID=1&PatientID=2":                      "is given more than once",
		"00091001=1&00090010=VENDOR":                   "is a private attribute: its value representation is not known, so it can be included and not matched",
		"00091001=":                                    "needs its private creator, as the value of the parameter 00090010",
		"00091001=&00090010=":                          "needs its private creator, as the value of the parameter 00090010",
		"00091001=&00090011=VENDOR":                    "needs its private creator, as the value of the parameter 00090010",
		"00081032.00091001=&00090010=VENDOR":           "needs its private creator, as the value of the parameter 00081032.00090010",
		"PatientID=%zz":                                "must be UTF-8 in percent-encoding",
		"PatientID=%ff":                                "must be UTF-8 in percent-encoding",
		"PatientID=a%00":                               "must not contain control characters or undecodable ones",
		"PatientID=a%0D%0Ab":                           "must not contain control characters or undecodable ones",
		"PatientID=%EF%BF%BD":                          "must not contain control characters or undecodable ones",
		"%zz=1":                                        "is a name that is not valid UTF-8 in percent-encoding",
		"%ff=1":                                        "is a name that is not valid UTF-8 in percent-encoding",
		"StudyInstanceUID=,":                           "has no value between its commas",
		"ModalitiesInStudy=,":                          "has no value between its commas",
		"ModalitiesInStudy=ct":                         "must be modalities with commas between them, each 1 to 16 upper-case letters, digits, spaces and underscores",
		"ModalitiesInStudy=C*":                         "must be modalities with commas between them, each 1 to 16 upper-case letters, digits, spaces and underscores",
		"ModalitiesInStudy=CT,*":                       "must be modalities with commas between them, each 1 to 16 upper-case letters, digits, spaces and underscores",
		"PatientComments=" + strings.Repeat("a", 1025): "must have at most 1024 characters",
		"limit=1&limit=2":                              "is given more than once",
		"fuzzymatching=true&fuzzymatching=true":        "is given more than once",
	} {
		_, faults := studies(query)
		if assert.Len(t, faults, 1, query) {
			assert.Equal(t, detail, faults[0].Detail, query)
		}
	}
}

func TestMalformedValuesAreFaultsWithoutTheValue(t *testing.T) {
	for _, query := range []string{
		"StudyDate=foo", "StudyDate=2024-01-01", "StudyDate=20241301", "StudyDate=20240131-20240101", "StudyDate=-", "StudyDate=2024*",
		"StudyTime=25", "StudyTime=1200-foo", "PatientBirthDate=19700101-19700102-19700103",
		"StudyInstanceUID=1.2.*", "StudyInstanceUID=abc", "StudyInstanceUID=1..2", "StudyInstanceUID=*", "StudyInstanceUID=1.2,x",
		"StudyInstanceUID=" + strings.Repeat("1", 65),
		"PatientSex=male-female", "PatientAge=old", "NumberOfStudyRelatedSeries=many", "PatientWeight=heavy",
		"PatientID=a%5Cb", "ProcedureCodeSequence=1",
	} {
		p, faults := studies(query)
		if assert.Len(t, faults, 1, query) {
			name, value, _ := strings.Cut(query, "=")
			assert.Equal(t, "/"+name, faults[0].Pointer)
			assert.NotContains(t, faults[0].Detail, value)
			assert.NotEmpty(t, faults[0].Detail)
			t.Log(query, faults[0].Detail)
		}
		assert.Nil(t, p)
	}
}

func TestAllFaultsAreFoundAtOnce(t *testing.T) {
	p, faults := studies("limit=-1&Foo=SECRET&PatientID=1&PatientID=SECRET&includefield=patientage,Bar,StudyDescription&fuzzymatching=SECRET&Modality=CT")
	assert.Nil(t, p)
	var pointers []string
	for _, f := range faults {
		pointers = append(pointers, f.Pointer)
		assert.NotContains(t, f.Detail, "SECRET")
	}
	assert.ElementsMatch(t, []string{"/limit", "/Foo", "/PatientID", "/includefield/0", "/includefield/1", "/fuzzymatching", "/Modality"}, pointers)
}

func TestTheNumberOfParametersIsLimited(t *testing.T) {
	var many strings.Builder
	for i := range 101 {
		fmt.Fprintf(&many, "p%d=1&", i)
	}
	_, faults := studies(many.String())
	assert.Equal(t, []api.Fault{{Detail: "has more than 100 parameters"}}, faults)

	_, faults = studies("includefield=" + strings.Repeat("PatientAge,", 300))
	assert.Empty(t, faults)
	_, faults = studies("includefield=" + strings.Repeat("PatientAge,", 1000))
	assert.Equal(t, []api.Fault{{Pointer: "/includefield", Detail: "has more than 300 attributes"}}, faults)

	_, faults = studies(strings.Repeat("A", 70) + "=1")
	assert.Equal(t, "/"+strings.Repeat("A", 64)+"…", faults[0].Pointer)
	_, faults = studies("A%2Fb~c=1")
	assert.Equal(t, "/A~1b~0c", faults[0].Pointer)
}

func TestOnlyNamesOfTheStandardAreKnown(t *testing.T) {
	for _, pointer := range []string{
		"", "/study", "/series", "/limit", "/includefield", "/includefield/12", "/PatientID", "/patientid", "/00100020", "/ProcedureCodeSequence.00080100",
	} {
		assert.True(t, dicomweb.Known(pointer), pointer)
	}
	for _, pointer := range []string{"/", "/?", "/SMITH", "/smith", "/19711231", "/00091001", "/study/x", "/PatientID/0", "/includefield/x", "/PatientID.SMITH"} {
		assert.False(t, dicomweb.Known(pointer), pointer)
	}
}

func TestTheUIDsOfThePathAreChecked(t *testing.T) {
	good := "1.2.840.10008"
	p, faults := dicomweb.ParseParameters(dicomweb.Resource{Level: qr.LevelImage, Study: &good, Series: &good}, "")
	require.Empty(t, faults)
	assert.Equal(t, good, p.Search.StudyInstanceUID)
	assert.Equal(t, good, p.Search.SeriesInstanceUID)
	for _, wrong := range []string{"", "abc", "1..2", ".1", "1.", "1.2 ", "*", "1.2\\3", strings.Repeat("1", 65)} {
		_, faults = dicomweb.ParseParameters(dicomweb.Resource{Level: qr.LevelImage, Study: &wrong, Series: &wrong}, "")
		require.Len(t, faults, 2, wrong)
		assert.Equal(t, "/study", faults[0].Pointer)
		assert.Equal(t, "/series", faults[1].Pointer)
	}
}

func TestAnUnescapedPlusSignOfADateTimeIsRead(t *testing.T) {
	for _, query := range []string{"AcquisitionDateTime=20240101120000+0100-", "AcquisitionDateTime=20240101120000%2B0100-"} {
		p, faults := dicomweb.ParseParameters(dicomweb.Resource{Level: qr.LevelImage}, query)
		require.Empty(t, faults)
		assert.Equal(t, []string{"0008002A=20240101120000+0100-"}, keysOf(&p.Search))
	}
}

func TestAttributesOfHigherLevelsMaySelectSeriesAndInstances(t *testing.T) {
	p, faults := dicomweb.ParseParameters(dicomweb.Resource{Level: qr.LevelImage}, "PatientID=1&Modality=CT&SOPInstanceUID=1.2&includefield=Rows,SeriesDescription")
	require.Empty(t, faults)
	assert.Equal(t, []string{"00100020=1", "00080060=CT", "00080018=1.2"}, keysOf(&p.Search))
	assert.Equal(t, []string{"00280010", "0008103E"}, includesOf(&p.Search))
	_, faults = dicomweb.ParseParameters(dicomweb.Resource{Level: qr.LevelSeries}, "SOPInstanceUID=1.2")
	assert.Len(t, faults, 1)
}

// FuzzParameters checks that no query string panics, and that faults hold no value.
func FuzzParameters(f *testing.F) {
	for _, query := range []string{
		"PatientName=A*&StudyDate=20240101-&includefield=all&limit=10&offset=3", "00081032.00080100=1", "ModalitiesInStudy=CT%5CMR",
		"patientid=1&Foo=2&&=&%zz", "includefield=00091001&00090010=V", "accept=application/dicom+json",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, level := range []qr.Level{qr.LevelStudy, qr.LevelSeries, qr.LevelImage} {
			p, faults := dicomweb.ParseParameters(dicomweb.Resource{Level: level}, query)
			require.NotEqual(t, p == nil, faults == nil)
			if p != nil {
				dicomweb.MediaType(p.Accept, nil)
			}
		}
	})
}

func BenchmarkParseParameters(b *testing.B) {
	const query = "limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030&PatientName=*x*&00100020=*x*&StudyDate=20240101-20240131&ModalitiesInStudy=CT%2CMR"
	b.ReportAllocs()
	for b.Loop() {
		if _, faults := studies(query); faults != nil {
			b.Fatal(faults)
		}
	}
}

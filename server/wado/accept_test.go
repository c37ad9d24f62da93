package wado

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/gen/api"
)

const j2k dataset.TransferSyntax = "1.2.840.10008.1.2.4.90"

func TestAcceptIsNegotiated(t *testing.T) {
	stored := Syntaxes{anySyntax}
	native := Syntaxes{explicit}
	for name, test := range map[string]struct {
		accept, query string
		offer         Offer
		syntaxes      Syntaxes
	}{
		"none":                          {"", "", OfferMultipart, native},
		"anything":                      {"*/*", "", OfferMultipart, native},
		"Java":                          {"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "", OfferMultipart, native},
		"default":                       {`multipart/related; type="application/dicom"`, "", OfferMultipart, native},
		"unquoted":                      {`multipart/related;type=application/dicom;transfer-syntax=*`, "", OfferMultipart, stored},
		"quoted":                        {`multipart/related; type="application/dicom"; transfer-syntax="*"`, "", OfferMultipart, stored},
		"single quotes":                 {`multipart/related; type='application/dicom'; transfer-syntax='*'`, "", OfferMultipart, stored},
		"upper case":                    {`Multipart/Related; Type="Application/DICOM"; Transfer-Syntax=*`, "", OfferMultipart, stored},
		"repeated parameter":            {`multipart/related; type="application/dicom"; transfer-syntax=*; transfer-syntax=1.2.840.10008.1.2.1`, "", OfferMultipart, stored},
		"without type":                  {`multipart/related; transfer-syntax=*`, "", OfferMultipart, stored},
		"any multipart":                 {`multipart/*`, "", OfferMultipart, native},
		"archive":                       {"application/zip", "", OfferZip, native},
		"archive as stored":             {"application/zip; transfer-syntax=*", "", OfferZip, stored},
		"any application":               {"application/*", "", OfferZip, native},
		"by quality":                    {`multipart/related; type="application/dicom"; q=0.5, application/zip`, "", OfferZip, native},
		"equal quality":                 {`application/zip, multipart/related; type="application/dicom"`, "", OfferMultipart, native},
		"excluded by quality zero":      {`multipart/related; q=0, */*`, "", OfferZip, native},
		"most specific counts":          {`*/*, application/zip;q=0.1`, "", OfferMultipart, native},
		"syntax of the query":           {`multipart/related; type="application/dicom"`, "transfer-syntax=*", OfferMultipart, stored},
		"syntax of the type goes first": {`multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90`, "transfer-syntax=*", OfferMultipart, Syntaxes{j2k}},
		"syntaxes by quality": {
			`multipart/related; type="application/dicom"; q=0.5, multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90`, "",
			OfferMultipart,
			Syntaxes{j2k, explicit},
		},
		"query goes first":    {"application/zip", `accept=multipart/related;type="application/dicom";transfer-syntax=*`, OfferMultipart, stored},
		"escaped query":       {"application/zip", `accept=multipart%2Frelated%3B+type%3D%22application%2Fdicom%22%3B+transfer-syntax%3D*`, OfferMultipart, stored},
		"malformed elements":  {`;;, x, application/zip;q=7, multipart/related; type="application/dicom"`, "", OfferMultipart, native},
		"comma within quotes": {`text/plain; x="a, application/zip", multipart/related`, "", OfferMultipart, native},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			if test.accept != "" {
				header = []string{"Accept", test.accept}
			}
			q, err := parse(Instances, studyPath, test.query, header...)
			require.NoError(t, err)
			assert.Equal(t, test.offer, q.Offer)
			assert.Equal(t, test.syntaxes, q.Syntaxes)
		})
	}
}

func TestUnavailableMediaTypesAndTransferSyntaxesAreNotAcceptable(t *testing.T) {
	for name, test := range map[string]struct {
		kind          Kind
		accept, query string
		code          api.ProblemCode
	}{
		"text":                       {Instances, "text/html", "", api.ProblemCodeNotAcceptable},
		"JSON":                       {Instances, "application/dicom+json", "", api.ProblemCodeNotAcceptable},
		"images":                     {Instances, `multipart/related; type="image/jpeg"`, "", api.ProblemCodeNotAcceptable},
		"a single one of a study":    {Instances, "application/dicom", "", api.ProblemCodeNotAcceptable},
		"everything excluded":        {Instances, "*/*;q=0", "", api.ProblemCodeNotAcceptable},
		"nothing that can be read":   {Instances, "*/*", "accept=text/html", api.ProblemCodeNotAcceptable},
		"XML":                        {Metadata, `multipart/related; type="application/dicom+xml"`, "", api.ProblemCodeNotAcceptable},
		"implicit VR":                {Instances, `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2`, "", api.ProblemCodeTransferSyntaxUnavailable},
		"big endian":                 {Instances, "*/*", "transfer-syntax=1.2.840.10008.1.2.2", api.ProblemCodeTransferSyntaxUnavailable},
		"text instead of an image":   {Rendered, "text/html", "", api.ProblemCodeNotAcceptable},
		"an image of a binary value": {BulkData, "image/png", "", api.ProblemCodeNotAcceptable},
	} {
		path := studyPath
		if test.kind == BulkData {
			path = bulkPath("7FE00010")
		}
		_, err := parse(test.kind, path, test.query, "Accept", test.accept)
		assert.Equal(t, test.code, codeOf(err), name)
	}
}

func TestASingleInstanceNeedsNoMultipart(t *testing.T) {
	q := request(t, Instances, instancePath, "", "Accept", "application/dicom")
	assert.Equal(t, OfferDICOM, q.Offer)
	q = request(t, Instances, instancePath, "", "Accept", "application/dicom; transfer-syntax=*")
	assert.Equal(t, Syntaxes{anySyntax}, q.Syntaxes)
	assert.Equal(t, OfferMultipart, request(t, Instances, instancePath, "").Offer)
}

func TestMetadataIsNegotiatedAsSearches(t *testing.T) {
	for query, want := range map[string]string{
		"":                                "application/dicom+json",
		"accept=application/json":         "application/json",
		"accept=application/dicom+json":   "application/dicom+json",
		"accept=application/dicom%2Bjson": "application/dicom+json",
	} {
		assert.Equal(t, want, request(t, Metadata, studyPath, query, "Accept", "*/*").Offer.Type, query)
	}
}

func TestTransferSyntaxOfAnInstance(t *testing.T) {
	convertible := func(s dataset.TransferSyntax) bool { return s != j2k }
	for _, test := range []struct {
		permitted    Syntaxes
		stored, want dataset.TransferSyntax // want "": unavailable
	}{
		{Syntaxes{anySyntax}, explicit, explicit},
		{Syntaxes{anySyntax}, dataset.ImplicitVRLittleEndian, explicit},
		{Syntaxes{anySyntax}, dataset.ExplicitVRBigEndian, explicit},
		{Syntaxes{anySyntax}, j2k, j2k},
		{Syntaxes{anySyntax}, dataset.RLELossless, dataset.RLELossless},
		{Syntaxes{explicit}, explicit, explicit},
		{Syntaxes{explicit}, dataset.ImplicitVRLittleEndian, explicit},
		{Syntaxes{explicit}, dataset.RLELossless, explicit},
		{Syntaxes{explicit}, j2k, ""},
		{Syntaxes{j2k}, j2k, j2k},
		{Syntaxes{j2k}, explicit, ""},
		{Syntaxes{j2k, explicit}, jpeg, explicit},
		{Syntaxes{explicit, anySyntax}, j2k, j2k},
		{Syntaxes{explicit, anySyntax}, jpeg, explicit},
		{Syntaxes{dataset.ImplicitVRLittleEndian}, dataset.ImplicitVRLittleEndian, ""},
	} {
		got, ok := test.permitted.For(test.stored, convertible)
		assert.Equal(t, test.want, got, "%v of %s", test.permitted, test.stored)
		assert.Equal(t, test.want != "", ok)
	}
	assert.True(t, Syntaxes{explicit}.Uncompressed())
	assert.False(t, Syntaxes{explicit, anySyntax}.Uncompressed())
}

func TestParametersOfRetrievals(t *testing.T) {
	for _, test := range []struct {
		path   map[string]string
		query  string
		faults []string
	}{
		{map[string]string{"study": "1..2", "series": "x", "instance": ""}, "", []string{"/instance", "/series", "/study"}},
		{studyPath, "transfer-syntax=abc", []string{"/transfer-syntax"}},
		{studyPath, "accept=*/*&accept=*/*", []string{"/accept"}},
		{studyPath, "accept=" + string(make([]byte, 2000)), []string{"/accept"}},
		{studyPath, "%zz", []string{""}},
	} {
		_, err := parse(Instances, test.path, test.query)
		var pointers []string
		for _, fault := range faultsOf(t, err) {
			pointers = append(pointers, fault.Pointer)
			assert.NotContains(t, fault.Detail, "abc")
		}
		assert.Equal(t, test.faults, pointers)
	}
	q := request(t, Instances, studyPath, "window=1&Whatever=2")
	assert.Len(t, q.Warnings, 1)
	assert.Empty(t, q.Query)
	q = request(t, Rendered, studyPath, "window=1,2,linear")
	assert.Equal(t, map[string]string{"window": "1,2,linear"}, q.Query)
}

func TestPreferenceForLenientHandling(t *testing.T) {
	for field, want := range map[string]bool{
		"handling=lenient": true, `respond-async, Handling="lenient"; x=1`: true, "handling=strict": false, "lenient": false,
	} {
		assert.Equal(t, want, request(t, Instances, studyPath, "", "Prefer", field).Lenient, field)
	}
	assert.True(t, request(t, Instances, studyPath, "", "Prefer", "wait=10", "Prefer", "handling=lenient").Lenient)
}

func TestStreamsNeedHTTP11(t *testing.T) {
	for kind, code := range map[Kind]api.ProblemCode{Instances: api.ProblemCodeHTTPVersionUnsupported, Rendered: ""} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.ProtoMajor, r.ProtoMinor = 1, 0
		_, err := Parse(kind, studyPath, r, baseURL)
		assert.Equal(t, code, codeOf(err))
		r.Method = http.MethodHead
		_, err = Parse(kind, studyPath, r, baseURL)
		require.NoError(t, err)
	}
}

func FuzzAccept(f *testing.F) {
	f.Add(`multipart/related; type="application/dicom"; transfer-syntax=*, application/zip;q=0.5`)
	f.Add(`;;,"`)
	f.Fuzz(func(t *testing.T, field string) {
		offer, syntaxes, ok := negotiate(parseAccept([]string{field}), []Offer{OfferMultipart, OfferZip, OfferDICOM}, "")
		if ok && (offer.Type == "" || len(syntaxes) == 0) {
			t.Errorf("%q gives %v in %v", field, offer, syntaxes)
		}
	})
}

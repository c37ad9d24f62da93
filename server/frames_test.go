package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/wado"
)

// dicomElement encodes an element in Explicit VR Little Endian.
func dicomElement(group, number uint16, vr, value string) string {
	le := binary.LittleEndian
	b := append(le.AppendUint16(le.AppendUint16(nil, group), number), vr...)
	if slices.Contains([]string{"OB", "OW"}, vr) {
		return string(le.AppendUint32(append(b, 0, 0), uint32(len(value)))) + value
	}
	return string(le.AppendUint16(b, uint16(len(value)))) + value
}

// pixelModule describes pixels of 8 bits.
func pixelModule(photometric, frames string, samples, rows, columns int) string {
	us := func(n int) string { return string([]byte{byte(n), byte(n >> 8)}) }
	even := func(s string) string { return s + strings.Repeat(" ", len(s)%2) }
	return dicomElement(0x0028, 0x0002, "US", us(samples)) + dicomElement(0x0028, 0x0004, "CS", even(photometric)) +
		dicomElement(0x0028, 0x0008, "IS", even(frames)) + dicomElement(0x0028, 0x0010, "US", us(rows)) + dicomElement(0x0028, 0x0011, "US", us(columns)) +
		dicomElement(0x0028, 0x0100, "US", us(8)) + dicomElement(0x0028, 0x0101, "US", us(8)) + dicomElement(0x0028, 0x0102, "US", us(7)) +
		dicomElement(0x0028, 0x0103, "US", us(0))
}

// encapsulate encodes fragments without an offset table.
func encapsulate(fragments ...string) string {
	item := func(s string) string {
		return string(binary.LittleEndian.AppendUint32([]byte("\xFE\xFF\x00\xE0"), uint32(len(s)))) + s
	}
	s := make([]string, 0, len(fragments))
	for _, f := range fragments {
		s = append(s, item(f))
	}
	return "\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF" + item("") + strings.Join(s, "") + "\xFE\xFF\xDD\xE0\x00\x00\x00\x00"
}

// movie is a native image of three frames of 2x2 pixels.
func movie() string {
	return pixelModule("MONOCHROME2", "3", 1, 2, 2) + dicomElement(0x7FE0, 0x0010, "OB", "aaaabbbbcccc")
}

// runLength is an image in RLE Lossless of two frames of 2x2 pixels, all 7 and all 9.
func runLength() string {
	frame := func(value string) string { return "\x01\x00\x00\x00\x40" + strings.Repeat("\x00", 59) + "\xFD" + value }
	return pixelModule("MONOCHROME2", "2", 1, 2, 2) + encapsulate(frame("\x07"), frame("\x09"))
}

// photograph is an image in JPEG Baseline.
func photograph(t *testing.T) (data, frame string) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, image.NewRGBA(image.Rect(0, 0, 16, 8)), nil))
	padded := b.String() + strings.Repeat("\x00", b.Len()%2)
	return pixelModule("YBR_FULL_422", "1", 3, 8, 16) + encapsulate(padded), b.String()
}

const (
	lossless = dataset.TransferSyntax("1.2.840.10008.1.2.4.70")
	anyFrame = `multipart/related; type="application/octet-stream"; transfer-syntax=*`
)

// oneInstance returns a retrieval of one instance.
func oneInstance(syntax dataset.TransferSyntax, data string) *fakeRetrieval {
	f := complete()
	f.instances = []arriving{{uid: studyUID + ".1.1", syntax: syntax, data: data}}
	f.outcome.Received = 1
	return f
}

// part is one part of an answer.
type part struct{ mediaType, location, body string }

func readParts(t *testing.T, response *answered, body []byte) (kind string, parts []part) {
	t.Helper()
	mediaType, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/related", mediaType)
	reader := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for {
		p, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return parameters["type"], parts
		}
		require.NoError(t, err)
		content, err := io.ReadAll(p)
		require.NoError(t, err)
		parts = append(parts, part{p.Header.Get("Content-Type"), p.Header.Get("Content-Location"), string(content)})
	}
}

func TestFramesAreSentInTheOrderOfTheRequest(t *testing.T) {
	receiver := &fakeReceiver{retrieval: oneInstance(explicit, movie())}
	r := startReceiving(t, receiver)
	response, body, err := fetch(t, r, http.MethodGet, instancePath+"/frames/3,1")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	kind, parts := readParts(t, response, body)
	assert.Equal(t, "application/octet-stream", kind)
	const native = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
	base := r.url + instancePath + "/frames/"
	assert.Equal(t, []part{{native, base + "3", "cccc"}, {native, base + "1", "aaaa"}}, parts)
	assert.Equal(t, "complete", response.Trailer.Get("Retrieve-Outcome"))
	require.Len(t, receiver.asked, 1)
	assert.True(t, receiver.asked[0].Uncompressed)

	response, body, err = fetch(t, r, http.MethodGet, instancePath+"/frames/3%2C1")
	require.NoError(t, err)
	_, encoded := readParts(t, response, body)
	assert.Equal(t, parts, encoded, "some clients encode the comma")
}

func TestFramesOfEachTransferSyntax(t *testing.T) {
	photo, frame := photograph(t)
	losslessFrame := "\xFF\xD8\xFF\xC3no picture\xFF\xD9"
	compressed := pixelModule("MONOCHROME2", "1", 1, 2, 2) + encapsulate(losslessFrame)
	for name, c := range map[string]struct {
		syntax          dataset.TransferSyntax
		data, accept    string
		kind, partType  string
		body            string
		uncompressed    bool
		notAcceptable   bool
		transferUnknown bool
	}{
		"JPEG as stored":            {syntax: dataset.JPEGBaseline, data: photo, accept: anyFrame, kind: "image/jpeg", partType: "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", body: frame},
		"JPEG by its type":          {syntax: dataset.JPEGBaseline, data: photo, accept: `multipart/related; type="image/jpeg"`, kind: "image/jpeg", partType: "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", body: frame},
		"JPEG by its syntax":        {syntax: dataset.JPEGBaseline, data: photo, accept: `multipart/related; type=image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50`, kind: "image/jpeg", partType: "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", body: frame},
		"JPEG decoded":              {syntax: dataset.JPEGBaseline, data: photo, accept: "*/*", kind: "application/octet-stream", partType: "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", body: strings.Repeat("\x00", 3*8*16), uncompressed: true},
		"JPEG of another process":   {syntax: dataset.JPEGBaseline, data: photo, accept: `multipart/related; type=image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70`, transferUnknown: true},
		"JPEG 2000 or else JPEG":    {syntax: dataset.JPEGBaseline, data: photo, accept: `multipart/related; type=image/jp2, multipart/related; type="image/jpeg"; q=0.5`, kind: "image/jpeg", partType: "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", body: frame},
		"JPEG Lossless as stored":   {syntax: lossless, data: compressed, accept: anyFrame, kind: "image/jpeg", partType: "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70", body: losslessFrame},
		"JPEG Lossless not decoded": {syntax: lossless, data: compressed, accept: "*/*", uncompressed: true, transferUnknown: true},
		"RLE decoded":               {syntax: dataset.RLELossless, data: runLength(), accept: `multipart/related; type="application/octet-stream"`, kind: "application/octet-stream", partType: "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", body: "\x07\x07\x07\x07", uncompressed: true},
		"RLE as stored":             {syntax: dataset.RLELossless, data: runLength(), accept: `multipart/related; type=application/octet-stream; transfer-syntax=*; transfer-syntax=*`, kind: "image/dicom-rle", partType: "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5", body: "\x01\x00\x00\x00\x40" + strings.Repeat("\x00", 59) + "\xFD\x07"},
		"native, any":               {syntax: explicit, data: movie(), accept: anyFrame, kind: "application/octet-stream", partType: "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", body: "aaaa"},
		"native, images only":       {syntax: explicit, data: movie(), accept: `multipart/related; type="image/jls"`, transferUnknown: true},
		"not multipart":             {syntax: explicit, data: movie(), accept: "image/jpeg", notAcceptable: true},
		"a syntax that is excluded": {syntax: explicit, data: movie(), accept: `multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2`, transferUnknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			receiver := &fakeReceiver{retrieval: oneInstance(c.syntax, c.data)}
			r := startReceiving(t, receiver)
			response, body, err := fetch(t, r, http.MethodGet, instancePath+"/frames/1", "Accept", c.accept)
			require.NoError(t, err)
			switch {
			case c.notAcceptable:
				requireProblem(t, response, body, http.StatusNotAcceptable, api.ProblemCodeNotAcceptable)
				return
			case c.transferUnknown:
				requireProblem(t, response, body, http.StatusNotAcceptable, api.ProblemCodeTransferSyntaxUnavailable)
			default:
				require.Equal(t, http.StatusOK, response.StatusCode, string(body))
				kind, parts := readParts(t, response, body)
				assert.Equal(t, c.kind, kind)
				require.Len(t, parts, 1)
				assert.Equal(t, c.partType, parts[0].mediaType)
				assert.Equal(t, c.body, parts[0].body)
			}
			if len(receiver.asked) > 0 {
				assert.Equal(t, c.uncompressed, receiver.asked[0].Uncompressed)
			}
		})
	}
}

func requireProblem(t *testing.T, response *answered, body []byte, status int, code api.ProblemCode) api.Problem {
	t.Helper()
	require.Equal(t, status, response.StatusCode, string(body))
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
	var p api.Problem
	require.NoError(t, json.Unmarshal(body, &p))
	require.Equal(t, code, p.Code)
	return p
}

func TestMalformedListsOfFramesAreRefused(t *testing.T) {
	receiver := &fakeReceiver{retrieval: oneInstance(explicit, movie())}
	r := startReceiving(t, receiver)
	for _, list := range []string{"0", "-1", "a", "1,0", "1,,2", "1,", "%2B1", "1.5", "1,1", "2,1,2", "2147483648", "99999999999999999999", "1%202"} {
		for _, suffix := range []string{"", "/rendered"} {
			response, body, err := fetch(t, r, http.MethodGet, instancePath+"/frames/"+list+suffix)
			require.NoError(t, err)
			p := requireProblem(t, response, body, http.StatusBadRequest, api.ProblemCodeInvalidRequest)
			require.Len(t, p.Errors, 1)
			assert.Equal(t, "/frames", p.Errors[0].Pointer)
		}
	}
	assert.Empty(t, receiver.asked)
}

func TestFramesThatAreNotThere(t *testing.T) {
	report := dicomElement(0x0008, 0x0060, "CS", "SR")
	for name, c := range map[string]struct {
		data, path string
		status     int
		code       api.ProblemCode
	}{
		"beyond the last":               {movie(), "/frames/4", http.StatusNotFound, api.ProblemCodeNotFound},
		"one of several":                {movie(), "/frames/1,4", http.StatusNotFound, api.ProblemCodeNotFound},
		"without pixel data":            {report, "/frames/1", http.StatusNotFound, api.ProblemCodeNotFound},
		"beyond the last, rendered":     {movie(), "/frames/4/rendered", http.StatusNotFound, api.ProblemCodeNotFound},
		"without pixel data, rendered":  {report, "/rendered", http.StatusNotAcceptable, api.ProblemCodeNotAcceptable},
		"without pixel data, thumbnail": {report, "/thumbnail", http.StatusNotAcceptable, api.ProblemCodeNotAcceptable},
		"malformed":                     {pixelModule("MONOCHROME2", "3", 1, 2, 2) + dicomElement(0x7FE0, 0x0010, "OB", "aaaa"), "/frames/1", http.StatusBadGateway, api.ProblemCodeProtocolError},
		"malformed, rendered":           {pixelModule("MONOCHROME2", "x", 1, 2, 2) + dicomElement(0x7FE0, 0x0010, "OB", "aaaa"), "/rendered", http.StatusBadGateway, api.ProblemCodeProtocolError},
		"truncated":                     {movie()[:len(movie())-20], "/frames/1", http.StatusBadGateway, api.ProblemCodeProtocolError},
		"too large to render":           {pixelModule("MONOCHROME2", "1", 1, 9000, 9000) + "\xE0\x7F\x10\x00OB\x00\x00\x40\xF9\xD3\x04", "/rendered", http.StatusNotImplemented, api.ProblemCodeRenderingUnsupported},
		"a region outside":              {movie(), "/rendered?viewport=2,2,1,1,5,5", http.StatusBadRequest, api.ProblemCodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			r := startReceiving(t, &fakeReceiver{retrieval: oneInstance(explicit, c.data)})
			response, body, err := fetch(t, r, http.MethodGet, instancePath+c.path)
			require.NoError(t, err)
			requireProblem(t, response, body, c.status, c.code)
		})
	}
}

func TestFramesOfAnInstanceThatEndsEarlyAreBrokenOff(t *testing.T) {
	cut := oneInstance(explicit, movie()[:len(movie())-2])
	cut.instances[0].err = errors.New("the association ended")
	r := startReceiving(t, &fakeReceiver{retrieval: cut})
	response, _, err := fetch(t, r, http.MethodGet, instancePath+"/frames/1,3")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// attempts is a receiver whose retrievals differ.
type attempts struct {
	fakeReceiver
	retrievals []*fakeRetrieval
}

func (a *attempts) Retrieve(ctx context.Context, r receive.Request) (wado.Source, error) {
	if a.retrieval = a.retrievals[0]; len(a.retrievals) > 1 {
		a.retrievals = a.retrievals[1:]
	}
	return a.fakeReceiver.Retrieve(ctx, r)
}

func TestRenderedIsAnImage(t *testing.T) {
	r := startReceiving(t, &fakeReceiver{retrieval: oneInstance(explicit, movie())})
	response, body, err := fetch(t, r, http.MethodGet, instancePath+"/rendered?quality=80&viewport=8,8&window=98,5,linear")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	assert.Equal(t, "image/jpeg", response.Header.Get("Content-Type"))
	assert.Equal(t, strconv.Itoa(len(body)), response.Header.Get("Content-Length"))
	assert.Equal(t, "private, no-cache", response.Header.Get("Cache-Control"))
	picture, err := jpeg.Decode(bytes.NewReader(body))
	require.NoError(t, err)
	assert.Equal(t, image.Rect(0, 0, 8, 8), picture.Bounds())

	response, body, err = fetch(t, r, http.MethodGet, instancePath+"/frames/3/rendered?window=98,3,linear", "Accept", "image/png")
	require.NoError(t, err)
	assert.Equal(t, "image/png", response.Header.Get("Content-Type"))
	picture, err = png.Decode(bytes.NewReader(body))
	require.NoError(t, err)
	assert.Equal(t, image.Rect(0, 0, 2, 2), picture.Bounds())
	assert.Equal(t, []byte{255, 255, 255, 255}, picture.(*image.Gray).Pix, "frame 3 is the brightest")

	response, body, err = fetch(t, r, http.MethodGet, instancePath+"/frames/3,1/rendered?window=98,3,linear", "Accept", "image/png")
	require.NoError(t, err)
	kind, parts := readParts(t, response, body)
	assert.Equal(t, "image/png", kind)
	require.Len(t, parts, 2)
	assert.Equal(t, "image/png", parts[1].mediaType)
	assert.Equal(t, r.url+instancePath+"/frames/1/rendered", parts[1].location)
	picture, err = png.Decode(strings.NewReader(parts[1].body))
	require.NoError(t, err)
	assert.Equal(t, []byte{64, 64, 64, 64}, picture.(*image.Gray).Pix)

	response, body, err = fetch(t, r, http.MethodGet, instancePath+"/rendered", "Accept", "image/gif")
	require.NoError(t, err)
	requireProblem(t, response, body, http.StatusNotAcceptable, api.ProblemCodeNotAcceptable)
	response, body, err = fetch(t, r, http.MethodGet, instancePath+"/rendered?quality=0&viewport=0,0&window=x&unknown=1")
	require.NoError(t, err)
	assert.Len(t, requireProblem(t, response, body, http.StatusBadRequest, api.ProblemCodeInvalidRequest).Errors, 3)
}

func TestCompressedImagesAreAskedForAgainUncompressed(t *testing.T) {
	compressed := pixelModule("MONOCHROME2", "1", 1, 2, 2) + encapsulate("\xFF\xD8\xFF\xC3no picture\xFF\xD9")
	receiver := &attempts{retrievals: []*fakeRetrieval{oneInstance(lossless, compressed), oneInstance(explicit, movie())}}
	r := startReceiving(t, receiver)
	response, body, err := fetch(t, r, http.MethodGet, instancePath+"/rendered")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	require.Len(t, receiver.asked, 2)
	assert.False(t, receiver.asked[0].Uncompressed)
	assert.True(t, receiver.asked[1].Uncompressed)

	receiver.retrievals = []*fakeRetrieval{oneInstance(lossless, compressed)}
	response, body, err = fetch(t, r, http.MethodGet, instancePath+"/thumbnail")
	require.NoError(t, err)
	requireProblem(t, response, body, http.StatusNotImplemented, api.ProblemCodeRenderingUnsupported)
	require.Len(t, receiver.asked, 4)

	receiver.retrievals = []*fakeRetrieval{oneInstance(dataset.RLELossless, runLength())}
	response, body, err = fetch(t, r, http.MethodGet, instancePath+"/rendered")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	require.Len(t, receiver.asked, 5, "RLE is decoded here")
}

// severalSeries lists a report, a localizer without SOP class, and a volume.
func severalSeries() receive.Inventory {
	i := receive.Inventory{Proven: true, Target: receive.Target{StudyInstanceUID: studyUID}}
	i.Series = []qr.ListedSeries{{SeriesInstanceUID: studyUID + ".9", Modality: "SR"}, {SeriesInstanceUID: studyUID + ".1", Modality: "CT"}}
	i.Instances = []qr.ListedInstance{
		{SOPInstanceUID: studyUID + ".9.1"},
		{SOPInstanceUID: studyUID + ".1.0", SOPClassUID: "1.2.840.10008.5.1.4.1.1.11.1", Series: 1},
		{SOPInstanceUID: studyUID + ".1.1", SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", Series: 1},
		{SOPInstanceUID: studyUID + ".1.2", Series: 1},
		{SOPInstanceUID: studyUID + ".1.3", SOPClassUID: "1.2.840.10008.5.1.4.1.1.2.1", Series: 1},
	}
	return i
}

func TestThumbnailOfAStudyIsThatOfAnInstanceInTheMiddle(t *testing.T) {
	retrieval := oneInstance(explicit, movie())
	retrieval.instances[0].uid = studyUID + ".1.2"
	retrieval.inventory = severalSeries()
	receiver := &fakeReceiver{retrieval: retrieval}
	r := startReceiving(t, receiver)
	response, body, err := fetch(t, r, http.MethodGet, studyPath+"/thumbnail")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	picture, err := jpeg.Decode(bytes.NewReader(body))
	require.NoError(t, err)
	assert.Equal(t, image.Rect(0, 0, 2, 2), picture.Bounds(), "not enlarged")
	require.Len(t, receiver.asked, 1, "one instance only")
	assert.Equal(t, receive.Target{StudyInstanceUID: studyUID, SeriesInstanceUID: studyUID + ".1", SOPInstanceUID: studyUID + ".1.2"}, receiver.asked[0].Target)
	etag := response.Header.Get("ETag")
	require.NotEmpty(t, etag)

	response, _, err = fetch(t, r, http.MethodGet, studyPath+"/thumbnail", "If-None-Match", etag)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotModified, response.StatusCode)
	response, _, err = fetch(t, r, http.MethodHead, seriesPath+"/rendered")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	require.Len(t, receiver.asked, 1)
}

func TestAStudyWithoutImagesHasNoThumbnail(t *testing.T) {
	reports := severalSeries()
	reports.Series, reports.Instances = reports.Series[:1], reports.Instances[:1]
	for name, c := range map[string]struct {
		inventory receive.Inventory
		status    int
		code      api.ProblemCode
	}{
		"reports":    {reports, http.StatusNotAcceptable, api.ProblemCodeNotAcceptable},
		"not listed": {receive.Inventory{}, http.StatusNotImplemented, api.ProblemCodeRenderingUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			retrieval := oneInstance(explicit, movie())
			retrieval.inventory = c.inventory
			receiver := &fakeReceiver{retrieval: retrieval}
			r := startReceiving(t, receiver)
			response, body, err := fetch(t, r, http.MethodGet, studyPath+"/thumbnail")
			require.NoError(t, err)
			requireProblem(t, response, body, c.status, c.code)
			assert.Empty(t, receiver.asked)
		})
	}
}

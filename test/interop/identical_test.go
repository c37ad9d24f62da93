//go:build interop

package interop

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/transcode"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/test/rig"
)

const (
	jpeg2000Lossless = "1.2.840.10008.1.2.4.90"
	jpeg2000         = "1.2.840.10008.1.2.4.91"
	mpeg2            = "1.2.840.10008.1.2.4.100"
	mpeg4High        = "1.2.840.10008.1.2.4.102"
	mpeg4BD          = "1.2.840.10008.1.2.4.103"
)

// syntaxes are the commands of DCMTK that put a native file into a transfer syntax; nil: the instance is made in it.
var syntaxes = []struct {
	uid     string
	command []string
}{
	{string(dataset.ExplicitVRLittleEndian), []string{"dcmconv", "+te"}},
	{string(dataset.ImplicitVRLittleEndian), []string{"dcmconv", "+ti"}},
	{string(dataset.ExplicitVRBigEndian), []string{"dcmconv", "+tb"}},
	{string(dataset.JPEGBaseline), []string{"dcmcjpeg", "+eb", "+un"}},
	{"1.2.840.10008.1.2.4.70", []string{"dcmcjpeg", "+e1"}},
	{"1.2.840.10008.1.2.4.80", []string{"dcmcjpls", "+el"}},
	{string(dataset.RLELossless), []string{"dcmcrle"}},
	{jpeg2000Lossless, nil},
	{jpeg2000, nil},
	{mpeg2, nil},
	{mpeg4High, nil},
	{mpeg4BD, nil},
}

// syntaxStudy writes a study of ultrasound images in colour, one in each of these transfer syntaxes, and returns the files by UID.
func syntaxStudy(t *testing.T) (study string, files map[string]string) {
	t.Helper()
	image := demo.ImagingStudies()[1].Series[0].Image
	s := dicomtest.Study{PatientID: "SYNTAXES", PatientName: "SYNTAXES", AccessionNumber: "SYNTAXES", Series: []dicomtest.Series{{
		Modality: "US", Instances: len(syntaxes), Image: func(i int) dicomtest.Image {
			im := image(0)
			if syntaxes[i].command == nil { // what the frames hold does not matter to those who pass them on
				im.TransferSyntax = dataset.TransferSyntax(syntaxes[i].uid)
				im.Frames = func() [][]byte { return [][]byte{bytes.Repeat([]byte{byte(i), 0xFF, 0x00}, 20_001)} }
			}
			return im
		},
	}}}
	dir := t.TempDir()
	paths, err := dicomtest.WriteDir(dir, s.Instances())
	require.NoError(t, err)
	files = map[string]string{}
	for i, from := range paths {
		to := filepath.Join(dir, "syntax-"+strconv.Itoa(i))
		if command := syntaxes[i].command; command != nil {
			_, err := run(command[0], append(command[1:], from, to)...)
			require.NoError(t, err)
		} else {
			require.NoError(t, os.Rename(from, to))
		}
		files[syntaxes[i].uid] = to
	}
	return s.UID(), files
}

// dataSet returns the data set of a file of PS3.10, behind its file meta information.
func dataSet(t *testing.T, file []byte) []byte {
	t.Helper()
	require.Greater(t, len(file), 144)
	return file[144+binary.LittleEndian.Uint32(file[140:]):]
}

// lengths is what dcmdump says of how lengths are encoded, and the spaces that this moves.
var lengths = regexp.MustCompile(`\s+#\s+(\d+|u/l),|with (explicit|undefined) length|\s*for re-encod(ing|\.)|[^\S\n]+`)

// dump returns what dcmdump prints of the data set of a file, without the lengths of sequences.
func dump(t *testing.T, file string) string {
	t.Helper()
	out, err := run("dcmdump", "-q", "+L", "-Un", file)
	require.NoError(t, err)
	var lines []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "(0002,") || strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		lines = append(lines, strings.ReplaceAll(lengths.ReplaceAllString(line, " "), " )", ")"))
	}
	require.Greater(t, len(lines), 20)
	return strings.Join(lines, "")
}

// A caller gets the same bytes by C-GET and by C-MOVE as storescp gets from the same PACS, in every transfer syntax.
func TestDataSetsAreThoseThatThePACSSends(t *testing.T) {
	ports, err := freePorts(3)
	require.NoError(t, err)
	dir := t.TempDir()
	received := subdir(dir, "received")
	path, err := lookup("storescp")
	require.NoError(t, err)
	target, err := rig.Start(rig.Command{Path: path, Dir: dir, Args: []string{"-aet", "TARGET", "+xa", "+B", "-od", received, strconv.Itoa(ports[2])}})
	require.NoError(t, err)
	t.Cleanup(target.Stop)
	require.NoError(t, target.Ready(listening(ports[2])))
	o := orthanc{source{"Syntaxes", "SYNTAXES", ports[0]}, ports[1]}
	p, err := startOrthanc(t.TempDir(), o, map[string]int{gatewayAETitle: theSite.storePort, "TARGET": ports[2]}, nil)
	if p != nil {
		t.Cleanup(p.Stop)
	}
	require.NoError(t, err)
	study, files := syntaxStudy(t)
	for syntax, file := range files { // by HTTP, because storescu proposes no syntax that it cannot decode
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		posted, err := http.Post("http://"+address(o.httpPort)+"/instances", "application/dicom", bytes.NewReader(data))
		require.NoError(t, err)
		require.NoError(t, posted.Body.Close())
		require.Equal(t, http.StatusOK, posted.StatusCode, syntax)
	}
	g := imageGateway(t, o.source)

	body := `{"pacs": "syntaxes", "patient_id": "SYNTAXES", "c_move_ae_title": "TARGET"}`
	moved, err := http.Post(g.URL+"/qr", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, moved.Body.Close())
	require.Equal(t, http.StatusOK, moved.StatusCode)
	reference := map[string]string{} // path of the file by SOP Instance UID
	for _, file := range (storescp{dir: received}).files(t) {
		ds, err := dicom.ParseFile(file, nil, dicom.SkipPixelData())
		require.NoError(t, err)
		reference[text(&ds, tag.SOPInstanceUID)] = file
	}
	require.Len(t, reference, len(syntaxes))

	for _, way := range []string{"-get", "-move"} {
		images := imagesOf(t, g, "syntaxes"+way, "/studies/"+study)
		require.Len(t, images, len(syntaxes), way)
		identical := 0
		for uid, got := range images {
			want, err := os.ReadFile(reference[uid])
			require.NoError(t, err)
			ds, err := dicom.Parse(bytes.NewReader(want), int64(len(want)), nil, dicom.SkipPixelData())
			require.NoError(t, err)
			switch syntax := text(&ds, tag.TransferSyntaxUID); syntax {
			case string(dataset.ImplicitVRLittleEndian), string(dataset.ExplicitVRBigEndian):
				file := writeFile(t, filepath.Join(t.TempDir(), "file"), string(got))
				assert.Equal(t, dump(t, reference[uid]), dump(t, file), "%s%s", syntax, way)
			default:
				identical++
				assert.True(t, bytes.Equal(dataSet(t, want), dataSet(t, got)), "%s%s", syntax, way)
			}
		}
		assert.GreaterOrEqual(t, identical, 10)
	}
}

// What the gateway converts itself reads as what DCMTK converts. Two decoders of JPEG need not agree on the last bit of a pixel.
func TestConvertedDataSetsReadAsThoseOfDCMTK(t *testing.T) {
	_, files := syntaxStudy(t)
	for syntax, command := range map[string][]string{
		string(dataset.ImplicitVRLittleEndian): {"dcmconv", "+te"},
		string(dataset.ExplicitVRBigEndian):    {"dcmconv", "+te"},
		string(dataset.RLELossless):            {"dcmdrle", "+te"},
		string(dataset.JPEGBaseline):           {"dcmdjpeg", "+te"},
	} {
		dir := t.TempDir()
		want := filepath.Join(dir, "want")
		_, err := run(command[0], append(command[1:], files[syntax], want)...)
		require.NoError(t, err)
		stored, err := os.ReadFile(files[syntax])
		require.NoError(t, err)
		converted, err := transcode.NewReader(bytes.NewReader(dataSet(t, stored)), dataset.TransferSyntax(syntax), transcode.Limits{})
		require.NoError(t, err)
		content, err := io.ReadAll(converted)
		require.NoError(t, err)
		reference, err := os.ReadFile(want)
		require.NoError(t, err)
		header := reference[:len(reference)-len(dataSet(t, reference))] // of Explicit VR Little Endian
		got := writeFile(t, filepath.Join(dir, "got"), string(header)+string(content))
		wantDump, gotDump := dump(t, want), dump(t, got)
		if syntax == string(dataset.JPEGBaseline) {
			pixels := regexp.MustCompile(`(?m)^\(7fe0,0010\).*$`)
			wantDump, gotDump = pixels.ReplaceAllString(wantDump, ""), pixels.ReplaceAllString(gotDump, "")
		}
		assert.Equal(t, wantDump, gotDump, fmt.Sprint(syntax, " by ", command[0]))
	}
}

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

// syntaxes are the commands of DCMTK that put a native file into a transfer syntax; nil: the instance is made in it. option is the letter
// of the options -x and +x of DCMTK's programs that name the transfer syntax.
var syntaxes = []struct {
	uid     string
	command []string
	option  string
}{
	{string(dataset.ExplicitVRLittleEndian), []string{"dcmconv", "+te"}, "e"},
	{string(dataset.ImplicitVRLittleEndian), []string{"dcmconv", "+ti"}, "i"},
	{string(dataset.ExplicitVRBigEndian), []string{"dcmconv", "+tb"}, "b"},
	{string(dataset.JPEGBaseline), []string{"dcmcjpeg", "+eb", "+un"}, "y"},
	{"1.2.840.10008.1.2.4.70", []string{"dcmcjpeg", "+e1"}, "s"},
	{"1.2.840.10008.1.2.4.80", []string{"dcmcjpls", "+el"}, "t"},
	{string(dataset.RLELossless), []string{"dcmcrle"}, "r"},
	{jpeg2000Lossless, nil, "v"},
	{jpeg2000, nil, "w"},
	{mpeg2, nil, "m"},
	{mpeg4High, nil, "n"},
	{mpeg4BD, nil, "l"},
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

// startTarget runs a storescp that writes what it receives, as it is, below its dir.
func startTarget(t *testing.T, port int) storescp {
	t.Helper()
	dir := t.TempDir()
	target := storescp{aeTitle: "TARGET", dir: subdir(dir, "received"), port: port}
	path, err := lookup("storescp")
	require.NoError(t, err)
	p, err := rig.Start(rig.Command{Path: path, Dir: dir, Args: []string{"-aet", target.aeTitle, "+xa", "+B", "-od", target.dir, strconv.Itoa(port)}})
	require.NoError(t, err)
	t.Cleanup(p.Stop)
	require.NoError(t, p.Ready(listening(port)))
	return target
}

// moveTo moves the study of syntaxStudy from a PACS to a target, and returns the files by SOP Instance UID.
func (target storescp) moveTo(t *testing.T, g *gateway, pacs string) map[string]string {
	t.Helper()
	target.clear(t)
	body := fmt.Sprintf(`{"pacs": %q, "patient_id": "SYNTAXES", "c_move_ae_title": %q}`, pacs, target.aeTitle)
	moved, err := http.Post(g.URL+"/qr", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, moved.Body.Close())
	require.Equal(t, http.StatusOK, moved.StatusCode, pacs)
	files := map[string]string{}
	for _, file := range target.files(t) {
		ds, err := dicom.ParseFile(file, nil, dicom.SkipPixelData())
		require.NoError(t, err)
		files[text(&ds, tag.SOPInstanceUID)] = file
	}
	return files
}

// assertSent checks that a caller gets by C-GET and by C-MOVE what the files hold, and returns the transfer syntaxes in which every byte
// of the data set was compared.
func assertSent(t *testing.T, g *gateway, pacs, study string, files map[string]string) []string {
	t.Helper()
	var identical []string
	for _, way := range []string{"-get", "-move"} {
		images := imagesOf(t, g, pacs+way, "/studies/"+study)
		require.Len(t, images, len(files), pacs+way)
		identical = nil
		for uid, got := range images {
			want, err := os.ReadFile(files[uid])
			require.NoError(t, err)
			ds, err := dicom.Parse(bytes.NewReader(want), int64(len(want)), nil, dicom.SkipPixelData())
			require.NoError(t, err)
			switch syntax := text(&ds, tag.TransferSyntaxUID); syntax {
			case string(dataset.ImplicitVRLittleEndian), string(dataset.ExplicitVRBigEndian):
				file := writeFile(t, filepath.Join(t.TempDir(), "file"), string(got))
				assert.Equal(t, dump(t, files[uid]), dump(t, file), "%s from %s%s", syntax, pacs, way)
			default:
				identical = append(identical, syntax)
				assert.True(t, bytes.Equal(dataSet(t, want), dataSet(t, got)), "%s from %s%s", syntax, pacs, way)
			}
		}
	}
	return identical
}

// A caller gets the same bytes by C-GET and by C-MOVE as storescp gets from the same PACS, in every transfer syntax.
func TestDataSetsAreThoseThatOrthancSends(t *testing.T) {
	ports, err := freePorts(3)
	require.NoError(t, err)
	target := startTarget(t, ports[2])
	o := orthanc{source{"Syntaxes", "SYNTAXES", ports[0]}, ports[1]}
	p, err := startOrthanc(t.TempDir(), o, map[string]int{gatewayAETitle: theSite.storePort, target.aeTitle: target.port}, nil)
	if p != nil {
		t.Cleanup(p.Stop)
	}
	require.NoError(t, err)
	study, files := syntaxStudy(t)
	for syntax, file := range files { // by HTTP, because an association of storescu proposes one compressed transfer syntax
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		posted, err := http.Post("http://"+address(o.httpPort)+"/instances", "application/dicom", bytes.NewReader(data))
		require.NoError(t, err)
		require.NoError(t, posted.Body.Close())
		require.Equal(t, http.StatusOK, posted.StatusCode, syntax)
	}
	g := imageGateway(t, o.source)
	reference := target.moveTo(t, g, "syntaxes")
	require.Len(t, reference, len(syntaxes))
	assert.GreaterOrEqual(t, len(assertSent(t, g, "syntaxes", study, reference)), 10)
}

// One dcmqrscp accepts one compressed transfer syntax, in which it sends too.
func TestDataSetsAreThoseThatDcmqrscpSends(t *testing.T) {
	study, files := syntaxStudy(t)
	ports, err := freePorts(len(syntaxes) + 1)
	require.NoError(t, err)
	target := startTarget(t, ports[len(syntaxes)])
	storescu, err := lookup("storescu")
	require.NoError(t, err)
	var sources []source
	for i, syntax := range syntaxes {
		s := source{"Syntax" + syntax.option, "SYNTAX" + strings.ToUpper(syntax.option), ports[i]}
		p, err := startQRSCP(t.TempDir(), s, map[string]int{gatewayAETitle: theSite.storePort, target.aeTitle: target.port},
			"+x"+syntax.option, "-x"+syntax.option)
		if p != nil {
			t.Cleanup(p.Stop)
		}
		require.NoError(t, err)
		_, err = run(storescu, "-R", "-x"+syntax.option, "-aec", s.aeTitle, "127.0.0.1", strconv.Itoa(s.port), files[syntax.uid])
		require.NoError(t, err, syntax.uid)
		sources = append(sources, s)
	}
	g := imageGateway(t, sources...)
	for i, syntax := range syntaxes {
		name := strings.ToLower(sources[i].name)
		reference := target.moveTo(t, g, name)
		require.Len(t, reference, 1, name)
		want := []string{syntax.uid}
		switch dataset.TransferSyntax(syntax.uid) {
		case dataset.ImplicitVRLittleEndian:
			want = nil // converted, and compared by dcmdump
		case dataset.ExplicitVRBigEndian:
			want = []string{string(dataset.ExplicitVRLittleEndian)} // dcmqrscp converts
		}
		assert.Equal(t, want, assertSent(t, g, name, study, reference))
	}
}

// pixelData returns the native pixel data of a file in Explicit VR Little Endian.
func pixelData(t *testing.T, file []byte) []byte {
	t.Helper()
	set, err := dataset.Parse(dataSet(t, file), dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	pixels, has := set.Bytes(tag.PixelData)
	require.True(t, has)
	return pixels
}

// assertAlike checks that few samples of 8 bits differ, and by no more than the rounding of chrominance between pixels and of colours.
func assertAlike(t *testing.T, want, got []byte) {
	t.Helper()
	require.Len(t, got, len(want))
	require.Greater(t, len(want), 100_000)
	differ, most := 0, 0
	for i := range want {
		d := max(int(want[i]), int(got[i])) - min(int(want[i]), int(got[i]))
		most = max(most, d)
		if d > 0 {
			differ++
		}
	}
	assert.LessOrEqual(t, most, 4)
	assert.Less(t, differ, len(want)/10)
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
			assertAlike(t, pixelData(t, reference), pixelData(t, []byte(string(header)+string(content))))
		}
		assert.Equal(t, wantDump, gotDump, fmt.Sprint(syntax, " by ", command[0]))
	}
}

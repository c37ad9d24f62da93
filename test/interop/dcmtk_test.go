//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/test/rig"
)

// source is a PACS that holds the synthetic studies.
type source struct {
	name, aeTitle string
	port          int
}

// startQRSCP runs dcmqrscp with an empty storage area.
func startQRSCP(dir string, s source, destinations map[string]int, options ...string) (*rig.Process, error) {
	path, err := lookup("dcmqrscp")
	if err != nil {
		return nil, err
	}
	storage := filepath.Join(dir, "storage")
	if err := os.Mkdir(storage, 0o700); err != nil {
		return nil, err
	}
	var hosts strings.Builder
	for aeTitle, port := range destinations {
		fmt.Fprintf(&hosts, "host_%s = (%s, 127.0.0.1, %d)\n", strings.ToLower(aeTitle), aeTitle, port)
	}
	config := fmt.Sprintf(`NetworkTCPPort  = %d
MaxPDUSize      = 16384
MaxAssociations = 16
HostTable BEGIN
%sHostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
%s %s RW (200, 1024mb) ANY
AETable END
`, s.port, hosts.String(), s.aeTitle, storage)
	file := filepath.Join(dir, "dcmqrscp.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := rig.Start(rig.Command{Path: path, Dir: dir, Args: append(options, "-c", file)})
	if err != nil {
		return nil, err
	}
	return p, p.Ready(listening(s.port))
}

// load stores files in a source with storescu.
func (s source) load(files []string) error {
	path, err := lookup("storescu")
	if err != nil {
		return err
	}
	_, err = run(path, append([]string{"-R", "-aec", s.aeTitle, "127.0.0.1", strconv.Itoa(s.port)}, files...)...)
	return err
}

// findscu returns what DCMTK's findscu gets from the source, as the reference.
func (s source) findscu(t *testing.T, level string, keys ...string) []*dicom.Dataset {
	t.Helper()
	path, err := lookup("findscu")
	require.NoError(t, err)
	dir := t.TempDir()
	args := []string{"-S", "-aet", "FINDSCU", "-aec", s.aeTitle, "-X", "-od", dir, "-k", "QueryRetrieveLevel=" + level}
	for _, key := range keys {
		args = append(args, "-k", key)
	}
	_, err = run(path, append(args, "127.0.0.1", strconv.Itoa(s.port))...)
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "rsp*.dcm"))
	require.NoError(t, err)
	matches := make([]*dicom.Dataset, 0, len(files))
	for _, file := range files {
		ds, err := dicom.ParseFile(file, nil)
		require.NoError(t, err)
		matches = append(matches, &ds)
	}
	return matches
}

// text returns the first value of an attribute, or "".
func text(ds *dicom.Dataset, t tag.Tag) string {
	e, err := ds.FindElementByTag(t)
	if err != nil || e.Value == nil {
		return ""
	}
	values, ok := e.Value.GetValue().([]string)
	if !ok || len(values) == 0 {
		return ""
	}
	return strings.Trim(values[0], " \x00")
}

// storescp is a move destination that writes what it receives to files.
type storescp struct {
	aeTitle, dir string
	port         int
}

func startStoreSCP(dir string, d storescp) (*rig.Process, error) {
	path, err := lookup("storescp")
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return nil, err
	}
	p, err := rig.Start(rig.Command{Path: path, Dir: dir, Args: []string{"-aet", d.aeTitle, "-od", d.dir, strconv.Itoa(d.port)}})
	if err != nil {
		return nil, err
	}
	return p, p.Ready(listening(d.port))
}

func (d storescp) title() string { return d.aeTitle }

func (d storescp) clear(t *testing.T) {
	t.Helper()
	for _, file := range d.files(t) {
		require.NoError(t, os.Remove(file))
	}
}

func (d storescp) files(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(d.dir, "*"))
	require.NoError(t, err)
	return files
}

func (d storescp) received(t *testing.T) map[string][]string {
	t.Helper()
	received := map[string][]string{}
	for _, file := range d.files(t) {
		ds, err := dicom.ParseFile(file, nil)
		require.NoError(t, err, file)
		study := text(&ds, tag.StudyInstanceUID)
		received[study] = append(received[study], text(&ds, tag.SOPInstanceUID))
	}
	return received
}

//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
)

// vanishing is a patient with two studies, the newest of which is deleted between C-FIND and C-MOVE.
const vanishing = "VANISHING-1"

func vanishingStudies() (gone, stays dicomtest.Study) {
	study := func(accession, date string) dicomtest.Study {
		return dicomtest.Study{
			PatientID: vanishing, PatientName: "SHORT^LIVED", AccessionNumber: accession, StudyDate: date, StudyTime: "120000",
			StudyDescription: "CT HEAD", Series: []dicomtest.Series{{Modality: "CT", SeriesDescription: "AXIAL 5.0", BodyPartExamined: "HEAD", Instances: 3}},
		}
	}
	return study("ACC-9002", "20250102"), study("ACC-9001", "20250101")
}

// deletable is a source from which the newest study can be deleted.
type deletable struct {
	name string
	// prepare stores both studies and returns the function that deletes the newest.
	prepare     func(t *testing.T) (source, func() error)
	dicomStatus string // of the C-MOVE of the deleted study
}

// beforeMove forwards a port to a source. It calls do before it passes on the first C-MOVE-RQ.
func beforeMove(t *testing.T, port int, do func() error) int {
	t.Helper()
	// Command Field (0000,0100) 0021H in Implicit VR Little Endian.
	moveRQ := []byte{0, 0, 0, 1, 2, 0, 0, 0, 0x21, 0}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	go func() {
		outer, err := l.Accept()
		if err != nil {
			return
		}
		defer outer.Close()
		inner, err := net.Dial("tcp", address(port))
		if err != nil {
			return
		}
		defer inner.Close()
		go func() {
			_, _ = io.Copy(outer, inner)
			_ = outer.Close()
		}()
		b, did := make([]byte, 1<<17), false
		for {
			// The gateway writes a request in one write, and loopback does not split it.
			n, err := outer.Read(b)
			if !did && bytes.Contains(b[:n], moveRQ) {
				did = true
				assert.NoError(t, do())
			}
			if _, werr := inner.Write(b[:n]); err != nil || werr != nil {
				return
			}
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func written(t *testing.T, studies ...dicomtest.Study) []string {
	t.Helper()
	var files []string
	for i := range studies {
		paths, err := dicomtest.WriteDir(t.TempDir(), studies[i].Instances())
		require.NoError(t, err)
		files = append(files, paths...)
	}
	return files
}

// ownQRSCP starts a dcmqrscp with both studies. index is its index before the study that gets deleted was stored.
func ownQRSCP(t *testing.T) (src source, storage string, index []byte) {
	t.Helper()
	ports, err := freePorts(1)
	require.NoError(t, err)
	files := theSite.destinations[0].(storescp)
	dir := t.TempDir()
	src = source{"dcmqrscp", "QRSCP", ports[0]}
	p, err := startQRSCP(dir, src, map[string]int{files.aeTitle: files.port})
	started(t, p, err)
	gone, stays := vanishingStudies()
	storage = filepath.Join(dir, "storage")
	require.NoError(t, src.load(written(t, stays)))
	index, err = os.ReadFile(filepath.Join(storage, "index.dat"))
	require.NoError(t, err)
	require.NoError(t, src.load(written(t, gone)))
	return src, storage, index
}

var deletables = []deletable{
	{"Orthanc", func(t *testing.T) (source, func() error) {
		t.Helper()
		gone, stays := vanishingStudies()
		o := theSite.orthanc
		require.NoError(t, o.load(written(t, gone, stays)))
		t.Cleanup(func() { assert.NoError(t, o.deleteStudy(stays.UID())) })
		return o.source, func() error { return o.deleteStudy(gone.UID()) }
	}, "C000"},
	{"dcmqrscp by its index", func(t *testing.T) (source, func() error) {
		t.Helper()
		src, storage, index := ownQRSCP(t)
		return src, func() error { return os.WriteFile(filepath.Join(storage, "index.dat"), index, 0o600) }
	}, "0000"},
	{"dcmqrscp by its files", func(t *testing.T) (source, func() error) {
		t.Helper()
		src, storage, _ := ownQRSCP(t)
		gone, _ := vanishingStudies()
		return src, func() error { return removeFiles(storage, gone.UID()) }
	}, "A702"},
}

func (o orthanc) deleteStudy(uid string) error {
	var ids []string
	query := map[string]any{"Level": "Study", "Query": map[string]string{"StudyInstanceUID": uid}}
	if err := o.call(http.MethodPost, "/tools/find", query, &ids); err != nil {
		return err
	}
	if len(ids) != 1 {
		return fmt.Errorf("%d studies with this UID", len(ids))
	}
	return o.call(http.MethodDelete, "/studies/"+ids[0], nil, nil)
}

func removeFiles(dir, studyUID string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.dcm"))
	if err != nil {
		return err
	}
	for _, file := range files {
		ds, err := dicom.ParseFile(file, nil)
		if err != nil {
			return err
		}
		if text(&ds, tag.StudyInstanceUID) == studyUID {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestRetrieveReportsAStudyDeletedAfterFind(t *testing.T) {
	gone, stays := vanishingStudies()
	dst := theSite.destinations[0]
	for _, d := range deletables {
		t.Run(d.name, func(t *testing.T) {
			dst.clear(t)
			src, remove := d.prepare(t)
			src.port = beforeMove(t, src.port, remove)
			reply := move(t, src.retrieve(vanishing, filter{}, dst.title()))
			require.Equal(t, http.StatusMultiStatus, reply.StatusCode(), string(reply.Body))
			assert.Equal(t, 1, reply.JSON207.SuccessCount)
			require.Len(t, reply.JSON207.Retrievals, 2)
			first, second := reply.JSON207.Retrievals[0], reply.JSON207.Retrievals[1]
			assert.Equal(t, gone.UID(), first.StudyInstanceUID)
			assert.Equal(t, goclient.RetrievalStatusFailed, first.Status)
			assert.Equal(t, d.dicomStatus, first.DICOMStatus)
			assert.Equal(t, stays.UID(), second.StudyInstanceUID)
			assert.Equal(t, goclient.RetrievalStatusOk, second.Status)
			received := dst.received(t)
			assert.Len(t, received[stays.UID()], 3)
			assert.Empty(t, received[gone.UID()])
		})
		t.Run(d.name+" alone", func(t *testing.T) {
			src, remove := d.prepare(t)
			src.port = beforeMove(t, src.port, remove)
			reply := move(t, src.retrieve(vanishing, filter{maxResults: 1}, dst.title()))
			fault := assertFailed(t, reply.HTTPResponse, reply.Body, goclient.ProblemCodeMoveFailed, "move")
			require.NotNil(t, fault.Status)
			assert.Equal(t, d.dicomStatus, *fault.Status)
		})
	}
}

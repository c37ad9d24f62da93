package wado

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	explicit = dataset.ExplicitVRLittleEndian
	jpeg     = dataset.JPEGBaseline
	baseURL  = "https://gateway.example/dicomweb/main"
)

// element returns an element in Explicit VR Little Endian.
func element(tag uint32, vr, value string) string {
	v, ok := dataset.LookupVR(vr[0], vr[1])
	if !ok {
		panic(vr)
	}
	t := dataset.Tag{Group: uint16(tag >> 16), Element: uint16(tag)}
	return string(stream.AppendHeader(nil, t, v, int64(len(value)))) + value
}

// sequence returns a sequence with items, whose lengths are defined or not.
func sequence(tag uint32, items ...string) string {
	sq, _ := dataset.LookupVR('S', 'Q')
	b := stream.AppendHeader(nil, dataset.Tag{Group: uint16(tag >> 16), Element: uint16(tag)}, sq, stream.Undefined)
	for i, item := range items {
		if i%2 == 0 {
			b = append(stream.AppendItem(b, int64(len(item))), item...)
			continue
		}
		b = stream.AppendItemEnd(append(stream.AppendItem(b, stream.Undefined), item...))
	}
	return string(stream.AppendSequenceEnd(b))
}

// encapsulated returns pixel data of fragments, behind an empty offset table.
func encapsulated(fragments ...string) string {
	ob, _ := dataset.LookupVR('O', 'B')
	b := stream.AppendItem(stream.AppendHeader(nil, dataset.Tag{Group: 0x7fe0, Element: 0x0010}, ob, stream.Undefined), 0)
	for _, fragment := range fragments {
		b = append(stream.AppendItem(b, int64(len(fragment))), fragment...)
	}
	return string(stream.AppendSequenceEnd(b))
}

// arriving is an instance that a source brings.
type arriving struct {
	uid    string
	syntax dataset.TransferSyntax
	data   string
	err    error // with which it ends; nil: complete
}

// source is a retrieval of instances.
type source struct {
	instances []arriving
	outcome   receive.Outcome
	inventory receive.Inventory
	err       error // with which the sequence ends
	cutOff    func(error)
}

func (s *source) Inventory() *receive.Inventory { return &s.inventory }
func (s *source) Outcome() receive.Outcome      { return s.outcome }
func (s *source) OnCutOff(call func(error))     { s.cutOff = call }
func (s *source) Close()                        {}

func (s *source) All() iter.Seq2[*receive.Arrived, error] {
	return func(yield func(*receive.Arrived, error) bool) {
		for _, in := range s.instances {
			if !yield(arrived(in), nil) {
				return
			}
		}
		if s.err != nil {
			yield(nil, s.err)
		}
	}
}

// all returns a retrieval of data sets that is complete.
func all(instances ...arriving) *source {
	s := &source{instances: instances, outcome: receive.Outcome{
		Complete: true, Received: len(instances), Basis: receive.BasisInventory, Status: qr.RetrievalOK,
	}}
	s.inventory.Proven = true
	for i := range instances {
		if instances[i].uid == "" {
			instances[i].uid = "1.2.3." + string(rune('1'+i))
		}
		if instances[i].syntax == "" {
			instances[i].syntax = explicit
		}
		s.inventory.Instances = append(s.inventory.Instances, qr.ListedInstance{SOPInstanceUID: instances[i].uid})
	}
	return s
}

// missing makes a retrieval one that lacks an instance.
func (s *source) missing(uids ...string) *source {
	s.outcome.Complete, s.outcome.Status = false, qr.RetrievalPartial
	s.outcome.Missing, s.outcome.MissingCount = uids, len(uids)
	return s
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

var errArrival = errors.New("the association ended")

func newSpool(t *testing.T, settings spool.Settings) *spool.Spool {
	t.Helper()
	s, err := spool.New(settings)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// request parses a request for a path below the base URL of the PACS.
func request(t *testing.T, kind Kind, path map[string]string, query string, header ...string) *Request {
	t.Helper()
	q, err := parse(kind, path, query, header...)
	require.NoError(t, err)
	return q
}

func parse(kind Kind, path map[string]string, query string, header ...string) (*Request, error) {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.URL.RawQuery = query
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return Parse(kind, path, r, baseURL)
}

var (
	studyPath    = map[string]string{"study": "1.2"}
	instancePath = map[string]string{"study": "1.2", "series": "1.2.3", "instance": "1.2.3.1"}
)

// bulkPath is the path to a value of the instance.
func bulkPath(path string) map[string]string {
	return map[string]string{"study": "1.2", "series": "1.2.3", "instance": "1.2.3.1", "path": path}
}

// sent runs a send function and returns the answer.
func sent(t *testing.T, q *Request, s Source, send func(*Transfer) error) (*httptest.ResponseRecorder, *Transfer, error) {
	t.Helper()
	w := httptest.NewRecorder()
	transfer := NewTransfer(Line{ResponseWriter: w}, q, s)
	defer transfer.Close()
	transfer.Spool = newSpool(t, spool.Settings{})
	err := send(transfer)
	return w, transfer, err
}

func metadata(t *testing.T) func(*Transfer) error {
	return func(transfer *Transfer) error { return SendMetadata(t.Context(), transfer) }
}

func arrived(in arriving) *receive.Arrived {
	body := io.Reader(bytes.NewReader([]byte(in.data)))
	if in.err != nil {
		body = io.MultiReader(body, failing{in.err})
	}
	return &receive.Arrived{
		SOPClassUID: "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID: in.uid, StudyInstanceUID: "1.2", SeriesInstanceUID: "1.2.3",
		TransferSyntax: in.syntax, Reader: body, WriterTo: writerTo{body},
	}
}

type writerTo struct{ io.Reader }

func (w writerTo) WriteTo(to io.Writer) (int64, error) { return io.Copy(to, w.Reader) }

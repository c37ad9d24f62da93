package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/wado"
)

// arriving is an instance that a fake retrieval brings.
type arriving struct {
	uid    string
	syntax dataset.TransferSyntax
	data   string
	err    error // with which it ends; nil: complete
}

// fakeRetrieval is a retrieval of a study.
type fakeRetrieval struct {
	instances []arriving
	outcome   receive.Outcome
	inventory receive.Inventory
	endErr    error         // of the sequence
	panics    bool          // at its end
	pause     time.Duration // before each instance and the outcome
	cutOff    atomic.Pointer[func(error)]
	closed    bool
}

func (f *fakeRetrieval) Inventory() *receive.Inventory { return &f.inventory }

func (f *fakeRetrieval) All() iter.Seq2[*receive.Arrived, error] {
	return func(yield func(*receive.Arrived, error) bool) {
		for _, in := range f.instances {
			time.Sleep(f.pause)
			body := io.Reader(strings.NewReader(in.data))
			if in.err != nil {
				body = io.MultiReader(body, failingReader{in.err})
			}
			if !yield(&receive.Arrived{
				SOPClassUID: "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID: in.uid, StudyInstanceUID: studyUID, SeriesInstanceUID: studyUID + ".1",
				TransferSyntax: in.syntax, Reader: body, WriterTo: writerTo{body},
			}, nil) {
				return
			}
		}
		if f.panics {
			panic("planted")
		}
		if f.endErr != nil {
			yield(nil, f.endErr)
		}
	}
}

func (f *fakeRetrieval) Outcome() receive.Outcome {
	time.Sleep(f.pause)
	return f.outcome
}

func (f *fakeRetrieval) OnCutOff(call func(error)) { f.cutOff.Store(&call) }

func (f *fakeRetrieval) Close() { f.closed = true }

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

type writerTo struct{ io.Reader }

func (w writerTo) WriteTo(to io.Writer) (int64, error) { return io.Copy(to, w.Reader) }

// fakeReceiver answers with a retrieval or an error.
type fakeReceiver struct {
	retrieval *fakeRetrieval
	err       error
	asked     []receive.Request
	listed    int    // calls of Inventory
	begun     func() // called by Retrieve; nil: none
}

func (f *fakeReceiver) Inventory(_ context.Context, r receive.Request) (*receive.Inventory, error) {
	f.listed++
	if f.err != nil {
		return nil, f.err
	}
	return &f.retrieval.inventory, nil
}

func (f *fakeReceiver) Retrieve(_ context.Context, r receive.Request) (wado.Source, error) {
	f.asked = append(f.asked, r)
	if f.begun != nil {
		f.begun()
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.retrieval, nil
}

const explicit = dataset.ExplicitVRLittleEndian

// complete returns a retrieval of two instances that is complete.
func complete() *fakeRetrieval {
	return &fakeRetrieval{
		instances: []arriving{{uid: studyUID + ".1.1", syntax: explicit, data: "one"}, {uid: studyUID + ".1.2", syntax: explicit, data: "two"}},
		outcome:   receive.Outcome{Complete: true, Received: 2, Basis: receive.BasisInventory, Way: receive.WayGet, Status: qr.RetrievalOK},
		inventory: receive.Inventory{
			Proven: true, PatientID: patientID, PatientName: patientName,
			Instances: []qr.ListedInstance{{SOPInstanceUID: studyUID + ".1.1"}, {SOPInstanceUID: studyUID + ".1.2"}},
		},
	}
}

// partial returns a retrieval of which one instance is missing.
func partial() *fakeRetrieval {
	f := complete()
	f.instances = f.instances[:1]
	f.outcome = receive.Outcome{
		Missing: []string{studyUID + ".1.2"}, MissingCount: 1, Received: 1, Basis: receive.BasisInventory, Way: receive.WayGet, Status: qr.RetrievalPartial,
	}
	return f
}

// startReceiving starts a gateway whose PACS main has what the receiver has.
func startReceiving(t *testing.T, receiver Receiver, variables ...string) *running {
	t.Helper()
	return startWith(t, &fakeGateway{}, preparation{options: func(o *Options) {
		o.Receiver = receiver
		o.PACS = namedMain{qr.Peer{Name: "main", Host: "pacs.example", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY", Settings: &pool.Settings{}}}
	}}, variables...)
}

const (
	studyPath    = "/dicomweb/main/studies/" + studyUID
	seriesPath   = studyPath + "/series/" + studyUID + ".1"
	instancePath = seriesPath + "/instances/" + studyUID + ".1.1"
)

// fetch sends a request without checks of the answer, and returns it with its body and how that ended.
func fetch(t *testing.T, r *running, method, path string, header ...string) (*answered, []byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, http.NoBody)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return &answered{response.StatusCode, response.Header, response.Trailer}, body, err
}

// answered is an answer without its body.
type answered struct {
	StatusCode      int
	Header, Trailer http.Header
}

// partsOf reads a multipart body.
func partsOf(t *testing.T, response *answered, body []byte) (types, bodies []string) {
	t.Helper()
	mediaType, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/related", mediaType)
	assert.Equal(t, "application/dicom", parameters["type"])
	reader := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return types, bodies
		}
		require.NoError(t, err)
		content, err := io.ReadAll(part)
		require.NoError(t, err)
		types, bodies = append(types, part.Header.Get("Content-Type")), append(bodies, string(content))
	}
}

func TestStudyIsSentAsMultipart(t *testing.T) {
	receiver := &fakeReceiver{retrieval: complete()}
	r := startReceiving(t, receiver)
	response, body, err := fetch(t, r, http.MethodGet, studyPath)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	types, bodies := partsOf(t, response, body)
	assert.Equal(t, []string{"application/dicom; transfer-syntax=1.2.840.10008.1.2.1", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"}, types)
	assert.Equal(t, "DICM", bodies[0][128:132])
	assert.True(t, bytes.HasSuffix([]byte(bodies[0]), []byte("one")))
	assert.True(t, bytes.HasSuffix([]byte(bodies[1]), []byte("two")))
	assert.Equal(t, []byte("--"), body[:2])
	assert.Equal(t, "complete", response.Trailer.Get("Retrieve-Outcome"))
	assert.Equal(t, "private, no-cache", response.Header.Get("Cache-Control"))
	require.Len(t, receiver.asked, 1)
	assert.True(t, receiver.asked[0].Uncompressed)
	assert.Equal(t, receive.Target{StudyInstanceUID: studyUID}, receiver.asked[0].Target)
	assert.True(t, receiver.retrieval.closed)
}

func TestIncompleteAnswerIsBrokenOff(t *testing.T) {
	cut := complete()
	cut.instances[1].err = errors.New("the association ended")
	panics := complete()
	panics.panics = true
	late := complete()
	late.endErr = context.DeadlineExceeded
	receiver := &fakeReceiver{}
	r := startReceiving(t, receiver)
	for name, retrieval := range map[string]*fakeRetrieval{
		"missing": partial(), "within an instance": cut, "after an instance": late, "panic": panics,
	} {
		for accept, id := range map[string]string{"*/*": "parts-", "application/zip": "archive-"} {
			id += strings.ReplaceAll(name, " ", "-")
			receiver.retrieval = retrieval
			response, _, err := fetch(t, r, http.MethodGet, studyPath, "Accept", accept, "X-Correlation-ID", id)
			assert.Equal(t, http.StatusOK, response.StatusCode, id)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, id)
			assert.Empty(t, response.Trailer.Get("Retrieve-Outcome"), id)
			assert.NotEmpty(t, waitForLineOf(t, r, "request", id)["code"], id)
		}
	}
}

// overHTTP10 returns the answer to a request with HTTP/1.0.
func overHTTP10(t *testing.T, r *running, path string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET "+path+" HTTP/1.0\r\nX-Correlation-ID: "+exampleID+"\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer)
}

package server

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// sizes are numbers of matches.
var sizes = []int{1, 10, 100, 1000}

func perMatch(b *testing.B, matches int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*matches), "ns/match")
}

// BenchmarkQuery measures what the HTTP side adds to a query: routing, validation, the answer and the log line, without the
// network and the PACS. The difference between two sizes is the encoding of the answer.
func BenchmarkQuery(b *testing.B) {
	contract, err := os.ReadFile("../openapi.yaml")
	require.NoError(b, err)
	c := settings(b)
	for _, matches := range sizes {
		b.Run(strconv.Itoa(matches), func(b *testing.B) {
			studies := make([]qr.Study, matches)
			for i := range studies {
				studies[i] = fullStudy(i)
			}
			o := optionsOf(b, &c, answering(&qr.QueryResult{Studies: studies}, nil), io.Discard)
			o.Contract = contract
			s, err := New(o)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "http://localhost/q", strings.NewReader(queryBody))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
			perMatch(b, matches)
		})
	}
}

// fullStudy returns a study with a value for each attribute.
func fullStudy(i int) qr.Study {
	return qr.Study{
		PatientName: patientName, PatientID: patientID, DateOfBirth: "19700101", StudyInstanceUID: studyUID + "." + strconv.Itoa(i),
		StudyDescription: "CT Thorax/Abdomen", ModalitiesInStudy: []string{"CT", "SR"}, StudyDate: "20240131", StudyTime: "120000",
		AccessionNumber: "ACC-" + strconv.Itoa(i), ReferringPhysicianName: "Referrer^Rita^^Dr.", PerformingPhysicianName: "Performer^Paul",
		InstitutionName: "General Hospital",
	}
}

// BenchmarkRequestCheck parses and validates a valid and an invalid body.
func BenchmarkRequestCheck(b *testing.B) {
	schemas, err := embeddedSchemas()
	require.NoError(b, err)
	check := newValidator(schemas.bodies["query"], newShares(maxBodies)).check(func(echo.Context) error { return nil })
	filtered := strings.TrimSuffix(queryBody, "}") + `,"modalities":["CT","MR"],"max_years_old":5,"max_results":10}`
	e := echo.New()
	for _, request := range []struct {
		name, body string
		right      bool
	}{
		{"plain", queryBody, true},
		{"filtered", filtered, true},
		{"wrong", strings.Replace(filtered, `:104,`, `:-1,`, 1), false},
	} {
		b.Run(request.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/q", strings.NewReader(request.body))
				r.Header.Set("Content-Type", "application/json")
				if err := check(e.NewContext(r, httptest.NewRecorder())); (err == nil) != request.right {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEndToEnd measures POST /q over loopback, with a PACS on loopback that has its answer ready. Caller and PACS share the
// machine with the gateway, and their allocations count too; make bench-load measures the gateway alone.
func BenchmarkEndToEnd(b *testing.B) {
	for _, matches := range sizes {
		b.Run(strconv.Itoa(matches), func(b *testing.B) {
			script := &dicomtest.Script{Play: ready(matches)}
			address, stop, err := script.Listen()
			require.NoError(b, err)
			gateway := fromSettings(b, pool.Options{})
			r := start(b, gateway)
			client := &http.Client{Transport: &http.Transport{}}
			body := queryAt("127.0.0.1", portOf(b, address))
			require.Equal(b, matches, studiesIn(b, client, r.url, body))
			b.ReportAllocs()
			for b.Loop() {
				response, err := client.Post(r.url+"/q", jsonType, strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
					b.Fatal(response.Status, err)
				}
				_ = response.Body.Close()
			}
			perMatch(b, matches)
			client.CloseIdleConnections()
			require.NoError(b, gateway.Wait(context.Background()))
			stop()
			require.NoError(b, script.Err())
		})
	}
}

func studiesIn(b *testing.B, client *http.Client, url, body string) int {
	b.Helper()
	response, err := client.Post(url+"/q", jsonType, strings.NewReader(body))
	require.NoError(b, err)
	defer func() { _ = response.Body.Close() }()
	var answer api.QueryResponse
	require.NoError(b, json.NewDecoder(response.Body).Decode(&answer))
	return len(answer.StudyDetails)
}

// ready is a PACS that answers with a number of matches, which it encodes once.
func ready(matches int) func(p *dicomtest.ScriptedPeer) {
	var out []byte
	for i := range matches {
		s := fullStudy(i)
		out = dicomtest.Response(firstFind, dicomnet.StatusPending, inOrder(attributes{
			tag.PatientName: s.PatientName, tag.PatientID: s.PatientID, tag.PatientBirthDate: s.DateOfBirth,
			tag.StudyInstanceUID: s.StudyInstanceUID, tag.StudyDescription: s.StudyDescription, tag.ModalitiesInStudy: `CT\SR`,
			tag.StudyDate: s.StudyDate, tag.StudyTime: s.StudyTime, tag.AccessionNumber: s.AccessionNumber,
			tag.ReferringPhysicianName: s.ReferringPhysicianName, tag.PerformingPhysicianName: s.PerformingPhysicianName,
			tag.InstitutionName: s.InstitutionName,
		})).Append(out)
	}
	out = dicomtest.Response(firstFind, dicomnet.StatusSuccess, nil).Append(out)
	return func(p *dicomtest.ScriptedPeer) {
		p.ReadAssociateRQ()
		p.SendPDU(p.AC(dataset.ImplicitVRLittleEndian))
		if rq := p.ReadRequest(dicomnet.CFindRQ); rq.ContextID != firstFind.ContextID || rq.Command.MessageID != firstFind.Command.MessageID {
			p.Failf("not the first message of an association: %+v", rq)
			return
		}
		p.Send(out)
		p.Release()
	}
}

// inOrder returns the data set in Implicit VR Little Endian with its elements in the order of tags, as PACS send it.
func inOrder(as attributes) []byte {
	var b []byte
	tags := slices.SortedFunc(maps.Keys(as), func(a, b tag.Tag) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Element, b.Element))
	})
	for _, t := range tags {
		value := as[t]
		if len(value)%2 != 0 {
			value += " "
		}
		b = binary.LittleEndian.AppendUint16(b, t.Group)
		b = binary.LittleEndian.AppendUint16(b, t.Element)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
		b = append(b, value...)
	}
	return b
}

// firstFind holds the values of the first C-FIND of an association on which the answer depends.
var firstFind = dicomtest.Message{ContextID: 1, Command: dicomnet.CommandSet{
	CommandField: dicomnet.CFindRQ, MessageID: 1, AffectedSOPClassUID: dicomnet.StudyRoot.Find,
}}

package server

import (
	"encoding/json"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// demonstration is a gateway like that of `make run`, on other ports.
type demonstration struct {
	*running
	pacsPort string
}

func startDemonstration(t *testing.T) *demonstration {
	t.Helper()
	pacs, err := demo.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, pacs.Close()) })
	_, port, err := net.SplitHostPort(pacs.A.Addr())
	require.NoError(t, err)
	return &demonstration{start(t, newGateway(gatewayOptions{})), port}
}

// ask sends a request after translating the ports of `make run`, and translates those in the answer back.
func (d *demonstration) ask(t *testing.T, path, body string, header ...string) (status, contentType, answer string) {
	t.Helper()
	body = regexp.MustCompile(`"pacs_port":\s*4242\b`).ReplaceAllString(body, `"pacs_port":`+d.pacsPort)
	code, headers, answer := d.post(t, path, body, append(header, "X-Correlation-ID", exampleID)...)
	answer = strings.ReplaceAll(answer, "127.0.0.1:"+d.pacsPort, "127.0.0.1:4242")
	return strconv.Itoa(code), headers.Get("Content-Type"), answer
}

func TestExampleRequestsGetTheExampleAnswersOfTheSameName(t *testing.T) {
	pacs := startDemonstration(t)
	for path, item := range wholeContract(t).Paths.Map() {
		if item.Post == nil || path == "/jobs" || item.Post.RequestBody == nil { // the demonstration has no storage for jobs
			continue
		}
		for key, request := range item.Post.RequestBody.Value.Content.Get(jsonType).Examples {
			t.Run(path+" "+key, func(t *testing.T) {
				body, err := json.Marshal(request.Value.Value)
				require.NoError(t, err)
				status, contentType, answer := pacs.ask(t, path, string(body))
				shown := 0
				for code, response := range item.Post.Responses.Map() {
					content := response.Value.Content.Get(contentType)
					if content == nil || content.Examples[key] == nil || code != status {
						continue
					}
					shown++
					assert.Equal(t, untimed(content.Examples[key].Value.Value), untimed(asExample(t, answer)))
				}
				assert.Equal(t, 1, shown, "examples named %s of %s as %s", key, status, contentType)
			})
		}
	}
}

func TestExampleStreamsEqualThoseOfTheDemo(t *testing.T) {
	pacs := startDemonstration(t)
	retrieve := wholeContract(t).Paths.Find("/qr").Post
	streams := retrieve.Responses.Status(http.StatusOK).Value.Content.Get(eventType).Examples
	require.NotEmpty(t, streams)
	for key, stream := range streams {
		request := retrieve.RequestBody.Value.Content.Get(jsonType).Examples[key]
		require.NotNil(t, request, key)
		body, err := json.Marshal(request.Value.Value)
		require.NoError(t, err)
		status, contentType, answer := pacs.ask(t, "/qr", string(body), "Accept", eventType)
		assert.Equal(t, "200", status, key)
		assert.Equal(t, eventType, contentType, key)
		assert.Equal(t, stream.Value.Value, answer, key)
	}
}

func TestTourInTheDescriptionWorks(t *testing.T) {
	pacs := startDemonstration(t)
	tour := regexp.MustCompile("(?s)curl http://localhost:8888(/\\w+) -H 'Content-Type: application/json' -d '(.*?)'\n").
		FindAllStringSubmatch(wholeContract(t).Info.Description, -1)
	require.Len(t, tour, 3)
	var last string
	for _, step := range tour {
		status, _, answer := pacs.ask(t, step[1], step[2])
		require.Equal(t, "200", status, "%s: %s", step[1], answer)
		last = answer
	}
	assert.Contains(t, last, `"completed":7`, "as the description shows")

	_, _, metrics := pacs.do(t, http.MethodGet, "/metrics", nil)
	example := wholeContract(t).Paths.Find("/metrics").Get.Responses.Status(http.StatusOK).Value.Content.Get("text/plain").Example
	for line := range strings.Lines(example.(string)) {
		upToPort, _, _ := strings.Cut(strings.TrimSpace(line), `peer="`)
		assert.True(t, strings.Contains(metrics, upToPort), line)
	}
}

func TestExamplesOfSearchesEqualTheAnswersOfTheDemonstration(t *testing.T) {
	pacs, err := demo.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, pacs.Close()) })
	host, port, err := net.SplitHostPort(pacs.A.Addr())
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	r := startWith(t, newGateway(gatewayOptions{}), preparation{options: func(o *Options) {
		o.PACS = namedMain{qr.Peer{
			Name: "orthanca", Host: host, Port: number, CalledAETitle: demo.AETitleA, CallingAETitle: "GATEWAY", Settings: &pool.Settings{},
		}}
	}})
	shown := 0
	for path, item := range wholeContract(t).Paths.Map() {
		if !strings.HasPrefix(path, "/dicomweb/") || !strings.HasPrefix(item.Get.OperationID, "search") {
			continue
		}
		for mediaType, content := range item.Get.Responses.Status(http.StatusOK).Value.Content {
			for key, example := range content.Examples {
				shown++
				_, request, ok := strings.Cut(example.Value.Summary, "GET ")
				require.True(t, ok, "the summary of %s ends with the request", key)
				status, header, answer := r.get(t, strings.NewReplacer("{study}", exampleStudy, "{series}", exampleSeries).Replace(request), "Accept", mediaType)
				require.Equal(t, http.StatusOK, status, answer)
				assert.True(t, strings.HasPrefix(header.Get("Content-Type"), mediaType))
				assert.Equal(t, example.Value.Value, asExample(t, strings.ReplaceAll(answer, r.url, "http://localhost:8888")), key)
			}
		}
	}
	assert.Equal(t, 14, shown)
}

// The study and the series of the examples.
const (
	exampleStudy  = "2.25.75748022655180156166817239146794627796"
	exampleSeries = "2.25.164099461752703617692079913345305864798"
)

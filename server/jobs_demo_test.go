package server

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/broker/brokertest"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/batch"
)

// startDemonstrationOfJobs starts a gateway like that of `make run`, with the PACS orthanca.
func startDemonstrationOfJobs(t *testing.T) *running {
	t.Helper()
	pacs, err := demo.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, pacs.Close()) })
	host, port, _ := strings.Cut(pacs.A.Addr(), ":")
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	named := namedMain{qr.Peer{
		Name: "orthanca", Host: host, Port: number, CalledAETitle: demo.AETitleA, CallingAETitle: "GATEWAY", Settings: &pool.Settings{},
	}}
	gateway := newGateway(gatewayOptions{})
	service := jobs.New(jobs.Options{
		Broker: brokertest.Embedded(t, t.TempDir()), Retriever: gateway, PACS: named, Describe: batch.Failure, Idle: 5 * time.Millisecond,
	})
	return startWith(t, gateway, preparation{options: func(o *Options) {
		o.PACS, o.Jobs, o.Background = named, batch.ServiceOf(service), func(ctx context.Context) { assert.NoError(t, service.Run(ctx)) }
	}})
}

// changing matches what differs from one job to the next.
var changing = regexp.MustCompile(`"(job|filed_at|finished_at|expires_at)":"[^"]*"|(?m)^id: \d+`)

// advancing matches what changes while the gateway works on a job.
var advancing = regexp.MustCompile(`"(state)":"[a-z]+"|"(counts)":\{[^}]*\}|"(finished_at)":(?:null|"[^"]*")`)

func unchanging(text string) string { return changing.ReplaceAllString(text, `"$1":"-"`) }

// asJSON returns a value as compact JSON.
func asJSON(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	require.NoError(t, err)
	return string(b)
}

// filed files an example and returns the ID of the job, which must be answered as the example of the same key shows.
func filed(t *testing.T, r *running, key, shown string) (id string) {
	t.Helper()
	status, header, body := r.post(t, "/jobs", asJSON(t, example(t, key)))
	require.Equal(t, http.StatusAccepted, status, body)
	atFirst := func(body string) string { return unchanging(advancing.ReplaceAllString(body, `"$1$2$3":"-"`)) }
	assert.JSONEq(t, atFirst(asJSON(t, example(t, shown))), atFirst(body), "but for what the gateway has begun already")
	return header.Get("Location")[len(r.url+"/jobs/"):]
}

// followed returns the events of a job from the first one up to the last.
func followed(t *testing.T, r *running, id string) string {
	t.Helper()
	status, _, body := r.do(t, http.MethodGet, "/jobs/"+id+"/events", nil, "Last-Event-ID", "0")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "event: finished")
	return body
}

func TestExamplesOfJobsEqualTheAnswersOfTheDemonstration(t *testing.T) {
	r := startDemonstrationOfJobs(t)
	id := filed(t, r, "JobToFile", "JobFiled")
	followed(t, r, id)
	_, _, body := r.do(t, http.MethodGet, "/jobs/"+id, nil)
	assert.JSONEq(t, unchanging(asJSON(t, example(t, "JobFinished"))), unchanging(body))
	_, _, body = r.do(t, http.MethodGet, "/jobs/"+id, nil, "Accept", "text/csv")
	assert.Equal(t, example(t, "JobFinishedAsCSV"), strings.ReplaceAll(body, "\r\n", "\n"))

	tried := filed(t, r, "JobToTry", "JobFiledToTry")
	followed(t, r, tried)
	_, _, body = r.do(t, http.MethodGet, "/jobs/"+tried, nil)
	assert.JSONEq(t, unchanging(asJSON(t, example(t, "JobTried"))), unchanging(body))
	reply, err := r.api.ListJobsWithResponse(t.Context(), &goclient.ListJobsParams{})
	require.NoError(t, err)
	require.Len(t, reply.JSON200.Jobs, 2)
	assert.Equal(t, tried, reply.JSON200.Jobs[0].Job, "the newest first")

	table := example(t, "JobToFileAsCSV").(string)
	first, _, _ := strings.Cut(table, ",,2.25")
	status, header, body := r.post(t, "/jobs?pacs=orthanca&c_move_ae_title=ORTHANCB", first, "Content-Type", "text/csv")
	require.Equal(t, http.StatusAccepted, status, body)
	stream := followed(t, r, header.Get("Location")[len(r.url+"/jobs/"):])
	assert.Equal(t, unchanging(example(t, "StreamOfJob").(string)), unchanging(stream))
}

func TestAJobThatIsCancelledAndRetried(t *testing.T) {
	r := startDemonstrationOfJobs(t)
	order := maps.Clone(example(t, "JobToFile").(map[string]any))
	order["not_before"] = time.Now().Add(time.Hour).Format(time.RFC3339)
	status, header, body := r.post(t, "/jobs", asJSON(t, order))
	require.Equal(t, http.StatusAccepted, status, body)
	path := header.Get("Location")[len(r.url):]
	for _, step := range []struct {
		method, path string
		status       int
	}{
		{http.MethodDelete, path, http.StatusConflict},
		{http.MethodPost, path + "/retry", http.StatusConflict},
		{http.MethodPost, path + "/cancel", http.StatusOK},
		{http.MethodPost, path + "/cancel", http.StatusOK},
		{http.MethodPost, path + "/retry", http.StatusAccepted},
		{http.MethodPost, path + "/cancel", http.StatusOK},
		{http.MethodGet, path + "/events", http.StatusOK},
		{http.MethodDelete, path, http.StatusNoContent},
		{http.MethodGet, path, http.StatusNotFound},
	} {
		status, _, body := r.do(t, step.method, step.path, nil)
		assert.Equal(t, step.status, status, "%s %s: %s", step.method, step.path, body)
	}
	status, _, _ = r.do(t, http.MethodGet, "/jobs/nothing/events", nil)
	assert.Equal(t, http.StatusNotFound, status)
}

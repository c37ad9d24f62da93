package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/client/go"
)

const (
	jobCounts   = `{"items":3,"queued":3,"running":0,"waiting":0,"moved":0,"partial":0,"failed":0,"no_study_matched":0,"cancelled":0,"found":0}`
	filedJob    = `{"job":"0192f3c4","state":"queued","pacs":"orthanca","c_move_ae_title":"ORTHANCB","filed_at":"2026-01-31T18:02:11Z","counts":` + jobCounts + `}`
	finishedJob = `{"job":"0192f3c4","state":"finished","counts":` + jobCounts + `}`
	movedItem   = `{"item":1,"state":"moved","attempts":1}`
)

// jobsGateway is a gateway that gives these replies, one after the other, and then the last one again. Within a bubble of synctest it
// needs no network.
type jobsGateway struct {
	replies []func(*http.Request) (*http.Response, error)
	start   time.Time
	// requests has the time, the method, the path and the header fields that matter of each request.
	requests []string
	bodies   []string
	keys     []string
}

func (g *jobsGateway) Do(r *http.Request) (*http.Response, error) {
	shown := []string{time.Since(g.start).String(), r.Method, r.URL.RequestURI()}
	for _, name := range []string{"Accept", "Content-Type", "Last-Event-ID"} {
		if value := r.Header.Get(name); value != "" {
			shown = append(shown, value)
		}
	}
	g.requests = append(g.requests, strings.Join(shown, " "))
	g.keys = append(g.keys, r.Header.Get("Idempotency-Key"))
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		g.bodies = append(g.bodies, string(body))
	}
	reply := g.replies[0]
	if len(g.replies) > 1 {
		g.replies = g.replies[1:]
	}
	return reply(r)
}

type jobsReply = func(*http.Request) (*http.Response, error)

func replied(status int, contentType, body string, header ...string) jobsReply {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {contentType}}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func problemOf(status int, code string, header ...string) jobsReply {
	return replied(status, "application/problem+json", fmt.Sprintf(`{"status":%d,"code":%q,"detail":"It failed."}`, status, code), header...)
}

func eventsOf(body string) jobsReply { return replied(http.StatusOK, "text/event-stream", body) }

func jobEvent(id, name, data string) string {
	return "id: " + id + "\nevent: " + name + "\ndata: " + data + "\n\n"
}

// lost is a connection that failed.
func lost(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

// silent begins a stream and then sends nothing, until the request ends.
func silent(body string) jobsReply {
	return func(r *http.Request) (*http.Response, error) {
		reader, writer := io.Pipe()
		go func() {
			_, _ = io.WriteString(writer, body)
			<-r.Context().Done()
			_ = writer.CloseWithError(r.Context().Err())
		}()
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: reader}, nil
	}
}

// withJobs calls use with a client for a gateway with these replies, in a bubble of synctest.
func withJobs(t *testing.T, retry *client.Retry, replies []jobsReply, use func(*testing.T, *client.Gateway, *jobsGateway)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &jobsGateway{replies: replies, start: time.Now()}
		options := []client.Option{client.WithHTTPClient(g)}
		if retry != nil {
			options = append(options, client.WithRetry(*retry))
		}
		gateway, err := client.NewGateway("http://gateway", options...)
		require.NoError(t, err)
		use(t, gateway, g)
	})
}

// followed returns a short form of each event, and the final error.
func followed(ctx context.Context, gateway *client.Gateway, options ...client.CallOption) (events []string, err error) {
	for event, err := range gateway.FollowJob(ctx, "0192f3c4", options...) {
		if err != nil {
			return events, err
		}
		text := event.ID + " " + string(event.Kind)
		if event.Job != nil {
			text += " " + string(event.Job.State)
		}
		if event.Item != nil {
			text += fmt.Sprintf(" %d", event.Item.Item)
		}
		events = append(events, text)
	}
	return events, nil
}

func TestJobIsSubmittedAsJSONOrCSV(t *testing.T) {
	withJobs(t, nil, []jobsReply{replied(http.StatusAccepted, "application/json", filedJob)}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		job, err := gateway.SubmitJob(t.Context(), client.JobRequest{
			PACS: "orthanca", CMoveAETitle: new("ORTHANCB"), Items: []client.JobItem{{AccessionNumber: new("ACC-1007")}},
		})
		require.NoError(t, err)
		assert.Equal(t, "0192f3c4", job.Job)
		assert.Equal(t, client.JobStateQueued, job.State)
		_, err = gateway.SubmitJobCSV(t.Context(), client.JobParameters{
			PACS: "orthanca", CMoveAETitle: new("ORTHANCB"), Window: new("20:00-06:00"), Priority: new(client.JobPriorityLow),
		}, []byte("accession_number\nACC-1007\n"), client.WithIdempotencyKey("night-1"))
		require.NoError(t, err)
		assert.Equal(t, []string{
			"0s POST /jobs application/json",
			"0s POST /jobs?pacs=orthanca&c_move_ae_title=ORTHANCB&window=20%3A00-06%3A00&priority=low text/csv",
		}, g.requests)
		assert.JSONEq(t, `{"pacs":"orthanca","c_move_ae_title":"ORTHANCB","items":[{"accession_number":"ACC-1007"}]}`, g.bodies[0])
		assert.Equal(t, "accession_number\nACC-1007\n", g.bodies[1])
		assert.Len(t, g.keys[0], 26)
		assert.Equal(t, "night-1", g.keys[1])
	})
}

func TestSubmissionWhoseAnswerIsLostIsSentAgainWithItsKey(t *testing.T) {
	var heard []string
	retry := &client.Retry{Attempts: 3, MaxWait: time.Minute, Notify: func(err error, wait time.Duration) {
		heard = append(heard, err.Error()+" "+wait.String())
	}}
	cut := func(*http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader(filedJob[:20]), errReader{io.ErrUnexpectedEOF})
		return &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(body)}, nil
	}
	withJobs(t, retry, []jobsReply{lost, cut, replied(http.StatusAccepted, "application/json", filedJob)}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		_, err := gateway.SubmitJobCSV(t.Context(), client.JobParameters{PACS: "orthanca"}, []byte("patient_id\n1\n"))
		require.NoError(t, err)
		assert.Equal(t, []string{
			"0s POST /jobs?pacs=orthanca text/csv", "1s POST /jobs?pacs=orthanca text/csv", "3s POST /jobs?pacs=orthanca text/csv",
		}, g.requests)
		assert.Equal(t, []string{g.keys[0], g.keys[0], g.keys[0]}, g.keys)
		assert.Equal(t, []string{"unexpected EOF 1s", "read the response of the gateway: unexpected EOF 2s"}, heard)
	})
	withJobs(t, retry, []jobsReply{lost}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		_, err := gateway.SubmitJob(t.Context(), client.JobRequest{})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Len(t, g.requests, 3)
	})
	withJobs(t, nil, []jobsReply{lost}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		_, err := gateway.SubmitJob(t.Context(), client.JobRequest{})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Len(t, g.requests, 1)
	})
	withJobs(t, retry, []jobsReply{lost}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := gateway.SubmitJob(ctx, client.JobRequest{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, g.requests, 1)
	})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestEachCallOfJobsHasItsRoute(t *testing.T) {
	page := filedJob[:len(filedJob)-1] + `,"items":[` + movedItem + `],"total":1}`
	withJobs(t, nil, []jobsReply{
		replied(http.StatusOK, "application/json", `{"jobs":[`+filedJob+`],"more":true}`),
		replied(http.StatusOK, "application/json", page),
		replied(http.StatusOK, "text/csv; charset=utf-8", "item\n1\n"),
		replied(http.StatusOK, "application/json", filedJob),
		replied(http.StatusAccepted, "application/json", filedJob),
		replied(http.StatusNoContent, "", ""),
	}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		list, err := gateway.Jobs(t.Context(), 20, 10)
		require.NoError(t, err)
		assert.Len(t, list.Jobs, 1)
		got, err := gateway.Job(t.Context(), "a/b", client.JobItems{State: client.JobItemStateFailed, Limit: 1})
		require.NoError(t, err)
		assert.Equal(t, client.JobItemStateMoved, got.Items[0].State)
		var csv bytes.Buffer
		require.NoError(t, gateway.WriteJobCSV(t.Context(), &csv, "0192f3c4", client.JobItems{}))
		assert.Equal(t, "item\n1\n", csv.String())
		_, err = gateway.CancelJob(t.Context(), "0192f3c4")
		require.NoError(t, err)
		_, err = gateway.RetryJob(t.Context(), "0192f3c4")
		require.NoError(t, err)
		require.NoError(t, gateway.DeleteJob(t.Context(), "0192f3c4"))
		assert.Equal(t, []string{
			"0s GET /jobs?offset=20&limit=10", "0s GET /jobs/a%2Fb?limit=1&state=failed", "0s GET /jobs/0192f3c4 text/csv",
			"0s POST /jobs/0192f3c4/cancel", "0s POST /jobs/0192f3c4/retry", "0s DELETE /jobs/0192f3c4",
		}, g.requests)
	})
}

func TestCallsOfJobsReturnProblemsAndRepliesOfOthers(t *testing.T) {
	calls := []func(context.Context, *client.Gateway) error{
		func(ctx context.Context, g *client.Gateway) error {
			_, err := g.SubmitJob(ctx, client.JobRequest{})
			return err
		},
		func(ctx context.Context, g *client.Gateway) error {
			_, err := g.SubmitJobCSV(ctx, client.JobParameters{}, nil)
			return err
		},
		func(ctx context.Context, g *client.Gateway) error {
			_, err := g.Jobs(ctx, 0, 0)
			return err
		},
		func(ctx context.Context, g *client.Gateway) error {
			_, err := g.Job(ctx, "1", client.JobItems{})
			return err
		},
		func(ctx context.Context, g *client.Gateway) error {
			return g.WriteJobCSV(ctx, io.Discard, "1", client.JobItems{})
		},
		func(ctx context.Context, g *client.Gateway) error {
			_, err := g.CancelJob(ctx, "1")
			return err
		},
		func(ctx context.Context, g *client.Gateway) error {
			_, err := g.RetryJob(ctx, "1")
			return err
		},
		func(ctx context.Context, g *client.Gateway) error { return g.DeleteJob(ctx, "1") },
		func(ctx context.Context, g *client.Gateway) error {
			_, err := followed(ctx, g)
			return err
		},
	}
	for _, call := range calls {
		for _, other := range []jobsReply{replied(http.StatusOK, "application/json", "{}"), replied(http.StatusOK, "text/html", "<h1>Log in</h1>")} {
			withJobs(t, nil, []jobsReply{other}, func(t *testing.T, gateway *client.Gateway, _ *jobsGateway) {
				var reply *client.ReplyError
				require.ErrorAs(t, call(t.Context(), gateway), &reply)
			})
		}
		withJobs(t, nil, []jobsReply{problemOf(http.StatusNotImplemented, "jobs_disabled")}, func(t *testing.T, gateway *client.Gateway, _ *jobsGateway) {
			var problem *client.ProblemError
			require.ErrorAs(t, call(t.Context(), gateway), &problem)
			assert.Equal(t, client.ProblemCodeJobsDisabled, problem.Code)
		})
		withJobs(t, nil, []jobsReply{lost}, func(t *testing.T, gateway *client.Gateway, _ *jobsGateway) {
			require.ErrorIs(t, call(t.Context(), gateway), io.ErrUnexpectedEOF)
		})
	}
}

func TestCSVThatIsCutOffIsAnError(t *testing.T) {
	cut := func(*http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader("item\n1"), errReader{io.ErrUnexpectedEOF})
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/csv"}}, Body: io.NopCloser(body)}, nil
	}
	withJobs(t, nil, []jobsReply{cut}, func(t *testing.T, gateway *client.Gateway, _ *jobsGateway) {
		require.ErrorIs(t, gateway.WriteJobCSV(t.Context(), io.Discard, "1", client.JobItems{}), io.ErrUnexpectedEOF)
	})
}

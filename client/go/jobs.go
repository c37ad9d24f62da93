package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"dicom-qr-gateway/gen/goclient"
)

// WithIdempotencyKey names what [Gateway.SubmitJob] or [Gateway.SubmitJobCSV] files, so that the gateway files it once however often it is
// sent, also by another process. A key has 1 to 128 visible ASCII characters. Without this option each call has a random key.
func WithIdempotencyKey(key string) CallOption { return setHeader(idempotencyKey, key) }

const idempotencyKey = "Idempotency-Key"

// SubmitJob files a job, which the gateway does in the background. It returns as soon as the job is filed; [Gateway.FollowJob] reports its
// progress. With [WithRetry], it is also sent again if the connection failed: the gateway files it once.
func (g *Gateway) SubmitJob(ctx context.Context, request JobRequest, options ...CallOption) (*Job, error) {
	options = withRandomKey(options)
	return g.submit(ctx, func() (*http.Response, error) { return g.client.FileJob(ctx, nil, request, options...) })
}

// SubmitJobCSV is [Gateway.SubmitJob] with the items as a CSV file: a line with the names of the columns, then a line for each item. If the
// gateway refuses it, the Errors of the [*ProblemError] have the lines and columns of all faults.
func (g *Gateway) SubmitJobCSV(ctx context.Context, parameters JobParameters, csv []byte, options ...CallOption) (*Job, error) {
	options = withRandomKey(options)
	return g.submit(ctx, func() (*http.Response, error) {
		return g.client.FileJobWithBody(ctx, &parameters, "text/csv", bytes.NewReader(csv), options...)
	})
}

func withRandomKey(options []CallOption) []CallOption {
	key := rand.Text()
	return append(slices.Clip(options), func(_ context.Context, r *http.Request) error {
		if r.Header.Get(idempotencyKey) == "" {
			r.Header.Set(idempotencyKey, key)
		}
		return nil
	})
}

// submit repeats attempt, within the limits of g.retry, also if the connection failed. Its requests have an idempotency key.
func (g *Gateway) submit(ctx context.Context, attempt func() (*http.Response, error)) (*Job, error) {
	var waited time.Duration
	for n := 1; ; n++ {
		job, err := read[Job](g.retry.send(ctx, attempt)) //nolint:bodyclose // read closes it
		wait := time.Second << min(n-1, maxDoublings)
		if err == nil || isReply(err) || ctx.Err() != nil || n >= g.retry.Attempts || wait > g.retry.MaxWait-waited {
			return job, err
		}
		waited += wait
		if g.retry.Notify != nil {
			g.retry.Notify(err, wait)
		}
		if cause := sleep(ctx, wait); cause != nil {
			return nil, fmt.Errorf("waiting for the next attempt: %w (%w)", cause, err)
		}
	}
}

// isReply reports whether err is an answer, in contrast to a connection that failed.
func isReply(err error) bool {
	_, isProblem := errors.AsType[*ProblemError](err)
	_, isOther := errors.AsType[*ReplyError](err)
	return isProblem || isOther
}

// Jobs lists the jobs of the caller, newest first, from the given offset. A limit of 0 is that of the gateway.
func (g *Gateway) Jobs(ctx context.Context, offset, limit int, options ...CallOption) (*JobList, error) {
	parameters := &goclient.ListJobsParams{Offset: orNil(offset), Limit: orNil(limit)}
	return read[JobList](g.retry.send(ctx, func() (*http.Response, error) { //nolint:bodyclose // read closes it
		return g.client.ListJobs(ctx, parameters, options...)
	}))
}

// JobItems selects items of a job. The zero value selects the first ones of all.
type JobItems struct {
	State  JobItemState // "": items in any state
	Offset int
	Limit  int // 0: the limit of the gateway
}

// Job returns a job with a page of its items.
func (g *Gateway) Job(ctx context.Context, job string, items JobItems, options ...CallOption) (*JobPage, error) {
	return read[JobPage](g.retry.send(ctx, func() (*http.Response, error) { //nolint:bodyclose // read closes it
		return g.client.GetJob(ctx, job, items.parameters(), options...)
	}))
}

func (i JobItems) parameters() *goclient.GetJobParams {
	return &goclient.GetJobParams{Offset: orNil(i.Offset), Limit: orNil(i.Limit), State: orNil(i.State)}
}

// WriteJobCSV writes items of a job to out as CSV, with their outcomes. A zero items.Limit is no limit. After an error, out may have a part of
// them.
func (g *Gateway) WriteJobCSV(ctx context.Context, out io.Writer, job string, items JobItems, options ...CallOption) error {
	options = append(slices.Clip(options), setHeader("Accept", "text/csv"))
	response, err := g.retry.send(ctx, func() (*http.Response, error) {
		return g.client.GetJob(ctx, job, items.parameters(), options...)
	})
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK || mediaType(response) != "text/csv" {
		return failure(response)
	}
	if _, err := io.Copy(out, response.Body); err != nil {
		return fmt.Errorf("read the items of the job: %w", err)
	}
	return nil
}

// CancelJob ends a job. What was moved by then stays moved.
func (g *Gateway) CancelJob(ctx context.Context, job string, options ...CallOption) (*Job, error) {
	return read[Job](g.retry.send(ctx, func() (*http.Response, error) { //nolint:bodyclose // read closes it
		return g.client.CancelJob(ctx, job, nil, options...)
	}))
}

// RetryJob does again what failed in a finished job.
func (g *Gateway) RetryJob(ctx context.Context, job string, options ...CallOption) (*Job, error) {
	return read[Job](g.retry.send(ctx, func() (*http.Response, error) { //nolint:bodyclose // read closes it
		return g.client.RetryJob(ctx, job, nil, options...)
	}))
}

// DeleteJob deletes a finished job.
func (g *Gateway) DeleteJob(ctx context.Context, job string, options ...CallOption) error {
	response, err := g.retry.send(ctx, func() (*http.Response, error) {
		return g.client.DeleteJob(ctx, job, nil, options...)
	})
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusNoContent {
		return failure(response)
	}
	return nil
}

// orNil returns nil for a zero value, which leaves a parameter out.
func orNil[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}

package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Retry repeats calls that were refused with the status 429 or 503, as a busy gateway or a proxy in front of it refuses them.
// It repeats nothing else: no other status, no failed connection, and no stream of [Gateway.Follow] that has begun.
//
// Each wait takes as long as Retry-After asks for, which is a number of seconds or a date. Without that header the first wait
// takes a second, and each further one twice as long as the one before.
type Retry struct {
	// Attempts is how often a call sends its request, at least 1.
	Attempts int

	// MaxWait limits the sum of the waits of a call. A call whose next wait would exceed it returns its last refusal at
	// once, because an earlier attempt would be refused too.
	MaxWait time.Duration

	// Notify, if not nil, is called before each wait. The error is a [*ProblemError], or a [*ReplyError] if a proxy refused
	// the request.
	Notify func(refusal error, wait time.Duration)
}

// WithRetry repeats refused calls. Without this option each call sends one request.
func WithRetry(retry Retry) Option {
	return func(s *settings) error {
		if retry.Attempts < 1 || retry.MaxWait <= 0 {
			return errors.New("a Retry needs at least one attempt and a positive MaxWait")
		}
		s.retry = retry
		return nil
	}
}

// send calls attempt until the response is no refusal or r is exhausted. It returns the last response.
func (r *Retry) send(ctx context.Context, attempt func() (*http.Response, error)) (*http.Response, error) {
	var waited time.Duration
	for n := 1; ; n++ {
		response, err := attempt()
		if err != nil || !refused(response.StatusCode) || n >= r.Attempts {
			return response, err
		}
		wait, asked := retryAfter(response.Header)
		if !asked {
			wait = time.Second << min(n-1, maxDoublings)
		}
		if wait > r.MaxWait-waited {
			return response, nil
		}
		waited += wait
		refusal := failure(response)
		_ = response.Body.Close()
		if r.Notify != nil {
			r.Notify(refusal, wait)
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, fmt.Errorf("waiting for the next attempt: %w (%w)", err, refusal)
		}
	}
}

// maxDoublings keeps waits without Retry-After below about a day.
const maxDoublings = 16

func refused(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxRetryAfter caps what Retry-After can ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter returns the wait that the header Retry-After asks for (RFC 9110 section 10.2.3), and whether there is a valid one.
// A date in the past asks for no wait.
func retryAfter(header http.Header) (wait time.Duration, ok bool) {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(time.Until(date), 0), maxRetryAfter), true
}

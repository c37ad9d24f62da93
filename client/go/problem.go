package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ProblemError is a problem document of the gateway: why the request was refused or the operation failed. It contains
// neither submitted values nor patient data.
type ProblemError struct {
	Problem

	// RetryAfter is how long to wait before the next attempt, at most a day. It is 0 except for the statuses 429 and 503.
	RetryAfter time.Duration
}

func (e *ProblemError) Error() string { return fmt.Sprintf("%s (%s)", e.Detail, e.Code) }

// ReplyError reports a reply that a gateway does not send. It comes from a proxy in front of the gateway or from another
// server at that address.
type ReplyError struct {
	Status      int
	ContentType string

	// Err is the fault in the body. It is nil if the status or the content type is already wrong.
	Err error
}

func (e *ReplyError) Error() string {
	text := fmt.Sprintf("the reply is not from the gateway: status %d, content type %q", e.Status, e.ContentType)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *ReplyError) Unwrap() error { return e.Err }

func newReplyError(response *http.Response, err error) *ReplyError {
	return &ReplyError{Status: response.StatusCode, ContentType: response.Header.Get("Content-Type"), Err: err}
}

const problemJSON = "application/problem+json"

// maxProblem limits the bytes read of a problem document. Those of the gateway are far smaller.
const maxProblem = 1 << 20

// failure returns the error that the response stands for.
func failure(response *http.Response) error {
	if mediaType(response) == problemJSON {
		problem := &ProblemError{}
		err := json.NewDecoder(io.LimitReader(response.Body, maxProblem)).Decode(&problem.Problem)
		if err == nil && problem.Code != "" {
			problem.RetryAfter, _ = retryAfter(response.Header)
			return problem
		}
	}
	return newReplyError(response, nil)
}

package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// ProblemError is a problem document of the gateway: why an operation did not come about. It holds neither submitted
// values nor patient data.
type ProblemError struct {
	Problem

	// RetryAfter is the time after which another attempt makes sense, of a 429 and a 503; otherwise it is 0.
	RetryAfter time.Duration
}

func (e *ProblemError) Error() string { return fmt.Sprintf("%s (%s)", e.Detail, e.Code) }

// ReplyError is an answer that a gateway does not give: of a proxy before it, or of something else at that address.
type ReplyError struct {
	Status      int
	ContentType string

	// Err is what is wrong inside, where status and content type are as they should be; otherwise it is nil.
	Err error
}

func (e *ReplyError) Error() string {
	text := fmt.Sprintf("not an answer of the gateway: status %d, content type %q", e.Status, e.ContentType)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *ReplyError) Unwrap() error { return e.Err }

func newReplyError(response *http.Response, err error) *ReplyError {
	return &ReplyError{Status: response.StatusCode, ContentType: response.Header.Get("Content-Type"), Err: err}
}

// maxProblem is far more than any problem document.
const maxProblem = 1 << 20

// failure is the error that an answer stands for.
func failure(response *http.Response) error {
	if mediaType(response) == "application/problem+json" {
		problem := &ProblemError{}
		err := json.NewDecoder(io.LimitReader(response.Body, maxProblem)).Decode(&problem.Problem)
		if err == nil && problem.Code != "" {
			if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
				problem.RetryAfter = time.Duration(seconds) * time.Second
			}
			return problem
		}
	}
	return newReplyError(response, nil)
}

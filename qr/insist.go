package qr

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// An association that the peer rejects for now (A-ASSOCIATE-RJ with result 2, rejected-transient) is tried again: maxRetries
// times, after firstBackoff and then twice as long each, less a random part of up to a half, so that callers who were
// rejected together do not come back together. That is 1.75 s in all at most, which a caller waits gladly for an answer; a
// PACS that is full for longer is told to the caller.
const (
	maxRetries   = 3
	firstBackoff = 250 * time.Millisecond
)

// insist tries until the peer does not reject for now. The place is kept meanwhile: whoever waits for it would meet the
// same rejection, and the one who came first shall stay first.
func (s *session) insist(
	ctx context.Context, try func() (*dicomnet.Association, error),
) (assoc *dicomnet.Association, err error) {
	for retry := range maxRetries + 1 {
		assoc, err = try()
		reject, rejected := errors.AsType[*dicomnet.RejectError](err)
		if !rejected || !reject.Transient() || retry == maxRetries || !pause(ctx, backoff(retry)) {
			break
		}
	}
	return assoc, err
}

func backoff(retry int) time.Duration {
	longest := firstBackoff << retry
	return longest - rand.N(longest/2) //nolint:gosec // nobody gains by guessing it
}

// pause is false at once where ctx would not last so long, and as soon as it is done.
func pause(ctx context.Context, d time.Duration) bool {
	if until, ok := ctx.Deadline(); ok && time.Until(until) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

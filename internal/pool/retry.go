package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// An association that the peer rejects for now (A-ASSOCIATE-RJ with result 2, rejected-transient) is tried again: maxRetries
// times, after firstBackoff and then after twice the previous wait, each wait shortened at random by up to half, so that
// operations that were rejected together do not return together. All waits together take at most 1.75 s, which is short
// for an answer; a PACS that stays full for longer is reported to the caller.
const (
	maxRetries   = 3
	firstBackoff = 250 * time.Millisecond
)

// retry calls try until the peer does not reject for now. The slot is held meanwhile: an operation that waits for it would
// meet the same rejection, and the order of operations stays.
func retry(ctx context.Context, try func() (*dicomnet.Association, error)) (assoc *dicomnet.Association, err error) {
	for n := range maxRetries + 1 {
		assoc, err = try()
		reject, rejected := errors.AsType[*dicomnet.RejectError](err)
		if !rejected || !reject.Transient() || n == maxRetries || !sleep(ctx, backoff(n)) {
			break
		}
	}
	return assoc, err
}

func backoff(n int) time.Duration {
	longest := firstBackoff << n
	return longest - rand.N(longest/2) //nolint:gosec // nothing depends on it being secret
}

// sleep returns false as soon as ctx is done, and at once if the deadline of ctx is nearer than d.
func sleep(ctx context.Context, d time.Duration) bool {
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

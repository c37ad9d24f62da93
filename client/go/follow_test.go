package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/client/go"
)

func TestFollowingAJobEndsWithItsLastEvent(t *testing.T) {
	body := jobEvent("41", "job", filedJob) + ": alive\n\n" + jobEvent("42", "waiting", movedItem) + jobEvent("43", "later", "{}") +
		jobEvent("44", "item", movedItem) + jobEvent("44", "finished", finishedJob) + jobEvent("45", "item", movedItem)
	withJobs(t, nil, []jobsReply{eventsOf(body)}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		events, err := followed(t.Context(), gateway)
		require.NoError(t, err)
		assert.Equal(t, []string{"41 job queued", "42 waiting 1", "44 item 1", "44 finished finished"}, events)
		assert.Equal(t, []string{"0s GET /jobs/0192f3c4/events text/event-stream"}, g.requests)
	})
}

func TestFollowingAJobGoesOnAfterTheLastEventWhenTheConnectionFails(t *testing.T) {
	withJobs(t, nil, []jobsReply{
		eventsOf(jobEvent("41", "job", filedJob) + jobEvent("42", "item", movedItem)),
		lost,
		problemOf(http.StatusServiceUnavailable, "jobs_unavailable", "Retry-After", "7"),
		replied(http.StatusBadGateway, "text/html", "<h1>Bad gateway</h1>"),
		eventsOf(": alive\n\n"),
		eventsOf(jobEvent("43", "item", movedItem) + jobEvent("43", "finished", finishedJob)),
	}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		events, err := followed(t.Context(), gateway, client.WithLastEventID("0"))
		require.NoError(t, err)
		assert.Equal(t, []string{"41 job queued", "42 item 1", "43 item 1", "43 finished finished"}, events)
		const asked = " GET /jobs/0192f3c4/events text/event-stream "
		assert.Equal(t, []string{"0s" + asked + "0", "1s" + asked + "42", "3s" + asked + "42", "10s" + asked + "42", "18s" + asked + "42", "19s" + asked + "42"}, g.requests)
	})
}

// A network that loses a connection without a word ends no read. The gateway sends at least a comment every 15 s.
func TestFollowingAJobLeavesAConnectionThatIsSilent(t *testing.T) {
	withJobs(t, nil, []jobsReply{
		silent(jobEvent("41", "job", filedJob)),
		eventsOf(jobEvent("41", "finished", finishedJob)),
	}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		events, err := followed(t.Context(), gateway)
		require.NoError(t, err)
		assert.Equal(t, []string{"41 job queued", "41 finished finished"}, events)
		assert.Equal(t, []string{"0s GET /jobs/0192f3c4/events text/event-stream", "1m1s GET /jobs/0192f3c4/events text/event-stream 41"}, g.requests)
	})
}

func TestFollowingAJobWaitsForACallerThatTakesItsTime(t *testing.T) {
	withJobs(t, nil, []jobsReply{eventsOf(jobEvent("41", "job", filedJob) + jobEvent("41", "finished", finishedJob))},
		func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
			for _, err := range gateway.FollowJob(t.Context(), "0192f3c4") {
				require.NoError(t, err)
				time.Sleep(time.Hour)
			}
			assert.Len(t, g.requests, 1)
		})
}

func TestFollowingAJobBeginsWithItsStateIfTheNextEventIsGone(t *testing.T) {
	withJobs(t, nil, []jobsReply{
		problemOf(http.StatusGone, "events_gone"),
		eventsOf(jobEvent("99", "job", filedJob) + jobEvent("99", "finished", finishedJob)),
	}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		events, err := followed(t.Context(), gateway, client.WithLastEventID("7"))
		require.NoError(t, err)
		assert.Equal(t, []string{"99 job queued", "99 finished finished"}, events)
		assert.Equal(t, []string{"0s GET /jobs/0192f3c4/events text/event-stream 7", "0s GET /jobs/0192f3c4/events text/event-stream"}, g.requests)
	})
}

func TestFollowingAJobGivesUpAfterAboutTenMinutes(t *testing.T) {
	withJobs(t, nil, []jobsReply{lost}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		_, err := followed(t.Context(), gateway)
		require.ErrorIs(t, err, client.ErrCutOff)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Equal(t, 601*time.Second, time.Since(g.start))
	})
}

func TestFollowingAJobEndsAtOnceWithARefusalOrAForeignEvent(t *testing.T) {
	for _, reply := range []jobsReply{
		problemOf(http.StatusNotFound, "job_not_found"),
		problemOf(http.StatusUnauthorized, "unauthorized"), //nolint:misspell // the code
		problemOf(http.StatusGone, "events_gone"),
		eventsOf(jobEvent("1", "error", `{"status":500,"code":"internal_error","detail":"It failed."}`)),
		eventsOf(jobEvent("1", "job", "{}")),
		eventsOf(jobEvent("1", "item", "{}")),
		eventsOf(jobEvent("1", "item", "{")),
	} {
		withJobs(t, nil, []jobsReply{reply}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
			_, err := followed(t.Context(), gateway)
			_, isProblem := errors.AsType[*client.ProblemError](err)
			_, isReply := errors.AsType[*client.ReplyError](err)
			assert.True(t, isProblem || isReply, "%v", err)
			assert.Zero(t, time.Since(g.start))
		})
	}
}

func TestFollowingAJobEndsWithItsContextAndWithItsLoop(t *testing.T) {
	withJobs(t, nil, []jobsReply{silent(jobEvent("41", "job", filedJob))}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := followed(ctx, gateway)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		for range gateway.FollowJob(t.Context(), "0192f3c4") {
			break
		}
		assert.Len(t, g.requests, 2)
	})
	withJobs(t, nil, []jobsReply{lost}, func(t *testing.T, gateway *client.Gateway, g *jobsGateway) { // while it waits
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := followed(ctx, gateway)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, g.requests, 2)
	})
}

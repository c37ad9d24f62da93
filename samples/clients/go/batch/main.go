// Command batch moves the studies of a CSV file and writes a CSV file with the result. README.md in the folder samples/clients describes
// the command line and the exit statuses.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"time"

	"github.com/schollz/progressbar/v3"

	"dicom-qr-gateway/client/go"
)

const usage = `usage: batch submit http[s]://GATEWAY PACS DESTINATION LIST RESULT
       batch follow http[s]://GATEWAY JOB RESULT
PACS is the name of a PACS that the gateway knows, LIST a CSV file, RESULT the CSV file to write.
`

var errUsage = errors.New("the command line is wrong")

// notAllMovedError says how a job ended that did not move everything.
type notAllMovedError struct{ counts client.JobCounts }

func (e *notAllMovedError) Error() string {
	c := e.counts
	return fmt.Sprintf("not everything was moved: of %d items %d were moved, %d in part, %d failed, %d matched no study, %d were cancelled",
		c.Items, c.Moved, c.Partial, c.Failed, c.NoStudyMatched, c.Cancelled)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(report(os.Stderr, err))
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	submit := len(args) == 6 && args[0] == "submit"
	if !submit && (len(args) != 4 || args[0] != "follow") {
		return errUsage
	}
	options := []client.Option{client.WithRetry(client.Retry{
		Attempts: 3, MaxWait: time.Minute,
		Notify: func(refusal error, wait time.Duration) {
			_, _ = fmt.Fprintf(errs, "%v; retrying in %v\n", refusal, wait)
		},
	})}
	if key := os.Getenv("GATEWAY_API_KEY"); key != "" {
		options = append(options, client.WithAPIKey(key))
	}
	gateway, err := client.NewGateway(args[1], options...)
	if err != nil {
		return errUsage
	}
	job, result := args[2], args[len(args)-1]
	if submit {
		list, err := os.ReadFile(args[4]) //nolint:gosec // The person who runs the program names the file.
		if err != nil {
			return err
		}
		parameters := client.JobParameters{PACS: args[2], CMoveAETitle: &args[3]}
		filed, err := gateway.SubmitJobCSV(ctx, parameters, list)
		if err != nil {
			return err
		}
		job = filed.Job
		_, _ = fmt.Fprintln(out, "job", job)
	}
	finished, err := follow(ctx, gateway, job, out)
	if err != nil {
		return err
	}
	if err := save(ctx, gateway, job, result); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%d of %d items moved, see %s\n", finished.Counts.Moved, finished.Counts.Items, result)
	if finished.Counts.Moved < finished.Counts.Items {
		return &notAllMovedError{finished.Counts}
	}
	return nil
}

// follow shows the progress of the job, and returns it when it has finished.
func follow(ctx context.Context, gateway *client.Gateway, job string, out io.Writer) (*client.Job, error) {
	bar := progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(out), progressbar.OptionSetWidth(30), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetDescription("items"))
	defer func() {
		_ = bar.Exit()
		_, _ = fmt.Fprintln(out)
	}()
	for event, err := range gateway.FollowJob(ctx, job) {
		if err != nil {
			return nil, err
		}
		if event.Job == nil {
			continue // an item: the counters of the job follow within a second
		}
		c := event.Job.Counts
		bar.ChangeMax(c.Items)
		_ = bar.Set(c.Items - c.Queued - c.Running - c.Waiting)
		if event.Kind == client.JobFinished {
			return event.Job, nil
		}
	}
	return nil, client.ErrCutOff
}

// save writes the result. It leaves no file in part.
func save(ctx context.Context, gateway *client.Gateway, job, name string) (err error) {
	file, err := os.Create(name) //nolint:gosec // The person who runs the program names the file.
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(name) //nolint:gosec // As above.
		}
	}()
	return gateway.WriteJobCSV(ctx, file, job, client.JobItems{})
}

// report prints err and returns its exit status.
func report(out io.Writer, err error) (status int) {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		_, _ = fmt.Fprint(out, usage)
		return 2
	case errors.Is(err, context.Canceled):
		_, _ = fmt.Fprintln(out, "stopped; a job that is filed goes on")
		return 130
	}
	_, _ = fmt.Fprintln(out, err)
	if _, ok := errors.AsType[*notAllMovedError](err); ok {
		return 3
	}
	if problem, ok := errors.AsType[*client.ProblemError](err); ok {
		explain(out, problem)
		return statusOf(problem)
	}
	if _, isURL := errors.AsType[*url.Error](err); isURL || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, client.ErrCutOff) {
		return 8 // the connection failed
	}
	return 1
}

// explain prints each fault of a list with its line and column.
func explain(out io.Writer, problem *client.ProblemError) {
	for _, fault := range problem.Errors {
		place := fault.Pointer
		if fault.Line != nil {
			place = fmt.Sprintf("line %d", *fault.Line)
		}
		if fault.Column != nil {
			place += fmt.Sprintf(", column %d", *fault.Column)
		}
		_, _ = fmt.Fprintf(out, "  %s: %s\n", place, fault.Detail)
	}
	if problem.Hint != nil {
		_, _ = fmt.Fprintf(out, "  %s\n", *problem.Hint)
	}
}

func statusOf(p *client.ProblemError) int {
	switch {
	case p.Code == client.ProblemCodeJobNotFound:
		return 4
	case p.Status == 400 || p.Status == 401 || p.Status == 403 || p.Status == 413 || p.Status == 501:
		return 5
	case p.Status == 429 || p.Status == 503:
		return 7
	}
	return 1
}

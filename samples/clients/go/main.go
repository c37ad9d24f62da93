// Command go finds the studies of a patient, or moves them. README.md in the parent folder describes the command line and
// the exit statuses.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"dicom-qr-gateway/client/go"
)

const usage = `usage: find     http[s]://GATEWAY PACS PATIENT
       retrieve http[s]://GATEWAY PACS PATIENT DESTINATION [STUDY...]
PACS is the name of a PACS that the gateway knows, or AETITLE@HOST:PORT.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(report(os.Stderr, err))
}

var (
	errUsage   = errors.New("the command line is wrong")
	errPartial = errors.New("not everything was moved")
)

// program is one run of the command.
type program struct {
	gateway     *client.Gateway
	out, errors io.Writer
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	if len(args) < 4 || (args[0] == "find") != (len(args) == 4) || args[0] != "find" && args[0] != "retrieve" {
		return errUsage
	}
	query := client.QueryRequest{PatientID: args[3]}
	if !choosePACS(&query, args[2]) {
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
	p := program{gateway: gateway, out: out, errors: errs}
	if args[0] == "find" {
		return p.find(ctx, query)
	}
	request := client.RetrieveRequest{
		PACS: query.PACS, PACSIP: query.PACSIP, PACSPort: query.PACSPort, PACSAETitle: query.PACSAETitle, CFindAETitle: query.CFindAETitle,
		PatientID: args[3], CMoveAETitle: args[4],
	}
	if studies := args[5:]; len(studies) > 0 { // an empty list would be refused
		request.StudyInstanceUIDs = studies
	}
	return p.retrieveTwice(ctx, request)
}

// choosePACS fills in the name of the PACS, or its address. It returns false if the argument is neither.
func choosePACS(query *client.QueryRequest, pacs string) bool {
	if regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`).MatchString(pacs) {
		query.PACS = pacs
		return true
	}
	parts := regexp.MustCompile(`^(.+)@(.+):(\d+)$`).FindStringSubmatch(pacs)
	if parts == nil {
		return false
	}
	port, err := strconv.Atoi(parts[3])
	query.PACSAETitle, query.PACSIP, query.PACSPort = parts[1], parts[2], port
	if query.CFindAETitle = os.Getenv("CALLING_AE_TITLE"); query.CFindAETitle == "" {
		query.CFindAETitle = "GATEWAY"
	}
	return err == nil
}

func (p *program) find(ctx context.Context, request client.QueryRequest) error {
	found, err := p.gateway.Query(ctx, request)
	if err != nil {
		return err
	}
	p.warn(found.Warnings)
	for i := range found.StudyDetails {
		_, _ = fmt.Fprintf(p.out, "%s  %s\n", found.StudyDetails[i].StudyInstanceUID, describe(&found.StudyDetails[i]))
	}
	return nil
}

func describe(s *client.Study) string {
	return strings.Join([]string{s.StudyDate, strings.Join(s.ModalitiesInStudy, ","), s.StudyDescription}, " ")
}

func (p *program) warn(warnings []client.Warning) {
	for _, w := range warnings {
		_, _ = fmt.Fprintf(p.errors, "warning: %s (%s)\n", w.Message, w.Code)
	}
}

// retrieveTwice retries the studies that did not arrive completely, once.
func (p *program) retrieveTwice(ctx context.Context, request client.RetrieveRequest) error {
	for attempt := 1; ; attempt++ {
		retry, err := p.retrieve(ctx, request)
		if err != nil || len(retry) == 0 {
			return err
		}
		if attempt == 2 {
			return errPartial
		}
		_, _ = fmt.Fprintf(p.errors, "studies to retry: %d\n", len(retry))
		request.StudyInstanceUIDs = retry
	}
}

// retrieve prints the progress of each study and returns the studies to retry.
func (p *program) retrieve(ctx context.Context, request client.RetrieveRequest) (retry []string, err error) {
	studies := map[string]string{}
	var bar *progressbar.ProgressBar
	for event, err := range p.gateway.Follow(ctx, request) {
		if err != nil {
			return nil, err
		}
		switch e := event.(type) {
		case *client.MatchedEvent:
			p.warn(e.Warnings)
			for i := range e.StudyDetails {
				studies[e.StudyDetails[i].StudyInstanceUID] = describe(&e.StudyDetails[i])
			}
		case *client.ProgressEvent:
			done := value(e.Completed) + value(e.Failed) + value(e.Warning)
			if bar == nil {
				bar = p.bar(studies[e.StudyInstanceUID], done, e.Remaining)
			}
			_ = bar.Set(done)
		case *client.RetrievedEvent:
			if bar != nil {
				_ = bar.Clear()
				bar = nil
			}
			_, _ = fmt.Fprintf(p.out, "%s: %s\n", studies[e.StudyInstanceUID], e.Status)
			if e.Status != client.RetrievalStatusOk {
				retry = append(retry, e.StudyInstanceUID)
			}
		case *client.ResultEvent:
			_, _ = fmt.Fprintln(p.out, e.Message)
		}
	}
	return retry, nil
}

// bar returns a progress bar. It is a spinner if the PACS does not count the remaining instances.
func (p *program) bar(description string, done int, remaining *int) *progressbar.ProgressBar {
	all := -1
	if remaining != nil {
		all = done + *remaining
	}
	return progressbar.NewOptions(all,
		progressbar.OptionSetWriter(p.out), progressbar.OptionSetWidth(30), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetDescription(description))
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// report prints err and returns its exit status.
func report(out io.Writer, err error) (status int) {
	problem, isProblem := errors.AsType[*client.ProblemError](err)
	_, isReply := errors.AsType[*client.ReplyError](err)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		_, _ = fmt.Fprint(out, usage)
		return 2
	case errors.Is(err, context.Canceled):
		_, _ = fmt.Fprintln(out, "stopped")
		return 130
	case isProblem:
		_, _ = fmt.Fprintln(out, err)
		explain(out, problem)
		return statusOf(problem)
	}
	_, _ = fmt.Fprintln(out, err)
	switch {
	case errors.Is(err, errPartial):
		return 3
	case isReply:
		return 1
	}
	return 8 // the stream was cut off, or the connection failed
}

func explain(out io.Writer, p *client.ProblemError) {
	for _, fault := range p.Errors {
		_, _ = fmt.Fprintf(out, "  %s %s\n", fault.Pointer, fault.Detail)
	}
	for _, w := range p.Warnings {
		_, _ = fmt.Fprintf(out, "  %s (%s)\n", w.Message, w.Code)
	}
	if d := p.DICOM; d != nil {
		parts := []string{string(d.Step)}
		for _, part := range []*string{d.Status, d.Meaning, d.Result, d.Source, d.Reason} {
			if part != nil {
				parts = append(parts, *part)
			}
		}
		_, _ = fmt.Fprintf(out, "  %s\n", strings.Join(parts, " "))
	}
	if p.Hint != nil {
		_, _ = fmt.Fprintf(out, "  %s\n", *p.Hint)
	}
	if p.CorrelationID != nil {
		_, _ = fmt.Fprintf(out, "  correlation ID %s\n", *p.CorrelationID)
	}
}

func statusOf(p *client.ProblemError) int {
	if p.Code == client.ProblemCodeNoStudyMatched {
		return 4 // another 404 is a wrong path
	}
	switch p.Status {
	case 400, 401, 403:
		return 5
	case 429, 503:
		return 7
	case 502:
		return 6
	}
	return 1
}

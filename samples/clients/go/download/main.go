// Command download retrieves a study and writes its instances to a folder. README.md in the folder samples/clients describes the
// command line and the exit statuses.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"

	"dicom-qr-gateway/client/go"
)

const usage = `usage: download http[s]://GATEWAY PACS STUDY FOLDER
PACS is the name of a PACS that the gateway knows, STUDY a Study Instance UID, FOLDER new or empty.
`

var errUsage = errors.New("the command line is wrong")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(report(os.Stderr, err))
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	if len(args) != 4 || args[1] == "" || args[2] == "" || args[3] == "" {
		return errUsage
	}
	pacs, study, folder := args[1], args[2], args[3]
	options := []client.Option{client.WithRetry(client.Retry{
		Attempts: 3, MaxWait: time.Minute,
		Notify: func(refusal error, wait time.Duration) {
			_, _ = fmt.Fprintf(errs, "%v; retrying in %v\n", refusal, wait)
		},
	})}
	if key := os.Getenv("GATEWAY_API_KEY"); key != "" {
		options = append(options, client.WithAPIKey(key))
	}
	gateway, err := client.NewGateway(args[0], options...)
	if err != nil {
		return errUsage
	}
	if err := prepare(folder); err != nil {
		return err
	}
	expected, err := count(ctx, gateway, pacs, study)
	if err != nil {
		return err
	}
	bar := progressbar.NewOptions(expected,
		progressbar.OptionSetWriter(out), progressbar.OptionSetWidth(30), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetDescription("instances"))
	received := 0
	for instance, err := range gateway.RetrieveInstances(ctx, pacs, client.Target{StudyInstanceUID: study}, client.WithLenientHandling()) {
		if err != nil {
			_ = bar.Exit()
			return err
		}
		received++
		// A number, because a name from another system is not safe as a name of a file.
		if err := save(filepath.Join(folder, fmt.Sprintf("%06d.dcm", received)), instance); err != nil {
			_ = bar.Exit()
			return err
		}
		_ = bar.Add(1)
	}
	_ = bar.Exit()
	_, _ = fmt.Fprintf(out, "\n%d instances in %s\n", received, folder)
	return nil
}

// prepare makes the folder. It refuses one that has files, because they would mix with those of the study.
func prepare(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil { //nolint:gosec // The person who runs the program names the folder.
		return err
	}
	files, err := os.ReadDir(folder)
	if err == nil && len(files) > 0 {
		err = fmt.Errorf("%s is not empty", folder)
	}
	return err
}

// count returns how many instances the PACS says the study has; -1 if it does not say it.
func count(ctx context.Context, gateway *client.Gateway, pacs, study string) (int, error) {
	found, err := gateway.Search(ctx, pacs, "studies", url.Values{"StudyInstanceUID": {study}})
	if err != nil || len(found) == 0 || len(found[0]["00201208"].Value) == 0 {
		return -1, err
	}
	if n, ok := found[0]["00201208"].Value[0].(float64); ok {
		return int(n), nil
	}
	return -1, nil
}

// save writes the file. It removes what it has written if the rest does not arrive.
func save(name string, content io.Reader) (err error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // In that folder; the name is made here.
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(name) //nolint:gosec // As above.
		}
	}()
	_, err = io.Copy(file, content)
	return err
}

// report prints err and returns its exit status.
func report(out io.Writer, err error) (status int) {
	if err == nil {
		return 0
	}
	if errors.Is(err, errUsage) {
		_, _ = fmt.Fprint(out, usage)
		return 2
	}
	if errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintln(out, "stopped")
		return 130
	}
	_, _ = fmt.Fprintln(out, err)
	if incomplete, ok := errors.AsType[*client.IncompleteError](err); ok {
		for _, uid := range incomplete.MissingSOPInstanceUIDs {
			_, _ = fmt.Fprintln(out, "missing:", uid)
		}
		return 3
	}
	if problem, ok := errors.AsType[*client.ProblemError](err); ok {
		for _, fault := range problem.Errors {
			_, _ = fmt.Fprintf(out, "  %s %s\n", fault.Pointer, fault.Detail)
		}
		return statusOf(problem)
	}
	if _, isURL := errors.AsType[*url.Error](err); isURL || errors.Is(err, io.ErrUnexpectedEOF) {
		return 8 // the connection failed
	}
	return 1
}

func statusOf(p *client.ProblemError) int {
	switch {
	case p.Code == client.ProblemCodeNotFound:
		return 4
	case p.Status == 400 || p.Status == 401 || p.Status == 403 || p.Code == client.ProblemCodePACSUnknown:
		return 5
	case p.Status == 502 || p.Status == 504:
		return 6
	case p.Status == 429 || p.Status == 503:
		return 7
	}
	return 1
}

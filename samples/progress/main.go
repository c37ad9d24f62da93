// Command progress has the gateway move a patient's studies and shows in the
// terminal how far each of them is. Ctrl-C stops the move at the PACS.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"

	"github.com/schollz/progressbar/v3"

	"dicom-qr-gateway/gen/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "progress:", err)
		os.Exit(1)
	}
}

// run fails unless everything was moved.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("progress", flag.ContinueOnError)
	gateway := flags.String("gateway", "http://localhost:8888", "base URL")
	host := flags.String("pacs", "127.0.0.1", "host of the PACS")
	port := flags.Int("port", 4242, "port of the PACS")
	called := flags.String("called", "ORTHANCA", "AE title of the PACS")
	calling := flags.String("calling", "GATEWAY", "our AE title")
	patient := flags.String("patient", "1112223333", "Patient ID")
	destination := flags.String("destination", "ORTHANCB", "AE title to move to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := client.NewClient(*gateway)
	if err != nil {
		return err
	}
	response, err := c.Retrieve(ctx, nil, client.RetrieveRequest{
		PACSIP: *host, PACSPort: *port, PACSAETitle: *called, CFindAETitle: *calling,
		PatientID: *patient, CMoveAETitle: *destination,
	}, func(_ context.Context, r *http.Request) error {
		r.Header.Set("Accept", "text/event-stream")
		return nil
	})
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return problem(json.NewDecoder(response.Body))
	}
	return show(response.Body, out)
}

// show draws the stream; it ends without an error where everything was moved.
func show(stream io.Reader, out io.Writer) error {
	v := view{out: out, about: map[string]string{}}
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 64<<20) // a thousand studies are in one line
	name := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "data":
			if last, err := v.event(name, value); last || err != nil {
				return err
			}
		}
	}
	return errors.Join(errors.New("the stream broke off"), lines.Err())
}

type view struct {
	out   io.Writer
	about map[string]string // by Study Instance UID
	bar   *progressbar.ProgressBar
	study string // that the bar is of
}

func (v *view) event(name, data string) (last bool, err error) {
	decoder := json.NewDecoder(strings.NewReader(data))
	switch name {
	case "matched":
		var matched client.MatchedEvent
		if err := decoder.Decode(&matched); err != nil {
			return true, err
		}
		for i := range matched.StudyDetails {
			s := &matched.StudyDetails[i]
			v.about[s.StudyInstanceUID] = strings.TrimSpace(s.StudyDate + " " + s.StudyDescription)
		}
	case "progress":
		var p client.ProgressEvent
		if err := decoder.Decode(&p); err != nil {
			return true, err
		}
		return false, v.progress(&p)
	case "retrieved":
		var r client.Retrieval
		if err := decoder.Decode(&r); err != nil {
			return true, err
		}
		_, err := fmt.Fprintf(v.out, "\r%-24s %s%s\n", v.about[r.StudyInstanceUID], r.Status, strings.Repeat(" ", 50))
		return false, err
	case "result":
		var result client.ResultEvent
		if err := decoder.Decode(&result); err != nil {
			return true, err
		}
		if result.HTTPStatus != http.StatusOK {
			return true, errors.New(result.Message)
		}
		_, err := fmt.Fprintln(v.out, result.Message)
		return true, err
	case "error":
		return true, problem(decoder)
	}
	return false, nil
}

// progress moves the bar of the study. A PACS need not send counters: a spinner
// stands for a bar of unknown length.
func (v *view) progress(p *client.ProgressEvent) error {
	done := value(p.Completed) + value(p.Failed) + value(p.Warning)
	all := -1
	if p.Remaining != nil {
		all = done + *p.Remaining
	}
	if v.study != p.StudyInstanceUID {
		v.study = p.StudyInstanceUID
		v.bar = progressbar.NewOptions(all,
			progressbar.OptionSetWriter(v.out), progressbar.OptionSetWidth(30), progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionSetDescription(fmt.Sprintf("%-24s", v.about[p.StudyInstanceUID])))
	}
	return v.bar.Set(done)
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// problem makes an error of a problem document.
func problem(decoder *json.Decoder) error {
	var p client.Problem
	if err := decoder.Decode(&p); err != nil {
		return err
	}
	return fmt.Errorf("%s (%s)", p.Detail, p.Code)
}

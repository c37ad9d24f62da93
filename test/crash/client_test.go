//go:build crash

package crash

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

func sopInstanceUID(in *dicomtest.Instance) string { return in.Text(tag.SOPInstanceUID) }

// order is the body of POST /jobs.
type order struct {
	PACS        string       `json:"pacs"`
	Destination string       `json:"c_move_ae_title,omitempty"`
	Items       []itemFilter `json:"items"`
	Priority    string       `json:"priority,omitempty"`
	NotBefore   string       `json:"not_before,omitempty"`
}

type itemFilter struct {
	PatientID        string `json:"patient_id,omitempty"`
	AccessionNumber  string `json:"accession_number,omitempty"`
	StudyInstanceUID string `json:"study_instance_uid,omitempty"`
}

type counts struct {
	Items          int `json:"items"`
	Queued         int `json:"queued"`
	Running        int `json:"running"`
	Waiting        int `json:"waiting"`
	Moved          int `json:"moved"`
	Partial        int `json:"partial"`
	Failed         int `json:"failed"`
	NoStudyMatched int `json:"no_study_matched"`
	Cancelled      int `json:"cancelled"`
	Found          int `json:"found"`
}

type job struct {
	ID     string `json:"job"`
	State  string `json:"state"`
	Run    int    `json:"run"`
	Counts counts `json:"counts"`
}

func (j job) ended() bool {
	return (j.State == "finished" || j.State == "cancelled") && j.Counts.Queued+j.Counts.Running+j.Counts.Waiting == 0
}

type item struct {
	Number     int    `json:"item"`
	State      string `json:"state"`
	Attempts   int    `json:"attempts"`
	Code       string `json:"code"`
	Retrievals []struct {
		StudyInstanceUID string
		Status           string `json:"status"`
		Completed        *int   `json:"completed"`
	} `json:"retrievals"`
}

// itemsOf returns one item for each study: by accession number, by Study Instance UID and by Patient ID in turn.
func itemsOf(studies []dicomtest.Study) []itemFilter {
	items := make([]itemFilter, len(studies))
	for i, s := range studies {
		switch i % 3 {
		case 0:
			items[i].AccessionNumber = s.AccessionNumber
		case 1:
			items[i].StudyInstanceUID = s.UID()
		case 2:
			items[i].PatientID = s.PatientID
		}
	}
	return items
}

var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// statusError is a response that is no success.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d %s", e.status, e.body) }

// problem returns the status of err; 0: there was no answer.
func problem(err error) int {
	if s := (*statusError)(nil); errors.As(err, &s) {
		return s.status
	}
	return 0
}

func call(ctx context.Context, method, url string, header map[string]string, body []byte, answer any) error {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return &statusError{response.StatusCode, string(b)}
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(b, answer)
}

// file files a job once, at a gateway.
func (g *gateway) file(ctx context.Context, key string, o order) (j job, err error) {
	body, err := json.Marshal(o)
	if err != nil {
		return j, err
	}
	header := map[string]string{}
	if key != "" {
		header["Idempotency-Key"] = key
	}
	return j, call(ctx, http.MethodPost, g.url()+"/jobs", header, body, &j)
}

// patience bounds every wait of these tests. Something that stands still must not be hidden by it: the longest wait of a gateway for
// another one that was killed is ten seconds.
const patience = 90 * time.Second

// insist repeats do until it succeeds. The gateway may be killed meanwhile; a 4xx is final.
func insist(t *testing.T, what string, do func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := do()
		if err == nil {
			return
		}
		if status := problem(err); status >= 400 && status < 500 && status != http.StatusTooManyRequests {
			require.NoError(t, err, what)
		}
		require.Less(t, time.Now(), deadline, "%s: %v", what, err)
		time.Sleep(50 * time.Millisecond)
	}
}

// file files a job at any gateway, again and again until one answers.
func (w *world) file(t *testing.T, key string, o order) job {
	t.Helper()
	var j job
	insist(t, "POST /jobs", func() (err error) {
		j, err = w.any().file(t.Context(), key, o)
		return err
	})
	return j
}

func (w *world) get(t *testing.T, path string, answer any) {
	t.Helper()
	insist(t, "GET "+path, func() error { return call(t.Context(), http.MethodGet, w.any().url()+path, nil, nil, answer) })
}

func (w *world) post(t *testing.T, path string, answer any) {
	t.Helper()
	insist(t, "POST "+path, func() error { return call(t.Context(), http.MethodPost, w.any().url()+path, nil, nil, answer) })
}

func (w *world) job(t *testing.T, id string) job {
	t.Helper()
	var j job
	w.get(t, "/jobs/"+id+"?limit=1", &j)
	return j
}

// items returns all items of a job, page by page.
func (w *world) items(t *testing.T, id string) []item {
	t.Helper()
	var all []item
	for {
		var page struct {
			Items []item `json:"items"`
			Total int    `json:"total"`
		}
		w.get(t, fmt.Sprintf("/jobs/%s?offset=%d&limit=100", id, len(all)), &page)
		all = append(all, page.Items...)
		if len(page.Items) == 0 || len(all) >= page.Total {
			return all
		}
	}
}

// end waits until a job has ended. It fails if nothing happens for as long as patience.
func (w *world) end(t *testing.T, id string) job {
	t.Helper()
	last, changed := job{}, time.Now()
	for {
		j := w.job(t, id)
		if j.ended() {
			return j
		}
		if j != last {
			last, changed = j, time.Now()
		}
		require.Less(t, time.Since(changed), patience, "job %s stands still: %+v", id, j)
		time.Sleep(100 * time.Millisecond)
	}
}

// event is one server-sent event.
type event struct{ id, kind, data string }

// stream reads the events of a job at one gateway after an ID, until the stream ends.
func (g *gateway) stream(ctx context.Context, id, after string, yield func(event)) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url()+"/jobs/"+id+"/events", http.NoBody)
	if err != nil {
		return err
	}
	r.Header.Set("Last-Event-ID", after)
	response, err := (&http.Client{Transport: client.Transport}).Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(response.Body)
		return &statusError{response.StatusCode, string(b)}
	}
	var e event
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if e.kind != "" {
				yield(e)
			}
			e = event{}
		case name == "id":
			e.id = value
		case name == "event":
			e.kind = value
		case name == "data":
			e.data += value
		}
	}
	return lines.Err()
}

// follower follows the events of a job across the ends of gateways.
type follower struct {
	outcomes map[int][]string // states by item, in the order in which they came
	waiting  int
	finished []job
	kinds    map[string]int
	err      error
	done     chan struct{}
}

func (w *world) follow(ctx context.Context, id string) *follower {
	f := &follower{outcomes: map[int][]string{}, kinds: map[string]int{}, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.err = f.run(ctx, w, id)
	}()
	return f
}

func (f *follower) run(ctx context.Context, w *world, id string) error {
	after := "0"
	var failed error
	for len(f.finished) == 0 && failed == nil {
		err := w.any().stream(ctx, id, after, func(e event) {
			if e.id != "" {
				after = e.id
			}
			f.kinds[e.kind]++
			switch e.kind {
			case "item":
				var i item
				failed = errors.Join(failed, json.Unmarshal([]byte(e.data), &i))
				f.outcomes[i.Number] = append(f.outcomes[i.Number], i.State)
			case "waiting":
				f.waiting++
			case "finished":
				var j job
				failed = errors.Join(failed, json.Unmarshal([]byte(e.data), &j))
				f.finished = append(f.finished, j)
			}
		})
		if status := problem(err); status >= 400 && status < 500 && status != http.StatusTooManyRequests {
			return fmt.Errorf("after %s: %w", after, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if len(f.finished) == 0 {
			time.Sleep(20 * time.Millisecond)
		}
	}
	return failed
}

// wait waits for the end of the events.
func (f *follower) wait(t *testing.T) {
	t.Helper()
	select {
	case <-f.done:
		require.NoError(t, f.err)
	case <-time.After(patience):
		t.Fatalf("the events do not end: %v", f.kinds)
	}
}

package jobs

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func FuzzParseWindow(f *testing.F) {
	for _, text := range []string{"20:00-06:00", "00:00-24:00", "24:00-00:00", "12:00-12:00", "9:00-17:00", "", "20:00-06:00-", "ab:cd-ef:gh"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWindow(text)
		if err != nil {
			return
		}
		if w.String() != text || !w.valid() {
			t.Fatalf("%q is read as %v", text, w)
		}
		if opens := w.opening(noon); opens.Before(noon) || opens.After(noon.Add(24*time.Hour)) || !w.open(opens) {
			t.Fatalf("%v opens at %v", w, opens)
		}
	})
}

// FuzzMessages reads messages as they may be in streams that somebody else writes to.
func FuzzMessages(f *testing.F) {
	f.Add("jobs.ev.x.done.1.0", "1", "moved", "1000", []byte(`{"retrievals":[{"study":"1.2","status":"ok","completed":3}]}`))
	f.Add("jobs.ev.x.wait.1.1.1", "1", "", "1000", []byte(`{"failure":{"code":"pacs_unreachable"},"cut":3}`))
	f.Add("jobs.ev.x.start.1.1", "9999999999", "", "", []byte(`{"owner":"a","pacs":"b","job":"01m8j87xb5f0z8edc5d17w77vh","run":1,"attempt":1}`))
	f.Add("jobs.ev.x.retry.2", "", "", "", []byte(`{}`))
	f.Add("jobs.ev", "-1", "no", "x", []byte(`[]`))
	f.Fuzz(func(t *testing.T, subject, attempt, state, until string, data []byte) {
		_, _ = decodeWork(data)
		if r, err := decodeReport(data); err == nil {
			r.fill(&ItemReport{})
			if n := len(r.encode()); n > maxReport && n > len(data) {
				t.Fatalf("a report of %d bytes has %d", len(data), n)
			}
		}
		e, ok := parseEvent(subject, nats.Header{headerAttempt: {attempt}, headerState: {state}, headerUntil: {until}})
		if !ok {
			return
		}
		p := newReplay(&record{Ends: []int{1, 2}})
		for range 2 {
			e.sequence++
			p.apply(&e)
			c := p.job(noon, time.UTC, time.Hour).Counts
			if sum := c.Queued + c.Running + c.Waiting + c.Moved + c.Partial + c.Failed + c.NoStudyMatched + c.Cancelled + c.Found; sum != c.Items {
				t.Fatalf("%d of %d items after %+v", sum, c.Items, e)
			}
		}
	})
}

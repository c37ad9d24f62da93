package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Line is a line of the gateway's log.
type Line struct {
	Message       string
	CorrelationID string `json:"correlation_id"`
	Text          string `json:"-"` // all of it, without the line break
}

// Decode unmarshals the line into v.
func (l Line) Decode(v any) error { return json.Unmarshal([]byte(l.Text), v) }

// LineMatcher selects lines of a log.
type LineMatcher func(Line) bool

// Message matches lines with this message.
func Message(message string) LineMatcher {
	return func(l Line) bool { return l.Message == message }
}

// MessageOf matches lines with this message that belong to the request with this correlation ID.
func MessageOf(message, correlationID string) LineMatcher {
	return func(l Line) bool { return l.Message == message && l.CorrelationID == correlationID }
}

// Log collects the output of a program. It is an [io.Writer]; all methods may be called concurrently.
type Log struct {
	mu      sync.Mutex
	lines   []string
	rest    []byte        // after the last line break
	changed chan struct{} // closed by the next change
	ended   bool
}

func newLog() *Log { return &Log{changed: make(chan struct{})} }

// Write appends output of the program.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, b...)
	for line := range strings.Lines(string(l.rest)) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		l.lines = append(l.lines, strings.TrimSuffix(line, "\n"))
		l.rest = l.rest[len(line):]
	}
	l.notify()
	return len(b), nil
}

// end notes that nothing more will be written.
func (l *Log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.notify()
}

func (l *Log) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// String returns all output so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	b.Write(l.rest)
	return b.String()
}

// Tail returns the last 4 KiB of the output so far.
func (l *Log) Tail() string {
	text := l.String()
	return text[max(0, len(text)-4096):]
}

// Lines returns the whole lines so far that are JSON objects and that match; a nil match means all.
func (l *Log) Lines(match LineMatcher) []Line {
	l.mu.Lock()
	lines := l.lines
	l.mu.Unlock()
	return parse(lines, match)
}

func parse(texts []string, match LineMatcher) []Line {
	var lines []Line
	for _, text := range texts {
		line := Line{Text: text}
		if json.Unmarshal([]byte(text), &line) == nil && (match == nil || match(line)) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Wait returns the first line that matches, as soon as it is written. It fails if the program ends without such a line, and
// when [Patience] is over; the error holds the end of the output.
func (l *Log) Wait(match LineMatcher) (Line, error) {
	timeout := time.NewTimer(Patience)
	defer timeout.Stop()
	for seen := 0; ; {
		l.mu.Lock()
		lines, changed, ended := l.lines[seen:], l.changed, l.ended
		l.mu.Unlock()
		if found := parse(lines, match); len(found) > 0 {
			return found[0], nil
		}
		if ended {
			return Line{}, fmt.Errorf("the program ended without the line that is waited for:\n%s", l.Tail())
		}
		seen += len(lines)
		select {
		case <-changed:
		case <-timeout.C:
			return Line{}, fmt.Errorf("no such line in the log within %v:\n%s", Patience, l.Tail())
		}
	}
}

// Await is [Log.Wait] for tests: an error fails the test.
func (l *Log) Await(t testing.TB, match LineMatcher) Line {
	t.Helper()
	line, err := l.Wait(match)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// url returns the base URL of the gateway that writes the log, as soon as it listens.
func (l *Log) url() (string, error) {
	line, err := l.Wait(Message("listening"))
	if err != nil {
		return "", err
	}
	var at struct {
		Address string
		TLS     bool
	}
	if err := line.Decode(&at); err != nil {
		return "", err
	}
	if at.Address == "" {
		return "", errors.New("no address in " + line.Text)
	}
	if at.TLS {
		return "https://" + at.Address, nil
	}
	return "http://" + at.Address, nil
}

// showOnFailure writes the end of the log into the output of a test that has failed.
func (l *Log) showOnFailure(t testing.TB) {
	t.Helper()
	if t.Failed() {
		t.Logf("the end of the log:\n%s", l.Tail())
	}
}

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed wrk.lua
var script string

func (b *bench) script() string { return filepath.Join(b.dir, "wrk.lua") }

// figures are the results of a run of wrk.
type figures struct {
	requests, bytes int64
	took            time.Duration
	failed, refused int64 // on the connection, by status
	median, p99     time.Duration
}

// perSecond returns the rate of requests.
func (f *figures) perSecond() float64 { return float64(f.requests) / f.took.Seconds() }

// parseFigures parses the line that wrk.lua prints.
func parseFigures(out string) (figures, error) {
	for line := range strings.Lines(out) {
		values, ok := strings.CutPrefix(line, "figures ")
		if !ok {
			continue
		}
		var f figures
		var took, median, p99 int64 // in microseconds
		if _, err := fmt.Sscan(values, &f.requests, &took, &f.bytes, &f.failed, &f.refused, &median, &p99); err != nil {
			return figures{}, fmt.Errorf("not figures: %q: %w", line, err)
		}
		f.took, f.median, f.p99 = time.Duration(took)*time.Microsecond, time.Duration(median)*time.Microsecond, time.Duration(p99)*time.Microsecond
		return f, nil
	}
	return figures{}, fmt.Errorf("no figures in %q", out)
}

// request is what callers send.
type request struct {
	path string
	body []byte // of a POST; nil for a GET
	// check requires the right answer.
	check func(body []byte) error
}

// query returns POST /q for a patient.
func (b *bench) query(patientID string, studies int) request {
	body, err := json.Marshal(map[string]any{
		"pacs_ip": "127.0.0.1", "pacs_port": b.pacsPort, "pacs_ae_title": pacsAETitle, "c_find_ae_title": "GATEWAY", "patient_id": patientID,
	})
	if err != nil {
		panic(err) // strings and numbers
	}
	return request{"/q", body, func(body []byte) error { return checkAnswer(body, patientID, studies) }}
}

// studies returns POST /q for a patient with this number of studies.
func (b *bench) studies(n int) request { return b.query(b.patientID(n), n) }

// patientID returns a patient with this number of studies. The PACS writes the answer at once or, with pduByPDU, each PDU
// separately.
func (b *bench) patientID(studies int) string {
	prefix := "BENCH-"
	if b.pduByPDU {
		prefix = "PDUS-"
	}
	return prefix + strconv.Itoa(studies)
}

// load sends requests of the callers as fast as possible. One wrong answer is an error.
func (b *bench) load(ctx context.Context, p *process, callers int, r request, d time.Duration) (figures, error) {
	size, err := b.check(ctx, p, r)
	if err != nil {
		return figures{}, err
	}
	f, err := b.generate(ctx, "http://"+p.address+r.path, r.body, callers, d)
	if err != nil {
		return figures{}, err
	}
	return f, f.check(p.name, callers, size)
}

// generate runs wrk. A body makes it send a POST.
func (b *bench) generate(ctx context.Context, url string, body []byte, callers int, d time.Duration) (figures, error) {
	args := []string{
		"-t", "1", "-c", strconv.Itoa(callers), "-d", strconv.Itoa(int(d.Seconds())) + "s", "--timeout", "30s", "-s", b.script(), url,
	}
	if body != nil {
		file := filepath.Join(b.dir, "body.json")
		if err := os.WriteFile(file, body, 0o600); err != nil {
			return figures{}, err
		}
		args = append(args, "--", file)
	}
	out, err := exec.CommandContext(ctx, b.wrk, args...).CombinedOutput()
	if err != nil {
		return figures{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return parseFigures(string(out))
}

// check compares a run with an answer that was checked, whose body has size bytes. All bodies have this size; headers, and
// answers that were incomplete at the end, add to the total.
func (f *figures) check(name string, callers, size int) error {
	const headers = 1024
	switch least, most := f.requests*int64(size), (f.requests+int64(callers))*int64(size+headers); {
	case f.requests == 0:
		return fmt.Errorf("%s: no answer", name)
	case f.failed > 0 || f.refused > 0:
		return fmt.Errorf("%s: of %d requests %d failed and %d had a status of 400 or above", name, f.requests, f.failed, f.refused)
	case f.bytes < least || f.bytes > most:
		return fmt.Errorf("%s: %d answers of %d bytes, but %d bytes in total", name, f.requests, size, f.bytes)
	}
	return nil
}

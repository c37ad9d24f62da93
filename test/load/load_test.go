package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseFigures(t *testing.T) {
	f, err := parseFigures("Running 1s test\n  1 threads\nfigures 2000 1000500 4194304 1 2 480 9000\n")
	want := figures{
		requests: 2000, took: 1000500 * time.Microsecond, bytes: 4 << 20, failed: 1, refused: 2,
		median: 480 * time.Microsecond, p99: 9 * time.Millisecond,
	}
	if err != nil || f != want {
		t.Errorf("%+v, %v", f, err)
	}
	if got := f.perSecond(); got < 1998 || got > 2000 {
		t.Error(got)
	}
	for _, out := range []string{"", "unable to connect", "figures 1 2 3\n", "figures 1 2 3 4 5 6 x\n"} {
		if _, err := parseFigures(out); err == nil {
			t.Errorf("no error for %q", out)
		}
	}
}

func TestCheckFailsForOneWrongAnswer(t *testing.T) {
	const callers, size = 32, 4000
	right := figures{requests: 1000, bytes: 1000 * (size + 300)}
	if err := right.check("gateway", callers, size); err != nil {
		t.Error(err)
	}
	for name, f := range map[string]figures{
		"nothing":  {},
		"lost":     {requests: 1000, bytes: right.bytes, failed: 1},
		"refused":  {requests: 1000, bytes: right.bytes, refused: 1},
		"short":    {requests: 1000, bytes: 1000*size - 1},
		"too long": {requests: 1000, bytes: 1000 * (size + 2000)},
	} {
		if f.check("gateway", callers, size) == nil {
			t.Error(name)
		}
	}
}

// answer returns an answer with two studies after change.
func answer(t *testing.T, change func(answer, study map[string]any)) []byte {
	t.Helper()
	study := map[string]any{"PatientID": "BENCH-2", "StudyInstanceUID": "1.1", "ModalitiesInStudy": []string{"CT"}}
	for name := range strings.FieldsSeq("PatientName DateOfBirth StudyDescription StudyDate StudyTime AccessionNumber " +
		"ReferringPhysicianName PerformingPhysicianName InstitutionName") {
		study[name] = "X"
	}
	other := maps.Clone(study)
	other["StudyInstanceUID"] = "1.2"
	a := map[string]any{"status": "ok", "study_details": []any{study, other}, "warnings": []any{}}
	change(a, other)
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCheckAnswer(t *testing.T) {
	if err := checkAnswer(answer(t, func(_, _ map[string]any) {}), "BENCH-2", 2); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(answer, study map[string]any){
		"not ok":              func(a, _ map[string]any) { a["status"] = "partial" },
		"with a warning":      func(a, _ map[string]any) { a["warnings"] = []any{"x"} },
		"one study missing":   func(a, _ map[string]any) { a["study_details"] = a["study_details"].([]any)[:1] },
		"a study twice":       func(_, s map[string]any) { s["StudyInstanceUID"] = "1.1" },
		"another patient":     func(_, s map[string]any) { s["PatientID"] = "BENCH-20" },
		"an empty value":      func(_, s map[string]any) { s["StudyDate"] = "" },
		"no modality":         func(_, s map[string]any) { s["ModalitiesInStudy"] = []any{} },
		"a missing attribute": func(_, s map[string]any) { delete(s, "StudyTime") },
		"no list":             func(a, _ map[string]any) { a["study_details"] = nil },
	} {
		if checkAnswer(answer(t, change), "BENCH-2", 2) == nil {
			t.Error(name)
		}
	}
	if checkAnswer([]byte("{"), "BENCH-2", 2) == nil {
		t.Error("no JSON")
	}
}

func TestParseProcFiles(t *testing.T) {
	cpu, err := parseCPU([]byte("4711 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 7 0 99"))
	if err != nil || cpu != 1750*time.Millisecond {
		t.Error(cpu, err)
	}
	for _, stat := range []string{"", "1 (x) S 1", "1 (x) S 1 2 3 4 5 6 7 8 9 10 a b 0"} {
		if _, err := parseCPU([]byte(stat)); err == nil {
			t.Errorf("%q", stat)
		}
	}
	memory, err := parseMemory([]byte("Name:\tx\nVmHWM:\t   26616 kB\nVmRSS:\t   20000 kB\n"), "VmHWM")
	if err != nil || memory != 26616<<10 {
		t.Error(memory, err)
	}
	if _, err := parseMemory([]byte("Name:\tx\n"), "VmHWM"); err == nil {
		t.Error("no error for a missing line")
	}
}

func TestMedianAndShort(t *testing.T) {
	same := func(v *float64) float64 { return *v }
	if got := median([]float64{9, 1, 5}, same); got != 5 {
		t.Error(got)
	}
	if got := median([]float64{9, 1, 5, 7}, same); got != 7 {
		t.Error(got)
	}
	for d, want := range map[time.Duration]string{
		7240 * time.Nanosecond: "7.24 µs", 267 * time.Microsecond: "267 µs", 7731 * time.Microsecond: "7.73 ms", 144 * time.Millisecond: "144 ms",
		1234 * time.Millisecond: "1.23 s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}

func TestMarkdown(t *testing.T) {
	var r report
	r.add(row{what: "10 matches", who: "floor", value: "3000 requests/s", cpu: 100 * time.Microsecond})
	r.add(row{
		what: "10 matches", who: "gateway", value: "2000 requests/s", ratio: "0.67 of the floor", cpu: 300 * time.Microsecond, perMatch: 30 * time.Microsecond,
		python: 29.4,
	})
	r.note("size of the binary", megabytes(22_600_000))
	r.growth = append(r.growth, grown{who: "gateway", studies: 10, took: time.Millisecond, cpu: 500 * time.Microsecond})
	r.others = append(r.others, row{what: counted(1, "caller", "callers"), who: "findscu", value: "67 ms"})
	const want = `2026-01-31, 2 cores.

| What | Who | Figure | Ratio | CPU per request | Faster than the Python gateway |
|---|---|---|---|---|---|
| 10 matches | floor | 3000 requests/s |  | 100 µs |  |
| 10 matches | gateway | 2000 requests/s | 0.67 of the floor | 300 µs, 30 µs per match | 29 times |

| What | Figure |
|---|---|
| size of the binary | 22.6 MB |

| Matches | Who | Time per request | CPU per request | Time per match | CPU per match |
|---|---|---|---|---|---|
| 10 | gateway | 1 ms | 500 µs | 100 µs | 50 µs |

| Other clients of the same PACS | Who | Figure |
|---|---|---|
| 1 caller | findscu | 67 ms |
`
	if got := r.markdown("2026-01-31, 2 cores."); got != want {
		t.Error(got)
	}
}

func TestUpdateReplacesOnlyTheTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# Title\n\n" + beginMark + "old\n" + endMark + "\nThe end.\n")
	for range 2 {
		if err := update(path, []section{{beginMark, "new\n"}}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != "# Title\n\n"+beginMark+"\nnew\n\n"+endMark+"\nThe end.\n" {
			t.Errorf("%q %v", got, err)
		}
	}
	write("# Title\n")
	if update(path, []section{{beginMark, "new\n"}}) == nil {
		t.Error("no error for a document without marks")
	}
}

func TestReportHasASectionForWhatWasMeasured(t *testing.T) {
	var r report
	if got := r.sections("machine"); len(got) != 0 {
		t.Error(got)
	}
	r.note("size of the binary", "1 MB")
	r.retrievals = []retrieved{
		{pacs: "Orthanc", who: "gateway, C-GET", took: 500 * time.Millisecond, first: 100 * time.Millisecond, cpu: 150 * time.Millisecond, perSecond: 524, ratio: "0.80 of the floor"},
		{pacs: "Orthanc", who: "getscu", took: 23 * time.Second, perSecond: 11},
	}
	r.memory = [][2]string{{"1 caller with a study of 4 GB", "40.0 MB at the peak, 15.0 MB idle"}}
	const want = `machine

| 500 CT images (262 MB) from | Who | Time | Rate | First byte | CPU | Compared |
|---|---|---|---|---|---|---|
| Orthanc | gateway, C-GET | 500 ms | 524 MB/s | 100 ms | 150 ms | 0.80 of the floor |
| Orthanc | getscu | 23 s | 11 MB/s |  |  |  |

| Retrievals | Memory of the gateway |
|---|---|
| 1 caller with a study of 4 GB | 40.0 MB at the peak, 15.0 MB idle |
`
	got := r.sections("machine")
	if len(got) != 2 || got[0].mark != beginMark || got[1] != (section{beginRetrievalsMark, want}) {
		t.Error(got)
	}
}

func TestReportSaysWhichGoalsOfRetrievalsAreMissed(t *testing.T) {
	result := func(took, first time.Duration) []retrieval {
		return []retrieval{{took: took, first: first, bytes: 262_000_000}}
	}
	floor := &fetch{who: "floor", results: result(200*time.Millisecond, time.Millisecond)}
	for name, v := range map[string]struct {
		f      *fetch
		missed int
	}{
		"good":               {&fetch{way: "get", results: result(250*time.Millisecond, 10*time.Millisecond)}, 0},
		"slow":               {&fetch{way: "get", results: result(400*time.Millisecond, 10*time.Millisecond)}, 1},
		"late":               {&fetch{way: "move", results: result(250*time.Millisecond, 100*time.Millisecond)}, 1},
		"hardly faster":      {&fetch{way: "move", results: result(4*time.Second, 10*time.Millisecond)}, 1},
		"nothing of the two": {floor, 0},
	} {
		var b bench
		other := 23 * time.Second
		if v.f == floor {
			other = 0
		}
		b.reportRetrieval("Orthanc", v.f, floor, other, 50*time.Millisecond)
		if len(b.report.missed) != v.missed || len(b.report.retrievals) != 1 {
			t.Error(name, b.report.missed)
		}
	}
}

func TestStudiesOfCallersDiffer(t *testing.T) {
	if got := differ(imageStudy(3, 100), 2); got != imageStudy(3, 104) {
		t.Error(got)
	}
}

func TestRepeatReturnsTimesAndStopsAtAnError(t *testing.T) {
	done := make(chan struct{}, 1000)
	times, _, err := repeat(4, time.Millisecond, func() error {
		select {
		case done <- struct{}{}:
			return nil
		default:
			return errors.New("full")
		}
	})
	if n := len(done); err == nil && len(times) != n {
		t.Errorf("%d of %d", len(times), n)
	}
	fault := errors.New("fault")
	if _, _, err := repeat(1, time.Hour, func() error { return fault }); !errors.Is(err, fault) {
		t.Error(err)
	}
}

func TestRunRefusesInvalidFlags(t *testing.T) {
	for _, o := range []options{
		{only: "nonsense", rounds: 1, seconds: 1},
		{rounds: 0, seconds: 1},
		{rounds: 1, seconds: 0},
	} {
		if err := run(context.Background(), o); err == nil {
			t.Errorf("%+v", o)
		}
	}
}

func TestCheckObjects(t *testing.T) {
	const right = `[{"0020000D":{"vr":"UI","Value":["1.1"]},"00100020":{"vr":"LO","Value":["WEB-2"]}},` +
		`{"0020000D":{"vr":"UI","Value":["1.2"]},"00100020":{"vr":"LO","Value":["WEB-2"]}}]`
	check := func(body string) error {
		return checkObjects([]byte(body), "0020000D", 2, map[string]string{"00100020": "WEB-2"}, 2)
	}
	if err := check(right); err != nil {
		t.Error(err)
	}
	for name, body := range map[string]string{
		"no JSON":             "[",
		"a study twice":       strings.ReplaceAll(right, "1.2", "1.1"),
		"another patient":     strings.Replace(right, "WEB-2", "WEB-20", 1),
		"one study missing":   right[:strings.Index(right, "},{")+1] + "]",
		"an empty value":      strings.Replace(right, `["1.1"]`, `[]`, 1),
		"no UID":              strings.Replace(right, "0020000D", "0020000E", 1),
		"a missing attribute": `[{"0020000D":{"vr":"UI","Value":["1.1"]}},{"0020000D":{"vr":"UI","Value":["1.2"]}}]`,
	} {
		if check(body) == nil {
			t.Error(name)
		}
	}
	if checkObjects([]byte(right), "0020000D", 2, nil, 3) == nil {
		t.Error("too few attributes")
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// row is a figure that is compared with that of the floor.
type row struct {
	what, who     string
	value, ratio  string
	cpu, perMatch time.Duration
	python        float64 // as a multiple of the figure of the Python gateway
}

// report is the result.
type report struct {
	rows   []row
	notes  [][2]string
	growth []grown
	others []row
	missed []string // goals

	retrievals []retrieved
	memory     [][2]string // of retrievals
}

// retrieved is a figure of a retrieval.
type retrieved struct {
	pacs, who        string
	took, first, cpu time.Duration
	perSecond        float64 // megabytes
	ratio            string
}

// miss notes a goal that is missed, which the report says; with -goals the run then fails.
func (r *report) miss(format string, args ...any) {
	r.missed = append(r.missed, fmt.Sprintf(format, args...))
}

func (r *report) add(row row) { r.rows = append(r.rows, row) }

func (r *report) note(name, value string) { r.notes = append(r.notes, [2]string{name, value}) }

// sections are the parts of the report, each with a place in the document.
func (r *report) sections(machine string) []section {
	all := []section{{beginMark, ""}, {beginRetrievalsMark, ""}}
	if len(r.rows)+len(r.notes)+len(r.growth)+len(r.others) > 0 {
		all[0].text = r.markdown(machine)
	}
	if len(r.retrievals)+len(r.memory) > 0 {
		all[1].text = r.retrievalsMarkdown(machine)
	}
	return slices.DeleteFunc(all, func(s section) bool { return s.text == "" })
}

type section struct{ mark, text string }

// retrievalsMarkdown returns the figures of retrievals as tables.
func (r *report) retrievalsMarkdown(machine string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", machine)
	if len(r.retrievals) > 0 {
		fmt.Fprintf(&b, "\n| %d CT images (%.0f MB) from | Who | Time | Rate | First byte | CPU | Compared |\n|---|---|---|---|---|---|---|\n",
			slices500, float64(slices500*sliceLength)/1e6)
		for _, row := range r.retrievals {
			fmt.Fprintf(&b, "| %s | %s | %s | %.0f MB/s | %s | %s | %s |\n", row.pacs, row.who, short(row.took), row.perSecond,
				unlessZero(row.first), unlessZero(row.cpu), row.ratio)
		}
	}
	if len(r.memory) > 0 {
		b.WriteString("\n| Retrievals | Memory of the gateway |\n|---|---|\n")
		for _, note := range r.memory {
			fmt.Fprintf(&b, "| %s | %s |\n", note[0], note[1])
		}
	}
	return b.String()
}

func unlessZero(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return short(d)
}

// markdown returns the figures of queries as tables.
func (r *report) markdown(machine string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", machine)
	if len(r.rows) > 0 {
		b.WriteString("\n| What | Who | Figure | Ratio | CPU per request | Faster than the Python gateway |\n|---|---|---|---|---|---|\n")
		for _, row := range r.rows {
			cpu := short(row.cpu)
			if row.perMatch > 0 {
				cpu += ", " + short(row.perMatch) + " per match"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", row.what, row.who, row.value, row.ratio, cpu, times(row.python))
		}
	}
	if len(r.notes) > 0 {
		b.WriteString("\n| What | Figure |\n|---|---|\n")
		for _, note := range r.notes {
			fmt.Fprintf(&b, "| %s | %s |\n", note[0], note[1])
		}
	}
	if len(r.growth) > 0 {
		b.WriteString("\n| Matches | Who | Time per request | CPU per request | Time per match | CPU per match |\n|---|---|---|---|---|---|\n")
		for _, g := range r.growth {
			n := time.Duration(g.studies)
			fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", g.studies, g.who, short(g.took), short(g.cpu), short(g.took/n), short(g.cpu/n))
		}
	}
	if len(r.others) > 0 {
		b.WriteString("\n| Other clients of the same PACS | Who | Figure |\n|---|---|---|\n")
		for _, row := range r.others {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", row.what, row.who, row.value)
		}
	}
	return b.String()
}

func times(n float64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f times", n)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// short returns a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.3g s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.3g ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.3g µs", float64(d)/1e3)
}

// median returns the median of the values, of an even number the larger of the two in the middle.
func median[T any](of []T, value func(*T) float64) float64 {
	values := make([]float64, 0, len(of))
	for i := range of {
		values = append(values, value(&of[i]))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// machine describes the machine, the date and the version of the gateway.
func machine(ctx context.Context, gateway string) string {
	processor := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				processor = strings.TrimSpace(value)
				break
			}
		}
	}
	version := "of unknown version"
	if output, err := exec.CommandContext(ctx, gateway, "version").Output(); err == nil {
		if fields := strings.Fields(string(output)); len(fields) > 1 {
			version = fields[1] // of: name, version, commit, date
		}
	}
	return fmt.Sprintf("%s, %d cores of %s, %s: dicom-qr-gateway %s.", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), processor,
		runtime.Version(), version)
}

// The marks around the tables in a document.
const (
	beginMark           = "<!-- make bench-load: begin -->\n"
	beginRetrievalsMark = "<!-- make bench-load, retrievals: begin -->\n"
	endMark             = "<!-- end -->\n"
)

// update replaces the tables of a document that have been measured.
func update(path string, sections []section) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(b)
	for _, s := range sections {
		before, rest, begun := strings.Cut(text, s.mark)
		_, after, ended := strings.Cut(rest, endMark)
		if !begun || !ended {
			return fmt.Errorf("%s has no marks for the tables", path)
		}
		text = before + s.mark + "\n" + s.text + "\n" + endMark + after
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

//go:build siege && linux

package siege

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// columns are the headers of the tables of figures.
var columns = map[string][]string{
	"Memory": {"Attack", "Peak", "Audit log", "Longest answer", "Answers to A"},
	"Others": {"Attack", "Answers to B", "Median", "Slowest", "All answers to B", "Answers to A"},
}

var (
	recording sync.Mutex
	recorded  = map[string]bool{}
)

// record logs a row of a table, and appends it to the file that SIEGE_FIGURES names.
func record(t *testing.T, table string, cells ...string) {
	t.Helper()
	recording.Lock()
	defer recording.Unlock()
	row := func(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	var text strings.Builder
	if !recorded[table] {
		recorded[table] = true
		fmt.Fprintf(&text, "\n%s%s", row(columns[table]), strings.Repeat("|---", len(columns[table]))+"|\n")
	}
	text.WriteString(row(cells))
	t.Log(text.String())
	name := os.Getenv("SIEGE_FIGURES")
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text.String()); err != nil {
		t.Fatal(err)
	}
}

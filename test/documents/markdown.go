// Package documents reads the Markdown files of the repository, so that tests can run the commands that they show. Its own
// tests hold README.md and docs/ against the gateway and the contract.
package documents

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Document is a Markdown file.
type Document struct {
	Path string // from the root of the repository
	Text string
}

// Example is a command of a document, and the answer that the document shows for it.
type Example struct {
	Section string // the heading above
	Command string // the whole block
	Kind    string // "json", "csv" or "text"; empty if no answer is shown
	Answer  string
}

// Row is a row of a table.
type Row struct {
	Section string // the heading above the table
	Cells   []string
}

// Read reads the document at a path below root.
func Read(root, path string) (Document, error) {
	text, err := os.ReadFile(filepath.Join(root, path)) //nolint:gosec // tests name the file
	return Document{Path: path, Text: string(text)}, err
}

// answers are the languages of answers.
var answers = []string{"json", "csv", "text"}

// Examples returns all blocks of shell commands, each with the next block of the same section if that is an answer.
func (d Document) Examples() []Example {
	var examples []Example
	open := false // whether the last example may still get its answer
	for _, b := range d.blocks() {
		switch {
		case b.language == "sh":
			examples = append(examples, Example{Section: b.section, Command: b.text})
			open = true
		case open && examples[len(examples)-1].Section == b.section && slices.Contains(answers, b.language):
			last := &examples[len(examples)-1]
			last.Kind, last.Answer = b.language, b.text
			open = false
		default:
			open = false
		}
	}
	return examples
}

// Block returns the first block of a language below a heading, or "".
func (d Document) Block(section, language string) string {
	for _, b := range d.blocks() {
		if b.section == section && b.language == language {
			return b.text
		}
	}
	return ""
}

// Containing returns all blocks, of any language, that contain the text.
func (d Document) Containing(text string) []string {
	var found []string
	for _, b := range d.blocks() {
		if strings.Contains(b.text, text) {
			found = append(found, b.text)
		}
	}
	return found
}

type block struct{ section, language, text string }

func (d Document) blocks() []block {
	var blocks []block
	d.scan(func(section, language, line string) {
		if strings.HasPrefix(line, "```") {
			if language != "" {
				blocks = append(blocks, block{section: section, language: language})
			}
			return
		}
		if language != "" {
			blocks[len(blocks)-1].text += line
		}
	})
	return blocks
}

// Rows returns the rows of all tables, without their headers.
func (d Document) Rows() []Row {
	var rows []Row
	header := true
	d.scan(func(section, language, line string) {
		line = strings.TrimSpace(line)
		switch {
		case language != "" || !strings.HasPrefix(line, "|"):
			header = true
		case strings.HasPrefix(line, "|---"):
			header = false
		case !header:
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, Row{section, cells})
		}
	})
	return rows
}

// Items returns the items of the lists below a heading, each with its further lines.
func (d Document) Items(section string) []string {
	var items []string
	open := false
	d.scan(func(at, language, line string) {
		if at != section || language != "" || strings.TrimSpace(line) == "" {
			open = false
			return
		}
		if item, ok := strings.CutPrefix(line, "- "); ok {
			items = append(items, item)
			open = true
		} else if open {
			items[len(items)-1] += line
		}
	})
	return items
}

// Headings returns the headings of all levels.
func (d Document) Headings() []string {
	var headings []string
	last := ""
	d.scan(func(section, _, _ string) {
		if section != last {
			headings = append(headings, section)
			last = section
		}
	})
	return headings
}

// Prose returns the text without its blocks of code.
func (d Document) Prose() string {
	var b strings.Builder
	d.scan(func(_, language, line string) {
		if language == "" && !strings.HasPrefix(line, "```") {
			b.WriteString(line)
		}
	})
	return b.String()
}

// scan calls line for each line with the heading above it and the language of the block that it is in or opens; outside of
// blocks the language is empty.
func (d Document) scan(line func(section, language, line string)) {
	section, language := "", ""
	for text := range strings.Lines(d.Text) {
		fence, isFence := strings.CutPrefix(text, "```")
		switch {
		case isFence && language == "":
			language = strings.TrimSpace(fence)
			if language == "" {
				language = "text"
			}
			line(section, language, text)
			continue
		case isFence:
			language = ""
		case language == "" && strings.HasPrefix(text, "#"):
			section = strings.TrimSpace(strings.TrimLeft(text, "#"))
		}
		line(section, language, text)
	}
}

var (
	duration    = regexp.MustCompile(`"duration_ms":[0-9.]+`)
	correlation = regexp.MustCompile(`"correlation_id":"[^"]*"`)
	ofJob       = regexp.MustCompile(`"(job|filed_at|finished_at|expires_at)":"[^"]*"`)
)

// Steady replaces what differs from one answer to the next: durations, correlation IDs, and IDs and times of jobs, in compact JSON.
func Steady(answer string) string {
	answer = correlation.ReplaceAllString(duration.ReplaceAllString(answer, `"duration_ms":0`), `"correlation_id":""`)
	return ofJob.ReplaceAllString(answer, `"$1":""`)
}

package environment

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxSize bounds a file that somebody names by mistake, such as a device.
const maxSize = 1 << 20

// fault is a line of a file that cannot be read.
type fault struct {
	line   int
	name   string // of the variable, if it can be read
	reason string
}

func (f fault) String() string { return fmt.Sprintf("line %d: %s", f.line, f.reason) }

// readFile reads the file at path and parses it.
func readFile(path string) (variables map[string]string, faults []fault, err error) {
	file, err := os.Open(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, nil, err
	}
	if len(text) > maxSize {
		return nil, nil, errors.New("the file is larger than 1 MiB")
	}
	variables, faults = parse(string(text))
	return variables, faults, nil
}

var (
	assignment = regexp.MustCompile(`^(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)
	named      = regexp.MustCompile(`^(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)`)
)

// parse reads one NAME=VALUE a line and returns the variables of all lines without a fault. Faults repeat nothing of the text.
//
//   - Empty lines, and lines that begin with # or ;, are ignored. A # after a value is part of it.
//   - export before the name is ignored, and so are blanks around the value.
//   - A value in single quotes is taken as it is. In double quotes, a backslash before ", \, $ or ` is removed. Other values are
//     taken as they are; nothing is expanded.
//   - If a name comes twice, the last value counts.
func parse(text string) (variables map[string]string, faults []fault) {
	variables = map[string]string{}
	text = strings.TrimPrefix(text, "\ufeff") // the mark that some editors put at the start
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line = strings.Trim(line, " \t\r")
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, reason := parseLine(line)
		if reason != "" {
			faults = append(faults, fault{line: number, name: name, reason: reason})
			continue
		}
		variables[name] = value
	}
	return variables, faults
}

func parseLine(line string) (name, value, reason string) {
	if found := named.FindStringSubmatch(line); found != nil {
		name = found[1]
	}
	if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
		return name, "", "want text in UTF-8"
	}
	found := assignment.FindStringSubmatch(line)
	if found == nil {
		return name, "", "want NAME=VALUE"
	}
	value = strings.TrimLeft(found[2], " \t")
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return found[1], value, ""
	}
	value, reason = unquote(value)
	return found[1], value, reason
}

// unquote returns the text of a value that begins with a quote.
func unquote(quoted string) (value, reason string) {
	quote := quoted[0]
	var text strings.Builder
	for i := 1; i < len(quoted); i++ {
		switch c := quoted[i]; {
		case c == quote && i+1 < len(quoted):
			return "", "text after the closing quote"
		case c == quote:
			return text.String(), ""
		case c == '\\' && quote == '"' && i+1 < len(quoted) && strings.ContainsRune("\"\\$`", rune(quoted[i+1])):
			i++
			text.WriteByte(quoted[i])
		default:
			text.WriteByte(c)
		}
	}
	return "", "the quote is not closed"
}

package batch

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// csvReader reads records as RFC 4180 writes them, from text that is in memory. It goes on after a fault, so that a caller learns of all.
type csvReader struct {
	rest  []byte
	comma byte
	ends  string // of a cell without quotation marks
	line  int    // of rest, from 1
}

// cell is one field of a record.
type cell struct {
	value string
	fault string // what is wrong with it; "": nothing
}

// newCSVReader returns a reader of text without its byte order mark. The first line decides what separates columns: the first comma,
// semicolon or tab outside of quotes, as spreadsheets of all languages write them.
func newCSVReader(text []byte) *csvReader {
	r := &csvReader{rest: bytes.TrimPrefix(text, []byte("\ufeff")), comma: ',', line: 1}
	quoted := false
	for _, c := range bytes.TrimLeft(r.rest, "\r\n") {
		if c == '"' {
			quoted = !quoted
		}
		if quoted {
			continue
		}
		if c == ';' || c == '\t' {
			r.comma = c
		}
		if c == r.comma || c == '\n' {
			break
		}
	}
	r.ends = string([]byte{r.comma, '\n'})
	return r
}

// record returns the cells of the next record that is not empty, and the line on which it begins; ok is false at the end. It appends to
// cells.
func (r *csvReader) record(cells []cell) (record []cell, line int, ok bool) {
	for len(r.rest) > 0 {
		line, record = r.line, cells
		for more := true; more; {
			var c cell
			c, more = r.cell()
			record = append(record, c)
		}
		for _, c := range record[len(cells):] {
			if c.value != "" || c.fault != "" {
				return record, line, true
			}
		}
	}
	return nil, 0, false
}

// cell consumes one cell and what ends it. more reports that the record has another one.
func (r *csvReader) cell() (c cell, more bool) {
	if len(r.rest) > 0 && r.rest[0] == '"' {
		c = r.quoted()
		if c.fault == unclosed {
			return c, false
		}
	} else {
		end := bytes.IndexAny(r.rest, r.ends)
		if end < 0 {
			end = len(r.rest)
		}
		text := r.rest[:end]
		r.rest = r.rest[end:]
		if len(r.rest) == 0 || r.rest[0] == '\n' {
			text = bytes.TrimSuffix(text, []byte("\r"))
		}
		c.value = string(text)
		if bytes.IndexByte(text, '"') >= 0 {
			c.fault = "has a quotation mark that is not the first character; write it twice, and the whole field in quotation marks"
		}
	}
	if !utf8.ValidString(c.value) {
		c.fault = "is not valid UTF-8; save the file as CSV UTF-8"
	}
	c.value = strings.Trim(c.value, " ")
	if len(r.rest) == 0 {
		return c, false
	}
	more = r.rest[0] == r.comma
	if !more {
		r.line++
	}
	r.rest = r.rest[1:]
	return c, more
}

const unclosed = "has no closing quotation mark"

// quoted consumes a cell that begins with a quotation mark, up to what ends it.
func (r *csvReader) quoted() (c cell) {
	var value []byte
	rest := r.rest[1:]
	for {
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			r.rest = nil
			return cell{fault: unclosed}
		}
		value = append(value, rest[:end]...)
		rest = rest[end+1:]
		if len(rest) == 0 || rest[0] != '"' {
			break
		}
		value = append(value, '"')
		rest = rest[1:]
	}
	r.line += bytes.Count(value, []byte("\n"))
	c.value = string(value)
	if tail := bytes.TrimPrefix(rest, []byte("\r")); len(tail) == 0 || tail[0] == '\n' {
		rest = tail
	}
	if len(rest) > 0 && rest[0] != r.comma && rest[0] != '\n' {
		c.fault = "has text after its closing quotation mark"
		end := bytes.IndexAny(rest, r.ends)
		if end < 0 {
			end = len(rest)
		}
		rest = rest[end:]
	}
	r.rest = rest
	return c
}

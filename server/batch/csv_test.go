package batch

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// records returns the values of all records.
func records(text string) (values [][]string, lines []int, faults []string) {
	r := newCSVReader([]byte(text))
	for {
		record, line, ok := r.record(nil)
		if !ok {
			return values, lines, faults
		}
		var row []string
		for _, c := range record {
			row = append(row, c.value)
			if c.fault != "" {
				faults = append(faults, c.fault)
			}
		}
		values, lines = append(values, row), append(lines, line)
	}
}

func TestRecordsOfCSV(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		values [][]string
		lines  []int
	}{
		"LF and no end of the last line":   {"a,b\n1,2", [][]string{{"a", "b"}, {"1", "2"}}, []int{1, 2}},
		"CRLF":                             {"a,b\r\n1,2\r\n", [][]string{{"a", "b"}, {"1", "2"}}, []int{1, 2}},
		"byte order mark":                  {"\ufeffa\n1\n", [][]string{{"a"}, {"1"}}, []int{1, 2}},
		"semicolons":                       {"a;b\n1,5;2\n", [][]string{{"a", "b"}, {"1,5", "2"}}, []int{1, 2}},
		"tabs":                             {"a\tb\n1\t2\n", [][]string{{"a", "b"}, {"1", "2"}}, []int{1, 2}},
		"semicolon after the first line":   {"a\n1;2\n", [][]string{{"a"}, {"1;2"}}, []int{1, 2}},
		"separator in a quoted first cell": {"\"a;x\",b\n", [][]string{{"a;x", "b"}}, []int{1}},
		"empty lines":                      {"\n\r\na\n\n , \n1\n\n", [][]string{{"a"}, {"1"}}, []int{3, 6}},
		"quotes":                           {"a,b\n\"1,\"\"x\"\"\",\"2\"\r\n", [][]string{{"a", "b"}, {`1,"x"`, "2"}}, []int{1, 2}},
		"a cell of several lines":          {"a,b\n\"1\n2\",3\n4,5\n", [][]string{{"a", "b"}, {"1\n2", "3"}, {"4", "5"}}, []int{1, 2, 4}},
		"padding":                          {" a , b\n 1 ,2 \n", [][]string{{"a", "b"}, {"1", "2"}}, []int{1, 2}},
		"an empty last cell":               {"a,b\n1,\n", [][]string{{"a", "b"}, {"1", ""}}, []int{1, 2}},
		"an empty last cell at the end":    {"a,b\n1,", [][]string{{"a", "b"}, {"1", ""}}, []int{1, 2}},
		"nothing":                          {"", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			values, lines, faults := records(test.text)
			assert.Equal(t, test.values, values)
			assert.Equal(t, test.lines, lines)
			assert.Empty(t, faults)
		})
	}
}

func TestReadingGoesOnAfterAFaultyCell(t *testing.T) {
	values, lines, faults := records("a,b\n1\"2,3\n\"4\"x,5\n\xff,6\n7,8\n\"9,10\n11,12\n")
	assert.Len(t, faults, 4)
	assert.Equal(t, []string{"7", "8"}, values[4])
	assert.Equal(t, []int{1, 2, 3, 4, 5, 6}, lines)
	assert.Equal(t, unclosed, faults[3])
}

// FuzzCSV compares with encoding/csv what both accept.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"a,b\n1,2\n", "a;b\r\n\"1\"\"\n\";2\r\n", "\ufeffa\tb\n", "a\n\"", "a\n\"b\"c\n", "\xff\xfe", ",,\n,", "\"a\r\nb\",c", "a\rb,c\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := newCSVReader(text)
		var values [][]string
		for previous := 0; ; {
			record, line, ok := r.record(nil)
			if !ok {
				break
			}
			if line <= previous {
				t.Fatalf("line %d after %d", line, previous)
			}
			previous = line
			row := []string{}
			for _, c := range record {
				if c.fault != "" {
					return
				}
				row = append(row, c.value)
			}
			values = append(values, row)
		}
		if bytes.Contains(text, []byte("\r")) && !bytes.Equal(text, bytes.ReplaceAll(text, []byte("\r"), nil)) {
			return // encoding/csv drops some of them
		}
		want := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
		want.Comma, want.FieldsPerRecord = rune(r.comma), -1
		for {
			record, err := want.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("accepted what is no CSV: %v", err)
			}
			empty := true
			for i := range record {
				record[i] = strings.Trim(record[i], " ")
				empty = empty && record[i] == ""
			}
			if empty {
				continue
			}
			if len(values) == 0 {
				t.Fatalf("%q is missing", record)
			}
			assert.Equal(t, record, values[0])
			values = values[1:]
		}
		assert.Empty(t, values)
	})
}

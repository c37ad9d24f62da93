package batch

import (
	"bytes"
	"slices"
	"strings"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/schema"
)

// ReadCSV reads an order whose items are lines of CSV and whose other fields are query parameters. The error is a problem with every fault.
func ReadCSV(s *schema.Order, query string, body []byte) (*Order, error) {
	r := newOrderReader(s)
	r.order.lines = []int{}
	fields := r.parameters(query)
	if bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff")) {
		r.faults.Add(api.Fault{Detail: "is UTF-16; save the file as CSV UTF-8"})
		return nil, r.faults.Problem()
	}
	t := table{orderReader: r, csv: newCSVReader(body)}
	if t.header() {
		t.rows()
	}
	return r.result(fields)
}

// parameters returns the fields of the order in the query string.
func (r *orderReader) parameters(query string) map[string]any {
	given, faults := parseQuery(query)
	r.faults.Add(faults...)
	fields := map[string]any{}
	for name, value := range given {
		detail, known := r.schema.Parameter(name)
		switch {
		case !known:
			r.faults.Add(api.Fault{Pointer: namePointer(name), Detail: detail})
		case name == "dry_run" && (value == "true" || value == "false"):
			fields[name] = value == "true"
		default:
			fields[name] = value
		}
	}
	r.faults.Add(r.schema.CheckFields(fields)...)
	return fields
}

// table reads the lines of a body.
type table struct {
	*orderReader
	csv     *csvReader
	columns []string // the field of each column; "": it is ignored
	result  bool     // the lines are those of a result, whose cells can have an apostrophe more
}

// resultColumns are the columns of a result that say nothing about what to find.
var resultColumns = []string{"item", "state", "attempts", "studies", "completed", "failed", "code", "detail", "hint"}

// header reads the first line. Without it no other line can be read.
func (t *table) header() bool {
	const needed = "the first line must name at least one of the columns patient_id, accession_number and study_instance_uid"
	cells, line, ok := t.csv.record(nil)
	if !ok {
		t.faults.Add(api.Fault{Detail: needed})
		return false
	}
	found, clean := false, true
	add := func(column int, detail string) {
		column++
		clean = false
		t.faults.Add(api.Fault{Pointer: "", Detail: detail, Line: &line, Column: &column})
	}
	for i, c := range cells {
		name := c.value
		t.columns = append(t.columns, name)
		detail, known := t.schema.Column(name)
		switch {
		case c.fault != "":
			add(i, c.fault)
		case slices.Contains(t.columns[:i], name):
			add(i, "is the name of an earlier column")
		case known:
			found = true
		case slices.Contains(resultColumns, name):
			t.columns[i], t.result = "", true
		case name == "":
			add(i, "has no name")
		default:
			add(i, detail)
		}
	}
	if !found && clean {
		t.faults.Add(api.Fault{Detail: needed, Line: &line})
	}
	return found && clean
}

// rows reads the lines after the first.
func (t *table) rows() {
	var cells []cell
	for !t.faults.Enough() {
		record, line, ok := t.csv.record(cells[:0])
		if !ok {
			break
		}
		if len(t.order.lines) == t.schema.MaxItems() {
			fault := t.noItems()
			fault.Line = &line
			t.faults.Add(fault)
			return
		}
		t.row(record, line)
		cells = record
	}
	if len(t.order.lines) == 0 {
		t.faults.Add(t.noItems())
	}
}

func (t *table) row(cells []cell, line int) {
	i := len(t.order.lines)
	t.order.lines = append(t.order.lines, line)
	place := func(f *api.Fault, field string) {
		f.Line = &line
		if column := slices.Index(t.columns, field) + 1; column > 0 && field != "" {
			f.Column = &column
		}
	}
	faulty := false
	fail := func(field, detail string) {
		fault := t.order.fault(i, field, detail)
		place(&fault, field)
		t.faults.Add(fault)
		faulty = true
	}
	switch {
	case cells[len(cells)-1].fault == unclosed:
		fail("", "has a field without a closing quotation mark")
	case len(cells) > len(t.columns):
		fail("", "has more columns than the first line")
	case len(cells) < len(t.columns):
		fail("", "has fewer columns than the first line")
	}
	item := map[string]any{}
	for k, c := range cells[:min(len(cells), len(t.columns))] {
		field, value := t.columns[k], c.value
		switch {
		case field == "":
		case c.fault != "" && c.fault != unclosed:
			fail(field, c.fault)
		case value != "":
			if t.result {
				value = strings.TrimPrefix(value, "'")
			}
			item[field] = value
		}
	}
	if faulty {
		return
	}
	t.item(i, item, place)
}

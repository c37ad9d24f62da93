package batch

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/server/problem"
	"dicom-qr-gateway/server/schema"
)

// Order is a job as a caller files it, with what is needed to say where it is faulty.
type Order struct {
	jobs.Order
	lines []int // of the items in CSV; nil: JSON
}

// pointer returns the place of a fault of the order; item -1: none of its items.
func (o *Order) fault(item int, field, detail string) api.Fault {
	f := api.Fault{Detail: detail}
	if item >= 0 {
		f.Pointer = itemPointer(item)
		if item < len(o.lines) {
			f.Line = &o.lines[item]
		}
	}
	if field != "" {
		f.Pointer += "/" + field
	}
	return f
}

func itemPointer(item int) string { return "/items/" + strconv.Itoa(item) }

// orderReader reads one order.
type orderReader struct {
	schema *schema.Order
	faults problem.Faults
	order  Order
	seen   map[string]int // the first item of each content
}

func newOrderReader(s *schema.Order) *orderReader {
	return &orderReader{schema: s, seen: map[string]int{}}
}

// ReadJSON reads an order in JSON. The error is a problem with every fault.
func ReadJSON(s *schema.Order, query string, body []byte) (*Order, error) {
	r := newOrderReader(s)
	parameters, faults := parseQuery(query)
	r.faults.Add(faults...)
	for name := range parameters {
		r.faults.Add(api.Fault{Pointer: namePointer(name), Detail: "is a parameter for CSV; give it as a field of the body"})
	}
	value, faults, more := s.Parse(body)
	r.faults.Add(faults...)
	r.faults.Count(more)
	if value == nil && len(faults) > 0 {
		return nil, r.faults.Problem()
	}
	fields, isObject := value.(map[string]any)
	items, given := fields["items"]
	delete(fields, "items")
	r.faults.Add(s.CheckFields(value)...)
	if isObject {
		r.readItems(items, given)
	}
	return r.result(fields)
}

func (r *orderReader) readItems(value any, given bool) {
	items, isArray := value.([]any)
	switch {
	case !given:
		r.faults.Add(api.Fault{Pointer: "/items", Detail: "is required"})
		return
	case !isArray || len(items) == 0:
		r.faults.Add(r.noItems())
		return
	}
	r.order.Items = make([]jobs.Item, 0, len(items))
	for i, item := range items {
		if r.faults.Enough() {
			return
		}
		r.item(i, item, nil)
	}
}

func (r *orderReader) noItems() api.Fault {
	return api.Fault{Pointer: "/items", Detail: fmt.Sprintf("must be an array of 1 to %d items", r.schema.MaxItems())}
}

// item checks an item and adds it. place sets the place of a fault in CSV; nil: JSON.
func (r *orderReader) item(i int, value any, place func(*api.Fault, string)) {
	faults := r.schema.CheckItem(value)
	for k := range faults {
		if place != nil {
			place(&faults[k], strings.TrimPrefix(faults[k].Pointer, "/"))
		}
		faults[k].Pointer = itemPointer(i) + faults[k].Pointer
	}
	r.faults.Add(faults...)
	if len(faults) > 0 {
		r.order.Items = append(r.order.Items, jobs.Item{})
		return
	}
	item := itemOf(value.(map[string]any))
	r.order.Items = append(r.order.Items, item)
	content := contentOf(&item)
	first, twice := r.seen[content]
	if !twice {
		r.seen[content] = i
		return
	}
	same := "is the same as " + itemPointer(first)
	if place != nil {
		same = fmt.Sprintf("is the same as line %d", r.order.lines[first])
	}
	r.faults.Add(r.order.fault(i, "", same))
}

// contentOf returns the same text for the same items only.
func contentOf(item *jobs.Item) string {
	b, _ := json.Marshal(item) // never fails
	return string(b)
}

// result returns the order of the fields and the items that were read, or the problem if there is a fault.
func (r *orderReader) result(fields map[string]any) (*Order, error) {
	if err := r.faults.Problem(); err != nil {
		return nil, err
	}
	o := &r.order
	o.PACS = trimmed(fields["pacs"])
	o.Destination = trimmed(fields["c_move_ae_title"])
	o.DryRun, _ = fields["dry_run"].(bool)
	o.Priority = jobs.Priority(trimmed(fields["priority"]))
	if at := trimmed(fields["not_before"]); at != "" {
		o.NotBefore, _ = time.Parse(time.RFC3339, at) // the schema has checked it
	}
	if hours := trimmed(fields["window"]); hours != "" {
		window, err := jobs.ParseWindow(hours)
		if err != nil {
			return nil, problem.Invalid([]api.Fault{{Pointer: "/window", Detail: "must be hours of the day such as 20:00-06:00, with another end than beginning"}})
		}
		o.Window = &window
	}
	return o, nil
}

// itemOf returns the item of the fields, which the schema has checked.
func itemOf(fields map[string]any) jobs.Item {
	return jobs.Item{
		PatientID:         trimmed(fields["patient_id"]),
		IssuerOfPatientID: trimmed(fields["issuer_of_patient_id"]),
		AccessionNumber:   trimmed(fields["accession_number"]),
		StudyInstanceUID:  trimmed(fields["study_instance_uid"]),
		StudyInstanceUIDs: trimmedAll(fields["study_instance_uids"]),
		Modalities:        trimmedAll(fields["modalities"]),
		MaxYearsOld:       number(fields["max_years_old"]),
		MaxResults:        number(fields["max_results"]),
		StudyDateFrom:     strings.ReplaceAll(trimmed(fields["study_date_from"]), "-", ""),
		StudyDateTo:       strings.ReplaceAll(trimmed(fields["study_date_to"]), "-", ""),
	}
}

// trimmed returns a string without its padding, which PS3.5 section 6.2 declares insignificant; "" for anything else.
func trimmed(value any) string {
	s, _ := value.(string)
	return strings.Trim(s, " ")
}

func trimmedAll(value any) []string {
	values, _ := value.([]any)
	var list []string
	for _, v := range values {
		list = append(list, trimmed(v))
	}
	return list
}

func number(value any) int {
	digits, _ := value.(json.Number)
	n, _ := digits.Int64()
	return int(n)
}

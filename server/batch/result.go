package batch

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/mediatype"
)

// MediaType is the form of an answer.
type MediaType int

// The forms.
const (
	JSON MediaType = iota
	CSV
)

const (
	csvType  = "text/csv"
	jsonType = "application/json"
)

// Preferred returns the form that the values of Accept prefer; JSON unless they name CSV.
func Preferred(fields []string) MediaType {
	if mediatype.Prefers(fields, csvType, jsonType) {
		return CSV
	}
	return JSON
}

// columnsOfResult are the columns of a result. POST /jobs accepts all of them.
var columnsOfResult = []string{
	"item", "patient_id", "accession_number", "study_instance_uid", "state", "attempts", "studies", "completed", "failed", "code", "detail", "hint",
}

// resultAnswer is the 200 of a job as CSV. It reads all items, whatever the state that is asked for, because the items in a state change
// from page to page.
type resultAnswer struct {
	job   string
	page  Page
	read  func(offset int) ([]jobs.ItemReport, error) // the items from the offset; none: there are no more
	first []jobs.ItemReport
}

// begin reads the first items.
func (a *resultAnswer) begin() (err error) {
	a.first, err = a.read(0)
	return err
}

// VisitGetJobResponse writes the answer. It breaks the connection off if items cannot be read any more.
func (a *resultAnswer) VisitGetJobResponse(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", csvType+"; charset=utf-8; header=present")
	h.Set("Content-Disposition", `attachment; filename="`+fileName(a.job)+`.csv"`)
	h.Add("Vary", "Accept")
	out := csv.NewWriter(w)
	out.UseCRLF = true // RFC 4180 section 2
	_ = out.Write(columnsOfResult)
	connection := http.NewResponseController(w)
	skip, left := a.page.Offset, a.page.Limit
	for items, offset := a.first, 0; len(items) > 0; {
		for i := range items {
			switch {
			case a.page.State != "" && items[i].State != a.page.State:
				continue
			case skip > 0:
				skip--
				continue
			}
			if err := out.Write(lineOf(&items[i])); err != nil {
				return err
			}
			if left--; left == 0 {
				out.Flush()
				return out.Error()
			}
		}
		out.Flush()
		if out.Error() != nil {
			return out.Error()
		}
		_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout)) // test writers have no deadlines
		offset += len(items)
		var err error
		if items, err = a.read(offset); err != nil {
			return http.ErrAbortHandler
		}
	}
	out.Flush()
	return out.Error()
}

// fileName returns the job with nothing but characters that a name of a file can have.
func fileName(job string) string {
	return "job-" + strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' {
			return c
		}
		return -1
	}, job)
}

func lineOf(i *jobs.ItemReport) []string {
	failure := i.Failure
	if failure == nil {
		failure = &jobs.Failure{}
	}
	studies, completed, failed := totals(i)
	return []string{
		strconv.Itoa(i.Number), neutral(i.Item.PatientID), neutral(i.Item.AccessionNumber), neutral(i.Item.StudyInstanceUID),
		string(i.State), strconv.Itoa(i.Attempts), studies, completed, failed,
		failure.Code, neutral(failure.Detail), neutral(failure.Hint),
	}
}

// totals returns the number of studies that matched and of their instances, "" if the item has no outcome yet.
func totals(i *jobs.ItemReport) (studies, completed, failed string) {
	if !i.State.Ended() && len(i.Retrievals) == 0 {
		return "", "", ""
	}
	sum := func(count func(*qr.Retrieval) *int) string {
		n := 0
		for k := range i.Retrievals {
			if c := count(&i.Retrievals[k]); c != nil {
				n += *c
			}
		}
		return strconv.Itoa(n)
	}
	return strconv.Itoa(len(i.Retrievals) + len(i.Studies)),
		sum(func(r *qr.Retrieval) *int { return r.Completed }), sum(func(r *qr.Retrieval) *int { return r.Failed })
}

// neutral returns a cell that no spreadsheet takes for a formula. A cell that begins with an apostrophe gets one more, so that the value can
// be restored.
func neutral(value string) string {
	if value != "" && strings.IndexByte("=+-@\t\r'", value[0]) >= 0 {
		return "'" + value
	}
	return value
}

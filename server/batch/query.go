package batch

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/server/problem"
)

const (
	maxParameters  = 20 // of a query string
	maxPointerName = 64
	maxOffset      = 1_000_000
)

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// namePointer returns the pointer of the parameter with the name.
func namePointer(name string) string {
	if utf8.RuneCountInString(name) > maxPointerName {
		name = string([]rune(name)[:maxPointerName]) + "…"
	}
	return "/" + pointerEscaper.Replace(name)
}

// parseQuery returns the parameters of a query string, and every fault of its form.
func parseQuery(query string) (parameters map[string]string, faults []api.Fault) {
	parameters = map[string]string{}
	count := 0
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		if count++; count > maxParameters {
			return parameters, append(faults, api.Fault{Detail: fmt.Sprintf("has more than %d parameters", maxParameters)})
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil || !utf8.ValidString(name) {
			faults = append(faults, api.Fault{Pointer: "/?", Detail: "is a name that is not valid UTF-8 in percent-encoding"})
			continue
		}
		value, err := url.QueryUnescape(rawValue)
		_, twice := parameters[name]
		switch {
		case err != nil || !utf8.ValidString(value):
			faults = append(faults, api.Fault{Pointer: namePointer(name), Detail: "must be UTF-8 in percent-encoding"})
		case twice:
			faults = append(faults, api.Fault{Pointer: namePointer(name), Detail: "is given more than once"})
		default:
			parameters[name] = value
		}
	}
	return parameters, faults
}

// Page is the page and the selection that a request asks for. A Limit of zero is not given.
type Page struct {
	Offset, Limit int
	State         jobs.ItemState
}

// The parameters of the routes.
var (
	ofList = []string{"limit", "offset"}
	ofJob  = []string{"limit", "offset", "state"}
)

// Route is a route below /jobs whose query string is read.
type Route int

// The routes.
const (
	List   Route = iota // GET /jobs
	Single              // GET /jobs/{job}
	Other               // takes no parameters
)

// ReadQuery reads the query string of a route. The error is a problem with every fault.
func ReadQuery(route Route, query string) (Page, error) {
	var page Page
	known, most := []string(nil), 0
	switch route {
	case List:
		known, most = ofList, 100
	case Single:
		known, most = ofJob, 1000
	case Other:
	}
	given, faults := parseQuery(query)
	fail := func(name, detail string) {
		faults = append(faults, api.Fault{Pointer: namePointer(name), Detail: detail})
	}
	for name, value := range given {
		var ok bool
		switch {
		case !slices.Contains(known, name):
			fail(name, "is not a parameter of this request")
		case name == "state":
			if page.State = jobs.ItemState(value); !api.JobItemState(value).Valid() {
				fail(name, "must be one of the states of an item, such as failed")
			}
		case name == "offset":
			if page.Offset, ok = integer(value, 0, maxOffset); !ok {
				fail(name, fmt.Sprintf("must be an integer from 0 to %d", maxOffset))
			}
		default:
			if page.Limit, ok = integer(value, 1, most); !ok {
				fail(name, fmt.Sprintf("must be an integer from 1 to %d", most))
			}
		}
	}
	if len(faults) > 0 {
		return Page{}, problem.Invalid(faults)
	}
	return page, nil
}

func integer(text string, least, most int) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= least && n <= most && text[0] != '+'
}

// IdempotencyKey returns the key of a request, "" if it has none.
func IdempotencyKey(h http.Header) (string, error) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	const most = 128
	visible := !strings.ContainsFunc(values[0], func(c rune) bool { return c <= ' ' || c > '~' })
	if len(values) > 1 || values[0] == "" || len(values[0]) > most || !visible {
		return "", problem.Invalid([]api.Fault{{Pointer: "/Idempotency-Key", Detail: "must be 1 to 128 visible ASCII characters, given once"}})
	}
	return values[0], nil
}

// LastEventID returns the sequence after which the events of a request begin, jobs.Now if it does not say.
func LastEventID(h http.Header) (uint64, error) {
	values := h.Values("Last-Event-ID")
	if len(values) == 0 || len(values) == 1 && values[0] == "" { // browsers send none until they have one
		return jobs.Now, nil
	}
	after, err := strconv.ParseUint(values[0], 10, 64)
	if len(values) > 1 || err != nil || after == jobs.Now {
		return 0, problem.Invalid([]api.Fault{{Pointer: "/Last-Event-ID", Detail: "must be the id of an event: digits, given once"}})
	}
	return after, nil
}

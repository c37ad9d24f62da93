package problem

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dicom-qr-gateway/gen/api"
)

// maxFaults limits the length of an answer that lists faults.
const maxFaults = 100

// Invalid returns the problem of a request with faults. It sorts them by pointer and lists at most maxFaults.
func Invalid(faults []api.Fault) *Problem {
	slices.SortStableFunc(faults, func(a, b api.Fault) int { return comparePointers(a.Pointer, b.Pointer) })
	return invalid(faults[:min(len(faults), maxFaults)], len(faults))
}

func invalid(listed []api.Fault, count int) *Problem {
	p := &Problem{Code: api.ProblemCodeInvalidRequest, Detail: "The request has 1 fault.", Faults: listed}
	if count > len(listed) {
		p.Detail = fmt.Sprintf("The request has %d faults, of which the first %d are named.", count, len(listed))
	} else if count > 1 {
		p.Detail = fmt.Sprintf("The request has %d faults.", count)
	}
	return p
}

// comparePointers orders pointers by their reference tokens, and indexes of arrays by their number.
func comparePointers(a, b string) int {
	for a != "" && b != "" {
		var left, right string
		left, a = firstToken(a)
		right, b = firstToken(b)
		m, errLeft := strconv.ParseUint(left, 10, 32)
		n, errRight := strconv.ParseUint(right, 10, 32)
		order := strings.Compare(left, right)
		if errLeft == nil && errRight == nil {
			order = cmp.Compare(m, n)
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Compare(len(a), len(b))
}

// firstToken returns the first reference token of a pointer, and the rest of the pointer.
func firstToken(pointer string) (token, rest string) {
	pointer = strings.TrimPrefix(pointer, "/")
	if end := strings.IndexByte(pointer, '/'); end >= 0 {
		return pointer[:end], pointer[end:]
	}
	return pointer, ""
}

// Faults collects the faults of a long request. It counts all and keeps the first. The zero value has none.
type Faults struct {
	kept  []api.Fault
	count int
}

// Add adds faults.
func (f *Faults) Add(faults ...api.Fault) {
	f.count += len(faults)
	f.kept = append(f.kept, faults[:min(len(faults), maxFaults-len(f.kept))]...)
}

// maxCounted limits how many faults of one request are looked for, since each takes longer than a value without a fault.
const maxCounted = 1000

// Enough reports that there are as many faults as are looked for.
func (f *Faults) Enough() bool { return f.count >= maxCounted }

// Count adds n faults of which nothing else is known.
func (f *Faults) Count(n int) { f.count += n }

// Problem returns the problem of the request, or nil if it has no fault. A problem is an error; nil is a nil error.
func (f *Faults) Problem() error {
	if f.count == 0 {
		return nil
	}
	slices.SortStableFunc(f.kept, func(a, b api.Fault) int { return comparePointers(a.Pointer, b.Pointer) })
	p := invalid(f.kept, f.count)
	if f.Enough() {
		p.Detail = fmt.Sprintf("The request has %d faults or more, of which the first %d are named.", maxCounted, len(f.kept))
	}
	return p
}

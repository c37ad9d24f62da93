package problem

import (
	"fmt"
	"slices"
	"strings"

	"dicom-qr-gateway/gen/api"
)

// maxFaults limits the length of an answer that lists faults.
const maxFaults = 100

// Invalid returns the problem of a request with faults. It sorts them by pointer and lists at most maxFaults.
func Invalid(faults []api.Fault) *Problem {
	slices.SortStableFunc(faults, func(a, b api.Fault) int { return strings.Compare(a.Pointer, b.Pointer) })
	p := &Problem{Code: api.ProblemCodeInvalidRequest, Detail: "The request has 1 fault.", Faults: faults}
	if n := len(faults); n > maxFaults {
		p.Detail = fmt.Sprintf("The request has %d faults, of which the first %d are named.", n, maxFaults)
		p.Faults = faults[:maxFaults]
	} else if n > 1 {
		p.Detail = fmt.Sprintf("The request has %d faults.", n)
	}
	return p
}

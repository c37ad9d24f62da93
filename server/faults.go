package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"dicom-qr-gateway/gen/api"
)

// maxFaults bounds the answer to a request that is nothing but faults.
const maxFaults = 100

// invalidRequest is the problem of these faults, in the order of their pointers.
func invalidRequest(faults []api.Fault) *problem {
	slices.SortStableFunc(faults, func(a, b api.Fault) int { return strings.Compare(a.Pointer, b.Pointer) })
	p := &problem{code: api.ProblemCodeInvalidRequest, detail: "The request has 1 fault.", faults: faults}
	if n := len(faults); n > maxFaults {
		p.detail = fmt.Sprintf("The request has %d faults, of which the first %d are named.", n, maxFaults)
		p.faults = faults[:maxFaults]
	} else if n > 1 {
		p.detail = fmt.Sprintf("The request has %d faults.", n)
	}
	return p
}

// schemaFaults are the faults that kin-openapi found, one a pointer. Its own
// texts repeat values and whole schemas, so the rule of the field takes their
// place.
func schemaFaults(err error) []api.Fault {
	var faults []api.Fault
	named := map[string]bool{}
	add := func(pointer, detail string) {
		if !named[pointer] {
			named[pointer] = true
			faults = append(faults, api.Fault{Pointer: pointer, Detail: detail})
		}
	}
	// One error for each unknown member comes from kin-openapi, and its name is in
	// the text only: the first one stands for all of that object.
	searched := map[*openapi3.Schema]bool{}
	for _, err := range flatten(err) {
		var fault *openapi3.SchemaError
		if !errors.As(err, &fault) {
			add("", "cannot be checked")
			continue
		}
		pointer := pointerOf(fault.JSONPointer())
		switch fault.SchemaField {
		case "required":
			add(pointer, "is required")
		case "properties":
			if searched[fault.Schema] {
				continue
			}
			searched[fault.Schema] = true
			members, _ := fault.Value.(map[string]any)
			for name := range members {
				if fault.Schema.Properties[name] == nil {
					add(pointer+"/"+escapePointer(name), "is not a field of this request")
				}
			}
		default:
			add(pointer, rule(fault.Schema))
		}
	}
	return faults
}

func flatten(err error) []error {
	if several, ok := errors.AsType[openapi3.MultiError](err); ok {
		return several
	}
	return []error{err}
}

func pointerOf(path []string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteString("/" + escapePointer(name))
	}
	return b.String()
}

// rule says what the schema asks for.
func rule(s *openapi3.Schema) string {
	if text, ok := formatRules[s.Format]; ok {
		return text
	}
	switch {
	case s.Type.Is(openapi3.TypeInteger) && s.Min != nil && s.Max != nil:
		return fmt.Sprintf("must be an integer from %.0f to %.0f", *s.Min, *s.Max)
	case s.Type.Is(openapi3.TypeBoolean):
		return "must be true or false"
	case s.Type.Is(openapi3.TypeArray) && s.MaxItems != nil:
		return fmt.Sprintf("must be an array of %d to %d items", s.MinItems, *s.MaxItems)
	case s.Type.Is(openapi3.TypeArray):
		return "must be an array"
	case s.Type.Is(openapi3.TypeObject):
		return "must be an object"
	}
	return "is not what the contract says"
}

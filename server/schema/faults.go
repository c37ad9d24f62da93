package schema

import (
	"errors"
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"dicom-qr-gateway/gen/api"
)

// schemaFaults returns the faults that kin-openapi found, one a pointer. The texts of kin-openapi repeat values and whole schemas,
// so the rule of the field replaces them.
func schemaFaults(err error) []api.Fault {
	var faults []api.Fault
	named := map[string]bool{}
	add := func(pointer, detail string) {
		if !named[pointer] {
			named[pointer] = true
			faults = append(faults, api.Fault{Pointer: pointer, Detail: detail})
		}
	}
	// kin-openapi returns one error for each unknown member, with the name in the text only. The first error of an object
	// therefore stands for all of its unknown members.
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
				if fault.Schema.Properties[name] != nil {
					continue
				}
				detail := notAField
				if meant := nearest(name, fault.Schema.Properties); meant != "" {
					detail += `; did you mean "` + meant + `"?`
				}
				add(pointer+"/"+escapePointer(name), detail)
			}
		default:
			add(pointer, rule(fault.Schema))
		}
	}
	return faults
}

const notAField = "is not a field of this request"

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

// rule returns what the schema requires.
func rule(s *openapi3.Schema) string {
	if text, ok := formatRules[s.Format]; ok {
		return text
	}
	if len(s.AllOf) == 1 {
		return rule(s.AllOf[0].Value)
	}
	switch {
	case s.Type.Is(openapi3.TypeInteger) && s.Min != nil && s.Max != nil:
		return fmt.Sprintf("must be an integer from %.0f to %.0f", *s.Min, *s.Max)
	case len(s.Enum) > 0:
		values := make([]string, len(s.Enum))
		for i, value := range s.Enum {
			values[i] = fmt.Sprint(value)
		}
		return "must be one of: " + strings.Join(values, ", ")
	case s.Type.Is(openapi3.TypeBoolean):
		return "must be true or false"
	case s.Type.Is(openapi3.TypeArray) && s.MaxItems != nil:
		return fmt.Sprintf("must be an array of %d to %d items", s.MinItems, *s.MaxItems)
	case s.Type.Is(openapi3.TypeArray):
		return "must be an array"
	case s.Type.Is(openapi3.TypeObject):
		return "must be an object"
	}
	return "does not conform to the contract"
}

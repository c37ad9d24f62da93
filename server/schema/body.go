// Package schema says how the body of a request differs from the contract: it parses the JSON, checks it against the schema of the
// operation and the rules that a schema cannot express, and names every fault at once, without a value of the caller.
package schema

import (
	"fmt"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"dicom-qr-gateway/gen/api"
)

// Body is the schema of the body of one operation. It is safe for concurrent use.
type Body struct {
	schema      *openapi3.Schema
	options     []openapi3.SchemaValidationOption
	ordersDates bool // the operation does not ignore dates
}

// New returns the schema of POST path in the contract.
func New(contract *openapi3.T, path string) (*Body, error) {
	item := contract.Paths.Find(path)
	if item == nil || item.Post == nil || item.Post.RequestBody == nil {
		return nil, fmt.Errorf("no body for POST %s in the contract that tools/generate/spec.yaml embeds", path)
	}
	content := item.Post.RequestBody.Value.Content.Get("application/json")
	if content == nil {
		return nil, fmt.Errorf("no JSON body for POST %s in the contract that tools/generate/spec.yaml embeds", path)
	}
	return &Body{
		schema:      content.Schema.Value,
		ordersDates: path != "/echo",
		options: []openapi3.SchemaValidationOption{
			openapi3.VisitAsRequest(),
			openapi3.MultiErrors(),
			openapi3.WithStringFormatValidators(stringFormats()),
		},
	}, nil
}

// Check parses a body and returns its value, without the optional fields that are null, and every fault. Numbers are json.Number.
func (b *Body) Check(body []byte) (value any, faults []api.Fault) {
	value, faults = parseJSON(body)
	if value == nil && len(faults) > 0 {
		return nil, faults
	}
	dropNulls(b.schema, value)
	faults = append(faults, violations(b.schema, value, b.options)...)
	faults = append(faults, pacsForm(value)...)
	if b.ordersDates {
		faults = append(faults, dateOrder(value)...)
	}
	return value, faults
}

func violations(s *openapi3.Schema, value any, options []openapi3.SchemaValidationOption) []api.Fault {
	if err := s.VisitJSON(value, options...); err != nil {
		return schemaFaults(err)
	}
	return nil
}

// dropNulls removes the optional fields whose value is null, which means that they are not given.
func dropNulls(s *openapi3.Schema, body any) {
	fields, _ := body.(map[string]any)
	for name, value := range fields {
		if value == nil && s.Properties[name] != nil && !slices.Contains(s.Required, name) {
			delete(fields, name)
		}
	}
}

// addressFields are the fields for which pacs stands. The last one is optional.
var addressFields = []string{"pacs_ip", "pacs_port", "pacs_ae_title", "c_find_ae_title", "pacs_tls"}

// pacsForm checks that a request either names its PACS or brings its address.
func pacsForm(value any) []api.Fault {
	fields, isObject := value.(map[string]any)
	if !isObject {
		return nil
	}
	_, named := fields["pacs"]
	given := 0
	var faults []api.Fault
	for _, name := range addressFields {
		_, ok := fields[name]
		if ok {
			given++
		}
		switch {
		case named && ok:
			faults = append(faults, api.Fault{Pointer: "/" + name, Detail: "must not be given together with pacs"})
		case !named && !ok && name != "pacs_tls":
			faults = append(faults, api.Fault{Pointer: "/" + name, Detail: "is required"})
		}
	}
	if !named && given == 0 {
		return []api.Fault{{Pointer: "/pacs", Detail: "is required, or else pacs_ip, pacs_port, pacs_ae_title and c_find_ae_title"}}
	}
	return faults
}

// dateOrder checks that a range of dates is one.
func dateOrder(value any) []api.Fault {
	fields, _ := value.(map[string]any)
	from, _ := fields["study_date_from"].(string)
	to, _ := fields["study_date_to"].(string)
	if to < from && validDate(from) && validDate(to) {
		return []api.Fault{{Pointer: "/study_date_to", Detail: "must not be before study_date_from"}}
	}
	return nil
}

package schema

import (
	"errors"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"dicom-qr-gateway/gen/api"
)

// Order is the schema of the body of POST /jobs, which may be long. It is safe for concurrent use.
type Order struct {
	fields *openapi3.Schema // without the items
	item   *openapi3.Schema
	limits limits
	check  []openapi3.SchemaValidationOption
}

// maxOrderFaults is how many faults of the syntax are kept.
const maxOrderFaults = 100

// NewOrder returns the schema of POST /jobs in the contract.
func NewOrder(contract *openapi3.T) (*Order, error) {
	body, err := New(contract, "/jobs")
	if err != nil {
		return nil, err
	}
	list := body.schema.Properties["items"]
	if list == nil || list.Value.Items == nil || list.Value.MaxItems == nil {
		return nil, errors.New("the contract has no bounded items for POST /jobs")
	}
	fields := *body.schema
	fields.Properties = maps.Clone(fields.Properties)
	delete(fields.Properties, "items")
	fields.Required = slices.DeleteFunc(slices.Clone(fields.Required), func(name string) bool { return name == "items" })
	most := int(*list.Value.MaxItems)
	return &Order{
		fields: &fields, item: list.Value.Items.Value, check: body.options,
		// An item has some ten fields, but for those with a list of studies.
		limits: limits{items: most, members: 4 * len(list.Value.Items.Value.Properties), values: 30 * most, faults: maxOrderFaults},
	}, nil
}

// MaxItems is how many items an order may have.
func (o *Order) MaxItems() int { return o.limits.items }

// Parse parses a body. The items are a part of its value. If that is nil, the body cannot be checked further. more is the number of
// faults beyond those that are returned.
func (o *Order) Parse(body []byte) (value any, faults []api.Fault, more int) {
	return parseLimited(body, o.limits)
}

// CheckFields checks the fields of an order but its items. It removes those that are null from the value.
func (o *Order) CheckFields(value any) []api.Fault {
	dropNulls(o.fields, value)
	faults := violations(o.fields, value, o.check)
	fields, isObject := value.(map[string]any)
	if !isObject {
		return faults
	}
	if _, ok := fields["c_move_ae_title"]; !ok && fields["dry_run"] != true {
		faults = append(faults, api.Fault{Pointer: "/c_move_ae_title", Detail: "is required unless dry_run is true"})
	}
	return faults
}

// itemKeys are the fields of which an item has at least one.
var itemKeys = []string{"patient_id", "accession_number", "study_instance_uid"}

// CheckItem checks one item. Pointers begin at the item. It removes the fields that are null.
func (o *Order) CheckItem(item any) []api.Fault {
	dropNulls(o.item, item)
	faults := violations(o.item, item, o.check)
	fields, isObject := item.(map[string]any)
	if !isObject {
		return faults
	}
	if !slices.ContainsFunc(itemKeys, func(key string) bool { return fields[key] != nil }) {
		return append(faults, api.Fault{Detail: "must have patient_id, accession_number or study_instance_uid"})
	}
	if fields["patient_id"] == nil {
		for name := range o.item.Properties {
			if fields[name] != nil && !slices.Contains(itemKeys, name) {
				faults = append(faults, api.Fault{Pointer: "/" + name, Detail: "needs patient_id"})
			}
		}
	}
	if fields["study_instance_uid"] != nil && fields["study_instance_uids"] != nil {
		faults = append(faults, api.Fault{Pointer: "/study_instance_uids", Detail: "must not be given together with study_instance_uid"})
	}
	return append(faults, dateOrder(item)...)
}

// Column returns how the name of a column of CSV differs from those of items; ok reports that it is one.
func (o *Order) Column(name string) (detail string, ok bool) {
	if slices.Contains(itemKeys, name) {
		return "", true
	}
	known := openapi3.Schemas{}
	for _, key := range itemKeys {
		known[key] = o.item.Properties[key]
	}
	detail = "is not a column of this request"
	if meant := nearest(name, known); meant != "" {
		detail += `; did you mean "` + meant + `"?`
	}
	return detail, false
}

// Parameter returns how the name of a query parameter differs from those of POST /jobs; ok reports that it is one.
func (o *Order) Parameter(name string) (detail string, ok bool) {
	if o.fields.Properties[name] != nil {
		return "", true
	}
	detail = "is not a parameter of this request"
	if meant := nearest(name, o.fields.Properties); meant != "" {
		detail += `; did you mean "` + meant + `"?`
	}
	return detail, false
}

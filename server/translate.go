package server

import (
	"net"
	"reflect"
	"strconv"
	"strings"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
)

// The handlers share these translations between the types of the contract and those of package qr.

// address returns host:port, with brackets around an IPv6 address.
func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func filterOf(body *api.QueryRequest) qr.Filter {
	filter := qr.Filter{
		PatientID:         trimPadding(body.PatientID),
		MaxYearsOld:       valueOf(body.MaxYearsOld),
		MaxResults:        valueOf(body.MaxResults),
		StudyInstanceUIDs: valueOf(body.StudyInstanceUIDs),
		AccessionNumber:   trimPadding(valueOf(body.AccessionNumber)),
		IssuerOfPatientID: trimPadding(valueOf(body.IssuerOfPatientID)),
		StudyDateFrom:     dicomDate(body.StudyDateFrom),
		StudyDateTo:       dicomDate(body.StudyDateTo),
	}
	for _, modality := range valueOf(body.Modalities) {
		filter.Modalities = append(filter.Modalities, trimPadding(modality))
	}
	return filter
}

// trimPadding removes the leading and trailing spaces, which PS3.5 section 6.2 declares insignificant in AE, CS, LO and SH
// values.
func trimPadding(s string) string { return strings.Trim(s, " ") }

// dicomDate returns the date as a DA value; "" for nil.
func dicomDate(d *openapi_types.Date) string {
	if d == nil {
		return ""
	}
	return d.Format("20060102")
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func studyDetails(studies []qr.Study) []api.Study {
	details := make([]api.Study, len(studies))
	for i := range studies {
		study := reflect.ValueOf(&details[i]).Elem()
		for _, f := range studyFields {
			if f.attribute.Text != nil {
				study.Field(f.index).SetString(*f.attribute.Text(&studies[i]))
			} else {
				study.Field(f.index).Set(reflect.ValueOf(orEmpty(*f.attribute.List(&studies[i]))))
			}
		}
	}
	return details
}

// studyField is the field of api.Study that holds an attribute.
type studyField struct {
	index     int
	attribute qr.Attribute
}

// studyFields has the fields of api.Study by the JSON names in the table of attributes. A test compares it with the contract.
var studyFields = func() []studyField {
	var fields []studyField
	study := reflect.TypeFor[api.Study]()
	for _, a := range qr.StudyAttributes() {
		for i := range study.NumField() {
			if name, _, _ := strings.Cut(study.Field(i).Tag.Get("json"), ","); name == a.JSON {
				fields = append(fields, studyField{i, a})
			}
		}
	}
	return fields
}()

// orEmpty returns an empty list for nil, which JSON would show as null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func warningsOf(warnings []qr.Warning) []api.Warning {
	out := make([]api.Warning, len(warnings))
	for i, w := range warnings {
		out[i] = api.Warning{Code: api.WarningCode(w.Code), Message: w.Message}
	}
	return out
}

// optional returns a pointer to s; nil for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

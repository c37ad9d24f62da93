package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/qr"
)

// maxFaults bounds the list of faults of one order.
const maxFaults = 100

// check returns what is wrong with an order, all of it, up to maxFaults.
func (s *Service) check(o *Order, now time.Time) error {
	var faults []Fault
	fault := func(item int, field, detail string) {
		faults = append(faults, Fault{Item: item, Field: field, Detail: detail})
	}
	if o.PACS == "" {
		fault(-1, "pacs", "is missing")
	} else if _, known := s.options.PACS.Lookup(o.PACS); !known {
		fault(-1, "pacs", "is not the name of a configured PACS")
	}
	if !o.DryRun && !dicomnet.ValidAETitle(o.Destination) {
		fault(-1, "c_move_ae_title", "is not an AE title; only a dry run can do without one")
	}
	if o.Window != nil && !o.Window.valid() {
		fault(-1, "window", "never opens, or is not a window of times of day")
	}
	if o.NotBefore.After(now.Add(s.options.Retention - time.Hour)) {
		fault(-1, "not_before", "is later than the time for which jobs are kept")
	}
	if o.Priority != High && o.Priority != Normal && o.Priority != Low {
		fault(-1, "priority", "is not high, normal or low")
	}
	switch {
	case len(o.Items) == 0:
		fault(-1, "items", "is empty")
	case len(o.Items) > s.options.MaxItems:
		fault(-1, "items", fmt.Sprintf("has %d items; at most %d are accepted", len(o.Items), s.options.MaxItems))
		return &InvalidError{Faults: faults}
	}
	seen := make(map[string]int, len(o.Items))
	for i := range o.Items {
		if len(faults) >= maxFaults {
			break
		}
		if field, detail := o.Items[i].check(now); detail != "" {
			fault(i, field, detail)
			continue
		}
		encoded, _ := json.Marshal(&o.Items[i]) // never fails
		if first, duplicate := seen[string(encoded)]; duplicate {
			fault(i, "", fmt.Sprintf("repeats item %d", first+1))
			continue
		}
		seen[string(encoded)] = i
		if len(encoded) > maxItem {
			fault(i, "", "is too long")
		}
	}
	if len(faults) > 0 {
		return &InvalidError{Faults: faults}
	}
	return nil
}

// maxItem bounds an encoded item.
const maxItem = 48 << 10

// check returns what is wrong with an item, and with which field; detail is "" if nothing is.
func (i *Item) check(now time.Time) (field, detail string) {
	i.PatientID, i.AccessionNumber = trim(i.PatientID), trim(i.AccessionNumber)
	i.StudyInstanceUID, i.IssuerOfPatientID = trim(i.StudyInstanceUID), trim(i.IssuerOfPatientID)
	switch {
	case i.PatientID == "" && i.AccessionNumber == "" && i.StudyInstanceUID == "":
		return "", "has none of patient_id, accession_number and study_instance_uid"
	case i.PatientID == "" && i.StudyInstanceUID == "" && utf8.RuneCountInString(i.AccessionNumber) > maxAccession:
		return "accession_number", "has more than 16 characters, which needs a patient_id"
	case i.PatientID == "" && i.IssuerOfPatientID != "":
		return "issuer_of_patient_id", "needs a patient_id"
	case i.StudyInstanceUID != "" && len(i.StudyInstanceUIDs) > 0:
		return "study_instance_uids", "cannot be combined with study_instance_uid"
	}
	invalid, ok := errors.AsType[*qr.FilterError](i.filter(nil).Check(now))
	if !ok {
		return "", ""
	}
	field = strings.ToLower(strings.ReplaceAll(invalid.Field, " ", "_"))
	if field == "study_instance_uids" && i.StudyInstanceUID != "" {
		field = "study_instance_uid"
	}
	return field, "cannot be sent to a PACS"
}

// maxAccession is the length of an SH value (PS3.5 section 6.2): a longer one is not sent as a key.
const maxAccession = 16

func trim(s string) string { return strings.Trim(s, " \x00") }

func (w *Window) valid() bool {
	return w.From >= 0 && w.From < minutesPerDay && w.To >= 0 && w.To <= minutesPerDay && w.From != w.To
}

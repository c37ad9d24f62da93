package jobs

import (
	"encoding/json"
	"slices"

	"dicom-qr-gateway/qr"
)

// report is what an attempt came to, as it is kept. It covers all attempts of an item: what an earlier one moved stays.
type report struct {
	Failure    *Failure    `json:"failure,omitempty"`
	Retrievals []retrieval `json:"retrievals,omitempty"`
	Studies    []found     `json:"studies,omitempty"`
	Warnings   []warning   `json:"warnings,omitempty"`
	Cut        int         `json:"cut,omitempty"`
}

type retrieval struct {
	StudyInstanceUID string             `json:"study"`
	Status           qr.RetrievalStatus `json:"status"`
	DICOMStatus      string             `json:"dicom_status,omitempty"`
	Completed        *int               `json:"completed,omitempty"`
	Failed           *int               `json:"failed,omitempty"`
	Warning          *int               `json:"warning,omitempty"`
	FailedUIDs       []string           `json:"failed_uids,omitempty"`
}

// found is a study that a dry run found. Names and other data of the patient are not kept.
type found struct {
	StudyInstanceUID string   `json:"study"`
	Description      string   `json:"description,omitempty"`
	Modalities       []string `json:"modalities,omitempty"`
	Date             string   `json:"date,omitempty"`
	AccessionNumber  string   `json:"accession_number,omitempty"`
}

type warning struct {
	Code    qr.WarningCode `json:"code"`
	Message string         `json:"message"`
}

// maxReport bounds an encoded report, so that a page of reports is bounded and each fits into a message.
const maxReport = 64 << 10

// encode returns the report as it is kept. What exceeds maxReport is left out and counted: Failed SOP Instance UIDs first.
func (r *report) encode() []byte {
	short := *r
	for most := 1 << 14; ; most /= 2 {
		encoded, _ := json.Marshal(&short) // never fails
		if len(encoded) <= maxReport || most == 0 {
			return encoded
		}
		short.shorten(most)
	}
}

// shorten keeps at most so many Failed SOP Instance UIDs of each study, and a quarter as many studies.
func (r *report) shorten(most int) {
	list := make([]retrieval, len(r.Retrievals))
	copy(list, r.Retrievals)
	for i := range list {
		if cut := len(list[i].FailedUIDs) - most/4; cut > 0 {
			list[i].FailedUIDs = list[i].FailedUIDs[:most/4]
			r.Cut += cut
		}
	}
	if cut := len(list) - most; cut > 0 {
		list = list[:most]
		r.Cut += cut
	}
	r.Retrievals = list
	if cut := len(r.Studies) - most; cut > 0 {
		r.Studies = r.Studies[:most]
		r.Cut += cut
	}
}

func decodeReport(data []byte) (*report, error) {
	r := &report{}
	if len(data) == 0 {
		return r, nil
	}
	return r, json.Unmarshal(data, r)
}

// fill copies the report into what callers see.
func (r *report) fill(i *ItemReport) {
	i.Failure, i.Cut = r.Failure, r.Cut
	for _, f := range r.Studies {
		if f.Modalities == nil {
			f.Modalities = []string{}
		}
		i.Studies = append(i.Studies, qr.Study{
			StudyInstanceUID: f.StudyInstanceUID, StudyDescription: f.Description, ModalitiesInStudy: f.Modalities, StudyDate: f.Date,
			AccessionNumber: f.AccessionNumber,
		})
	}
	for _, m := range r.Retrievals {
		if m.FailedUIDs == nil {
			m.FailedUIDs = []string{}
		}
		i.Retrievals = append(i.Retrievals, qr.Retrieval{
			StudyInstanceUID: m.StudyInstanceUID, Status: m.Status, DICOMStatus: m.DICOMStatus,
			Completed: m.Completed, Failed: m.Failed, Warning: m.Warning, FailedSOPInstanceUIDs: m.FailedUIDs,
		})
	}
	for _, w := range r.Warnings {
		i.Warnings = append(i.Warnings, qr.Warning(w))
	}
}

// moved returns the studies that need not be moved again.
func (r *report) moved() []string {
	var list []string
	for i := range r.Retrievals {
		if r.Retrievals[i].Status == qr.RetrievalOK {
			list = append(list, r.Retrievals[i].StudyInstanceUID)
		}
	}
	return list
}

// add adds the outcomes of a further attempt.
func (r *report) add(result *qr.RetrieveResult) {
	at := make(map[string]int, len(r.Retrievals))
	for i := range r.Retrievals {
		at[r.Retrievals[i].StudyInstanceUID] = i
	}
	for i := range result.Retrievals {
		m := &result.Retrievals[i]
		entry := retrieval{
			StudyInstanceUID: m.StudyInstanceUID, Status: m.Status, DICOMStatus: m.DICOMStatus,
			Completed: m.Completed, Failed: m.Failed, Warning: m.Warning, FailedUIDs: m.FailedSOPInstanceUIDs,
		}
		if known, ok := at[m.StudyInstanceUID]; !ok {
			r.Retrievals = append(r.Retrievals, entry)
		} else if entry.arrived() || !r.Retrievals[known].arrived() {
			r.Retrievals[known] = entry // else what an earlier attempt moved stays
		}
	}
	r.warn(result.Warnings)
}

// find sets the studies that a dry run found.
func (r *report) find(result *qr.QueryResult) {
	r.Failure, r.Studies, r.Cut = nil, nil, 0
	for i := range result.Studies {
		s := &result.Studies[i]
		r.Studies = append(r.Studies, found{
			StudyInstanceUID: s.StudyInstanceUID, Description: s.StudyDescription, Modalities: s.ModalitiesInStudy, Date: s.StudyDate,
			AccessionNumber: s.AccessionNumber,
		})
	}
	r.warn(result.Warnings)
}

func (r *report) warn(list []qr.Warning) {
	r.Warnings = nil
	for _, w := range list {
		r.Warnings = append(r.Warnings, warning(w))
	}
}

// arrived reports whether an instance of the study arrived.
func (m *retrieval) arrived() bool {
	return m.Status == qr.RetrievalOK || m.Status == qr.RetrievalPartial || valueOf(m.Completed)+valueOf(m.Warning) > 0
}

func valueOf(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// anything reports whether anything was moved.
func (r *report) anything() bool {
	return slices.ContainsFunc(r.Retrievals, func(m retrieval) bool { return m.arrived() })
}

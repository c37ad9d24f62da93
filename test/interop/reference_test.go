//go:build interop

package interop

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
)

// filter is the filter of a test, for the gateway and for the reference.
type filter struct {
	modalities  []string
	maxYearsOld int
	maxResults  int
}

// reference returns what the gateway must return: what findscu gets from the source for a patient, with the filter applied as
// the contract defines it.
func (s source) reference(t *testing.T, patientID string, f filter) []goclient.Study {
	t.Helper()
	keys := []string{
		"PatientID=" + patientID, "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDescription",
		"StudyTime", "AccessionNumber", "ReferringPhysicianName", "PerformingPhysicianName", "InstitutionName",
	}
	date := "StudyDate"
	if f.maxYearsOld > 0 {
		date += "=" + time.Now().AddDate(-f.maxYearsOld, 0, 0).Format("20060102") + "-"
	}
	var studies []goclient.Study
	for _, ds := range s.findscu(t, "STUDY", append(keys, date)...) {
		study := goclient.Study{
			PatientName: text(ds, tag.PatientName), PatientID: text(ds, tag.PatientID),
			DateOfBirth:      text(ds, tag.PatientBirthDate),
			StudyInstanceUID: text(ds, tag.StudyInstanceUID), StudyDescription: text(ds, tag.StudyDescription),
			StudyDate: text(ds, tag.StudyDate), StudyTime: text(ds, tag.StudyTime),
			AccessionNumber:         text(ds, tag.AccessionNumber),
			ReferringPhysicianName:  text(ds, tag.ReferringPhysicianName),
			PerformingPhysicianName: text(ds, tag.PerformingPhysicianName),
			InstitutionName:         text(ds, tag.InstitutionName),
		}
		study.ModalitiesInStudy = s.modalities(t, study.StudyInstanceUID)
		if f.allows(study.ModalitiesInStudy) {
			studies = append(studies, study)
		}
	}
	slices.SortFunc(studies, func(a, b goclient.Study) int {
		return cmp.Or(cmp.Compare(b.StudyDate, a.StudyDate), cmp.Compare(b.StudyTime, a.StudyTime))
	})
	if f.maxResults > 0 {
		studies = studies[:min(len(studies), f.maxResults)]
	}
	return studies
}

// modalities returns the modalities of a study's series, which every PACS returns. They do not change, and findscu takes a tenth
// of a second, so the result is cached.
func (s source) modalities(t *testing.T, studyInstanceUID string) []string {
	t.Helper()
	asked := [2]string{s.name, studyInstanceUID}
	if known, ok := modalitiesAsked[asked]; ok {
		return known
	}
	modalities := []string{}
	for _, ds := range s.findscu(t, "SERIES", "StudyInstanceUID="+studyInstanceUID, "SeriesInstanceUID", "Modality") {
		modalities = append(modalities, text(ds, tag.Modality))
	}
	slices.Sort(modalities)
	modalitiesAsked[asked] = slices.Compact(modalities)
	return modalitiesAsked[asked]
}

var modalitiesAsked = map[[2]string][]string{}

func (f filter) allows(modalities []string) bool {
	return len(f.modalities) == 0 || slices.ContainsFunc(modalities, func(m string) bool {
		return slices.Contains(f.modalities, m)
	})
}

// instances returns the SOP Instance UIDs of a study as they were loaded, sorted.
func instances(studyInstanceUID string) []string {
	var uids []string
	for _, s := range demo.Studies() {
		if s.UID() != studyInstanceUID {
			continue
		}
		for _, in := range s.Instances() {
			uids = append(uids, in.Text(tag.SOPInstanceUID))
		}
	}
	slices.Sort(uids)
	return uids
}

// query returns a request for a patient's studies.
func (s source) query(patientID string, f filter) goclient.QueryRequest {
	r := goclient.QueryRequest{
		PACSIP: "127.0.0.1", PACSPort: s.port, PACSAETitle: s.aeTitle,
		CFindAETitle: "GATEWAY", PatientID: patientID, Modalities: f.modalities,
	}
	if f.maxYearsOld > 0 {
		r.MaxYearsOld = &f.maxYearsOld
	}
	if f.maxResults > 0 {
		r.MaxResults = &f.maxResults
	}
	return r
}

// retrieve returns the same request with a move destination.
func (s source) retrieve(patientID string, f filter, destination string) goclient.RetrieveRequest {
	q := s.query(patientID, f)
	return goclient.RetrieveRequest{
		PACSIP: q.PACSIP, PACSPort: q.PACSPort, PACSAETitle: q.PACSAETitle,
		CFindAETitle: q.CFindAETitle, PatientID: q.PatientID, CMoveAETitle: destination,
		Modalities: q.Modalities, MaxYearsOld: q.MaxYearsOld, MaxResults: q.MaxResults,
	}
}

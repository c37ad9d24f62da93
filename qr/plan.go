package qr

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// plan is a checked Filter in the form in which matches are compared with it.
type plan struct {
	patientID        string              // "": any
	patientNFC       string              // the same in Unicode NFC
	issuer           string              // in NFC as well; "": any
	accession        string              // in NFC as well; "": any
	uids             []string            // wanted, each once
	wanted           map[string]struct{} // the same; nil: any
	earliest, latest int                 // as 20240131; zero: any
	modalities       []string
	maxResults       int
}

func newPlan(f *Filter, today time.Time) (*plan, error) {
	p := &plan{
		patientID:  trim(f.PatientID),
		issuer:     norm.NFC.String(trim(f.IssuerOfPatientID)),
		accession:  norm.NFC.String(trim(f.AccessionNumber)),
		maxResults: f.MaxResults,
	}
	switch {
	case p.patientID == "" && !f.AnyPatient, !literal(p.patientID, 64):
		return nil, &FilterError{Field: "patient ID"}
	case !literal(p.issuer, 64):
		return nil, &FilterError{Field: "issuer of patient ID"}
	case !literal(p.accession, 64):
		return nil, &FilterError{Field: "accession number"}
	case f.MaxYearsOld < 0:
		return nil, &FilterError{Field: "max years old"}
	case f.MaxResults < 0:
		return nil, &FilterError{Field: "max results"}
	}
	p.patientNFC = norm.NFC.String(p.patientID)
	if err := p.setUIDs(f.StudyInstanceUIDs); err != nil {
		return nil, err
	}
	if err := p.setDates(f, today); err != nil {
		return nil, err
	}
	if p.anyPatient() && !p.sendsAccession() && len(p.uids) != 1 {
		return nil, &FilterError{Field: "patient ID"} // the query would be for all studies of the PACS
	}
	for _, m := range f.Modalities {
		m = trim(m)
		if m == "" || !literal(m, 16) {
			return nil, &FilterError{Field: "modalities"}
		}
		p.modalities = append(p.modalities, m)
	}
	return p, nil
}

// anyPatient reports whether the studies may be of any patient.
func (p *plan) anyPatient() bool { return p.patientID == "" }

// isPatient reports whether id is the Patient ID that is asked for, or any may be.
func (p *plan) isPatient(id string) bool {
	return p.anyPatient() || id == p.patientID || id != "" && sameText(id, p.patientNFC)
}

func (p *plan) setUIDs(uids []string) error {
	for _, uid := range uids {
		if !validUID(uid) {
			return &FilterError{Field: "study instance UIDs"}
		}
		if p.wanted == nil {
			p.wanted = make(map[string]struct{}, len(uids))
		}
		if _, seen := p.wanted[uid]; !seen {
			p.wanted[uid] = struct{}{}
			p.uids = append(p.uids, uid)
		}
	}
	return nil
}

func (p *plan) setDates(f *Filter, today time.Time) error {
	for _, bound := range [...]struct {
		text  string
		field string
		to    *int
	}{
		{f.StudyDateFrom, "study date from", &p.earliest},
		{f.StudyDateTo, "study date to", &p.latest},
	} {
		if bound.text == "" {
			continue
		}
		day, ok := parseDate(bound.text)
		if !ok {
			return &FilterError{Field: bound.field}
		}
		*bound.to = day
	}
	if f.MaxYearsOld > 0 {
		p.earliest = max(p.earliest, yearsBefore(today, f.MaxYearsOld))
	}
	return nil
}

// dated reports whether the plan restricts dates.
func (p *plan) dated() bool { return p.earliest != 0 || p.latest != 0 }

// impossible reports whether no study can match, so that no query is sent: PACS interpret a range that ends before it begins
// differently.
func (p *plan) impossible() bool { return p.latest != 0 && p.earliest > p.latest }

// literal reports whether s has at most n characters and no PACS reads it as a wildcard or a list.
func literal(s string, n int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= n &&
		!strings.ContainsAny(s, `*?\`) && !strings.ContainsFunc(s, unicode.IsControl)
}

func validUID(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && s[i] != '.' {
			return false
		}
	}
	return true
}

// trim removes padding: outer spaces are insignificant in every VR that is used here (PS3.5 section 6.2), and some peers pad
// with NUL.
func trim(s string) string {
	if s == "" || !isPadding(s[0]) && !isPadding(s[len(s)-1]) {
		return s
	}
	return strings.Trim(s, " \x00")
}

func isPadding(c byte) bool { return c == ' ' || c == 0 }

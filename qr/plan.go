package qr

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// plan is a Filter that was checked, in the form in which matches are held
// against it.
type plan struct {
	patientID        string
	accession        string
	uids             []string            // asked for, each once
	wanted           map[string]struct{} // the same; nil for any
	earliest, latest int                 // as 20240131; zero for any
	modalities       []string
	maxResults       int
}

func newPlan(f *Filter, today time.Time) (*plan, error) {
	p := &plan{
		patientID:  trim(f.PatientID),
		accession:  trim(f.AccessionNumber),
		maxResults: f.MaxResults,
	}
	switch {
	case p.patientID == "" || !literal(p.patientID, 64):
		return nil, &FilterError{Field: "patient ID"}
	case !literal(p.accession, 16):
		return nil, &FilterError{Field: "accession number"}
	case f.MaxYearsOld < 0:
		return nil, &FilterError{Field: "max years old"}
	case f.MaxResults < 0:
		return nil, &FilterError{Field: "max results"}
	}
	if err := p.takeUIDs(f.StudyInstanceUIDs); err != nil {
		return nil, err
	}
	if err := p.takeDates(f, today); err != nil {
		return nil, err
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

func (p *plan) takeUIDs(uids []string) error {
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

func (p *plan) takeDates(f *Filter, today time.Time) error {
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

// impossible reports whether no study at all can match, so that there is nothing to ask: PACS differ in what they make of
// a range that ends before it begins.
func (p *plan) impossible() bool { return p.latest != 0 && p.earliest > p.latest }

// literal reports whether s is text that no PACS reads as a wildcard or as a
// list, of at most n characters.
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

// trim takes off what pads a value: outer spaces mean nothing in any VR that is
// used here (PS3.5 section 6.2), and some peers pad with NUL.
func trim(s string) string {
	if s == "" || !isPadding(s[0]) && !isPadding(s[len(s)-1]) {
		return s
	}
	return strings.Trim(s, " \x00")
}

func isPadding(c byte) bool { return c == ' ' || c == 0 }

package qr

import (
	"strings"

	"golang.org/x/text/unicode/norm"

	"dicom-qr-gateway/dicomnet/dataset"
)

// issuers identify who issued the Patient ID of a match (PS3.3 section C.7.1.1): by a name, and by the universal ID of the
// qualifiers sequence. Each is "" if the match does not have it.
type issuers struct{ name, universalID string }

func issuersOf(set *dataset.Set) issuers {
	i := issuers{name: trim(set.Text(dataset.IssuerOfPatientID))}
	for _, item := range set.Items(dataset.IssuerOfPatientIDQualifiersSequence) {
		if i.universalID = trim(item.Text(dataset.UniversalEntityID)); i.universalID != "" {
			break
		}
	}
	return i
}

// have reports whether the match has the issuer, which is in Unicode NFC.
func (i issuers) have(issuer string) bool {
	return sameText(i.name, issuer) || sameText(i.universalID, issuer)
}

// sameText reports whether text is the wanted one, which is in Unicode NFC. Text that differs only in how Unicode composes its
// characters is the same.
func sameText(text, wanted string) bool {
	return text == wanted || !isASCII(text) && norm.NFC.String(text) == wanted
}

// identityCheck compares the matches of one Patient ID: different issuers, or a different name together with a different birth
// date, mean that the ID may be that of several people. A patient may also have two issuers, so no study is dropped.
type identityCheck struct {
	issuers         issuers
	name, birthDate string // of the first match that has each
}

func (i *identityCheck) check(s *candidate, by issuers, c *counts) {
	if s.PatientName == i.name && s.DateOfBirth == i.birthDate && by == i.issuers {
		return // nothing differs, as with almost every match
	}
	name := differs(&i.issuers.name, by.name)
	universalID := differs(&i.issuers.universalID, by.universalID)
	patientName, birthDate := differs(&i.name, s.PatientName), differs(&i.birthDate, s.DateOfBirth)
	if name || universalID || patientName && birthDate && comparableName(i.name) != comparableName(s.PatientName) {
		c[ambiguousPatient]++
	}
}

// differs reports whether value is not the known one. It sets known to the first value that is not empty.
func differs(known *string, value string) bool {
	if *known == "" {
		*known = value
	}
	return value != "" && value != *known && norm.NFC.String(value) != norm.NFC.String(*known)
}

// comparableName returns the alphabetic group of a person name without letter case, padding and empty components at the end,
// which modalities write differently.
func comparableName(name string) string {
	alphabetic, _, _ := strings.Cut(name, "=")
	if alphabetic == "" {
		alphabetic = name
	}
	components := strings.Split(norm.NFC.String(alphabetic), "^")
	for i := range components {
		components[i] = trim(components[i])
	}
	return strings.ToUpper(strings.TrimRight(strings.Join(components, "^"), "^"))
}

// dropIssuer drops a match that does not have the wanted issuer. One with another issuer is another patient's.
func (c *collector) dropIssuer(s *candidate, by issuers) {
	if by == (issuers{}) {
		c.counts[withoutIssuer]++
		return
	}
	c.distrust(s.StudyInstanceUID)
}

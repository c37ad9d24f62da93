package qr

import (
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// issuerOf returns the Issuer of Patient ID of a match, or that of its qualifiers sequence (PS3.3 section C.7.1.1), which names
// the issuer by a universal ID; "" if the match has neither.
func issuerOf(set *dataset.Set) string {
	if issuer := single(set, dataset.IssuerOfPatientID); issuer != "" {
		return issuer
	}
	for _, item := range set.Items(dataset.IssuerOfPatientIDQualifiersSequence) {
		if id := single(item, dataset.UniversalEntityID); id != "" {
			return id
		}
	}
	return ""
}

// identityCheck compares the matches of one Patient ID: different issuers, or a different name together with a different birth
// date, mean that the ID may be that of several people. A patient may also have two issuers, so no study is dropped.
type identityCheck struct {
	issuer, name, birthDate string // of the first match that has each
}

func (i *identityCheck) check(s *candidate, c *counts) {
	name := comparableName(s.PatientName)
	differs := func(known *string, value string) bool {
		if *known == "" {
			*known = value
		}
		return value != "" && value != *known
	}
	issuer, birthDate := differs(&i.issuer, s.issuer), differs(&i.birthDate, s.DateOfBirth)
	if differs(&i.name, name) && birthDate || issuer {
		c[ambiguousPatient]++
	}
}

// comparableName returns the alphabetic group of a person name without letter case, padding and trailing separators, which
// modalities write differently.
func comparableName(name string) string {
	alphabetic, _, _ := strings.Cut(name, "=")
	if alphabetic == "" {
		alphabetic = name
	}
	return strings.ToUpper(strings.TrimRight(trim(alphabetic), "^ "))
}

// dropIssuer drops a match that does not have the wanted issuer. One with another issuer is another patient's.
func (c *collector) dropIssuer(s *candidate) {
	if s.issuer == "" {
		c.counts[withoutIssuer]++
		return
	}
	c.distrust(s.StudyInstanceUID)
}

package wado

import (
	"slices"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// anySyntax permits instances as the PACS has them.
const anySyntax dataset.TransferSyntax = "*"

// Syntaxes are the transfer syntaxes that a request permits, the preferred ones first.
type Syntaxes []dataset.TransferSyntax

// with adds the value of a transfer-syntax parameter; "" is the default, Explicit VR Little Endian (PS3.18 section 8.7.3).
func (s Syntaxes) with(parameter string) Syntaxes {
	syntax := dataset.TransferSyntax(parameter)
	if syntax == "" {
		syntax = dataset.ExplicitVRLittleEndian
	}
	if slices.Contains(s, syntax) {
		return s
	}
	return append(s, syntax)
}

// Uncompressed reports whether the request permits Explicit VR Little Endian only.
func (s Syntaxes) Uncompressed() bool {
	return len(s) == 1 && s[0] == dataset.ExplicitVRLittleEndian
}

// Possible reports whether there are instances that the request permits: web services have no Implicit VR Little Endian and no Explicit
// VR Big Endian (PS3.18 section 8.7.3).
func (s Syntaxes) Possible() bool {
	return slices.ContainsFunc(s, func(t dataset.TransferSyntax) bool { return !excluded(t) })
}

func excluded(t dataset.TransferSyntax) bool {
	return t == dataset.ImplicitVRLittleEndian || t == dataset.ExplicitVRBigEndian
}

// For returns the transfer syntax in which an instance is sent that is stored in another; false if the request permits none that can be
// had. converts says whether an instance in a transfer syntax can become Explicit VR Little Endian.
func (s Syntaxes) For(stored dataset.TransferSyntax, converts func(dataset.TransferSyntax) bool) (dataset.TransferSyntax, bool) {
	for _, permitted := range s {
		switch {
		case permitted == stored && !excluded(stored), permitted == anySyntax && !excluded(stored):
			return stored, true
		case permitted == anySyntax || permitted == dataset.ExplicitVRLittleEndian:
			if converts(stored) {
				return dataset.ExplicitVRLittleEndian, true
			}
		}
	}
	return "", false
}

// String names the syntaxes for an entity tag.
func (s Syntaxes) String() string {
	names := make([]string, len(s))
	for i := range s {
		names[i] = string(s[i])
	}
	return strings.Join(names, ",")
}

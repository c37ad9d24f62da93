package match

import "dicom-qr-gateway/dicomnet/dataset"

// Identifier returns the identifier of a C-FIND request (PS3.4 section C.4.1.1.3.1): Specific Character Set ISO_IR 192, Query/Retrieve
// Level, the keys with their values, and the attributes of include without a value. The level is STUDY, SERIES, IMAGE or PATIENT.
// The caller adds the unique keys of the levels above as keys.
//
// A sequence is one item with the attributes that keys and include name in it; a sequence that is itself the end of a path is
// empty, which asks for all of it. A key that is not sent with its values, see [NewKey], is sent without.
//
// The error is a *ValueError: a path occurs in two keys, or a private attribute comes without the key of its private creator
// (PS3.5 section 7.8.1) beside it.
func Identifier(level string, keys []Key, include []Path) (*dataset.Dataset, error) {
	return &dataset.Dataset{}, nil
}

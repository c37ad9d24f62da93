package qr

import (
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Identifier is the identifier of the C-FIND by which f is asked for, in Explicit VR Little Endian: for whoever keeps a
// record of what was asked. MaxYearsOld counts from today.
func Identifier(f Filter, today time.Time) ([]byte, error) {
	plan, err := newPlan(&f, today)
	if err != nil {
		return nil, err
	}
	return dataset.Encode(newKeys().studies(plan), dataset.ExplicitVRLittleEndian)
}

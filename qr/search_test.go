package qr_test

import (
	"testing"
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
	"dicom-qr-gateway/qr/qrtest"
)

// today is the day on which a search of a test runs.
func today() time.Time { return qrtest.Today }

// keysOf returns one key, of the VR of the dictionary.
func keysOf(t *testing.T, tag dataset.Tag, values ...string) []match.Key {
	t.Helper()
	return []match.Key{keyOf(t, tag, values...)}
}

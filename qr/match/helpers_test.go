package match_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

// setOf returns a data set with the elements, in explicit VR and UTF-8.
func setOf(t testing.TB, elements ...*dicom.Element) *dataset.Set {
	t.Helper()
	ds := &dicom.Dataset{Elements: append([]*dicom.Element{dataset.Text(tag.SpecificCharacterSet, "ISO_IR 192")}, elements...)}
	b, err := dataset.Encode(ds, dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	return parse(t, b)
}

func parse(t testing.TB, b []byte) *dataset.Set {
	t.Helper()
	set, err := dataset.Parse(b, dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	return set
}

// valueOf returns an element with the values, which backslashes separate.
func valueOf(t testing.TB, of tag.Tag, vr, value string) *dicom.Element {
	t.Helper()
	var values []string
	if value != "" {
		values = strings.Split(value, `\`)
	}
	e, err := dataset.NewElement(of, vr, values...)
	require.NoError(t, err)
	return e
}

// key returns the key of a top level attribute.
func key(t testing.TB, of tag.Tag, values ...string) match.Key {
	t.Helper()
	k, err := match.NewKey(match.Path{of}, "", values, false)
	require.NoError(t, err, "%v %q", of, values)
	return k
}

// pathKey returns the key of an attribute in a sequence.
func pathKey(t testing.TB, value string, path ...tag.Tag) match.Key {
	t.Helper()
	k, err := match.NewKey(path, "", []string{value}, false)
	require.NoError(t, err)
	return k
}

// textOf returns an element with text values, whatever VR the dictionary has.
func textOf(of tag.Tag, values ...string) *dicom.Element {
	if dataset.DictionaryVR(of) == "AT" {
		e, _ := dataset.NewElement(of, "LO", values...)
		return e
	}
	return dataset.Text(of, values...)
}

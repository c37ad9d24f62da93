package receive_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// The PACS calls a part of a data set the whole, as it may with a damaged file.
func TestInstanceWhoseDataSetEndsWithinAnElementHasNotArrived(t *testing.T) {
	s := study()
	bad := s.Instances()[1].Text(tag.SOPInstanceUID)
	truncate := dicomtest.Retrieval{Body: func(_ context.Context, in *dicomtest.Instance, body io.Reader) io.Reader {
		if in.Text(tag.SOPInstanceUID) != bad {
			return body
		}
		whole, err := io.ReadAll(body)
		assert.NoError(t, err)
		return bytes.NewReader(whole[:len(whole)-3])
	}}
	r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: truncate}})
	got, err := r.retrieve(t, r.request(s))
	require.NoError(t, err)
	assert.NotContains(t, got.uids, bad)
	assert.False(t, got.outcome.Complete)
	assert.Equal(t, []string{bad}, got.outcome.Missing)
}

package receive_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
)

// plan returns a hook that changes what the first n retrievals send.
func plan(n int, change func([]*dicomtest.Instance) []*dicomtest.Instance) func(dicomnet.Step, []*dicomtest.Instance) []*dicomtest.Instance {
	var times atomic.Int32
	return func(_ dicomnet.Step, list []*dicomtest.Instance) []*dicomtest.Instance {
		if int(times.Add(1)) > n {
			return list
		}
		return change(list)
	}
}

const always = 1 << 30

func TestAStudyASeriesAndAnInstanceAreRetrievedByCGET(t *testing.T) {
	r := newRig(t, rigOptions{})
	s := study()
	got := r.whole(t, s)
	assert.Equal(t, receive.WayGet, got.outcome.Way)
	assert.Equal(t, receive.BasisInventory, got.outcome.Basis)
	for _, in := range s.Instances() {
		want, err := in.Encode(got.syntaxes[in.Text(tag.SOPInstanceUID)])
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got.bytes[in.Text(tag.SOPInstanceUID)]))
	}
	assert.Equal(t, 1, r.pacs.Operations(dicomnet.StepGet))

	ct := s.Instances()[0]
	q := r.request(s)
	q.SeriesInstanceUID = ct.Text(tag.SeriesInstanceUID)
	got, err := r.retrieve(t, q)
	require.NoError(t, err)
	assert.Len(t, got.uids, 3)
	assert.True(t, got.outcome.Complete)

	q.SOPInstanceUID = ct.Text(tag.SOPInstanceUID)
	got, err = r.retrieve(t, q)
	require.NoError(t, err)
	assert.Equal(t, []string{q.SOPInstanceUID}, got.uids)
	assert.True(t, got.outcome.Complete)
	assert.Equal(t, 3, r.pacs.Operations(dicomnet.StepGet))
}

// PACS differ in what they send and say. The result is the same.
func TestAStudyIsCompleteFromEveryKindOfPACS(t *testing.T) {
	jpeg := dicomtest.Study{
		PatientID: "P2", AccessionNumber: "A2",
		Series: []dicomtest.Series{{Modality: "CT"}, {Modality: "XC", Image: func(int) dicomtest.Image {
			return dicomtest.Image{
				SOPClassUID: dicomtest.VLPhotographicImageStorage, TransferSyntax: dicomtest.JPEGBaseline,
				Frames: func() [][]byte { return [][]byte{{0xFF, 0xD8, 0xFF, 0xD9}} },
			}
		}}},
	}
	for name, o := range map[string]rigOptions{
		"that returns SOP classes of instances": {pacs: dicomtest.PACSConfig{HiddenKeys: []tag.Tag{tag.SOPClassesInStudy}}},
		"that returns no SOP classes":           {pacs: dicomtest.PACSConfig{HiddenKeys: []tag.Tag{tag.SOPClassUID, tag.SOPClassesInStudy}}},
		"that has C-GET in patient root alone":  {pacs: dicomtest.PACSConfig{RefuseContexts: []string{dicomnet.StudyRoot.Get}}},
		"with one row per instance":             {pacs: dicomtest.PACSConfig{RowPerInstance: true}},
		"with relational queries": {
			pacs:     dicomtest.PACSConfig{Relational: true},
			settings: pool.Settings{Profile: pool.Profile{Known: true, ImageLevelFind: true, RelationalQueries: true}},
		},
		"that sends no pending responses":  {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{OmitPending: true}}},
		"that does not confirm roles":      {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{UnconfirmedRoles: true}}},
		"that uses the first context":      {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{FirstContext: true}}},
		"that prefers implicit VR":         {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{NativeSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian}}}},
		"that has one association":         {max: 1},
		"that is asked in patient root":    {settings: pool.Settings{PatientRoot: true}},
		"that returns only the final 0000": {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{Final: withoutCounters}}},
		"that sends in another order": {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
			Plan: plan(always, func(list []*dicomtest.Instance) []*dicomtest.Instance { slices.Reverse(list); return list }),
		}}},
		"that sends some twice": {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
			Plan: plan(always, func(list []*dicomtest.Instance) []*dicomtest.Instance { return append(list, list[0], list[0]) }),
		}}},
		"that leaves out some at first": {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
			Plan: plan(1, func(list []*dicomtest.Instance) []*dicomtest.Instance { return without(list, 1, 3) }),
		}}},
		"that sends none at first": {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
			Plan: plan(1, func([]*dicomtest.Instance) []*dicomtest.Instance { return nil }),
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			o.studies = []dicomtest.Study{study(), jpeg}
			r := newRig(t, o)
			r.whole(t, o.studies[0])
			if !o.pacs.Retrieval.FirstContext {
				o.pacs.Retrieval.Plan = nil
				got := r.whole(t, jpeg)
				assert.Contains(t, got.syntaxes, jpeg.Instances()[1].Text(tag.SOPInstanceUID))
				assert.Equal(t, dicomtest.JPEGBaseline, got.syntaxes[jpeg.Instances()[1].Text(tag.SOPInstanceUID)])
			}
		})
	}
}

func withoutCounters(_ dicomnet.Step, r *dicomnet.RetrieveReport) {
	r.Completed, r.Failed, r.Warning, r.Remaining = nil, nil, nil, nil
}

// A PACS that stops at the first instance that it cannot send is asked for the others one by one.
func TestAfterAFailureTheRestIsAskedForOneByOne(t *testing.T) {
	s := study()
	refused := s.Instances()[1].Text(tag.SOPInstanceUID)
	var once atomic.Bool
	r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
		StopAtFailure: true,
		Body: func(_ context.Context, in *dicomtest.Instance, body io.Reader) io.Reader {
			if in.Text(tag.SOPInstanceUID) == refused && once.CompareAndSwap(false, true) {
				b, _ := io.ReadAll(body)
				return bytes.NewReader(bytes.Replace(b, []byte(s.UID()), []byte("9.9"+s.UID()[3:]), 1))
			}
			return body
		},
	}}})
	got := r.whole(t, s)
	assert.Equal(t, 1, got.outcome.Refused)
	assert.Equal(t, 1+len(uids(s))-1, r.pacs.Operations(dicomnet.StepGet))
}

func TestWhatStaysMissingIsNamed(t *testing.T) {
	s := study()
	lacking := s.Instances()[1].Text(tag.SOPInstanceUID)
	r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
		Plan: plan(always, func(list []*dicomtest.Instance) []*dicomtest.Instance {
			return slices.DeleteFunc(list, func(in *dicomtest.Instance) bool { return in.Text(tag.SOPInstanceUID) == lacking })
		}),
	}}})
	got, err := r.retrieve(t, r.request(s))
	require.NoError(t, err)
	assert.Len(t, got.uids, len(uids(s))-1)
	assert.False(t, got.outcome.Complete)
	assert.Equal(t, qr.RetrievalPartial, got.outcome.Status)
	assert.Equal(t, []string{lacking}, got.outcome.Missing)
	assert.Equal(t, 1, got.outcome.MissingCount)
	var incomplete *receive.IncompleteError
	require.ErrorAs(t, got.outcome.Err, &incomplete)
	assert.Equal(t, &receive.IncompleteError{Received: 4, Missing: 1}, incomplete)
	assert.Equal(t, "4 instances arrived, 1 are missing", incomplete.Error())
}

func TestNothingOfAnotherStudySeriesOrInstanceIsHandedOn(t *testing.T) {
	other := dicomtest.Study{PatientID: "P9", AccessionNumber: "A9", Series: []dicomtest.Series{{Modality: "CT"}}}
	s := study()
	r := newRig(t, rigOptions{
		studies: []dicomtest.Study{s, other},
		pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
			Plan: plan(always, func([]*dicomtest.Instance) []*dicomtest.Instance { return append(other.Instances(), s.Instances()...) }),
		}},
	})
	got := r.whole(t, s)
	assert.Equal(t, 1, got.outcome.Refused)

	first := s.Instances()[0]
	q := r.request(s)
	q.SeriesInstanceUID = first.Text(tag.SeriesInstanceUID)
	got, err := r.retrieve(t, q)
	require.NoError(t, err)
	assert.Len(t, got.uids, 3)
	assert.True(t, got.outcome.Complete)
	assert.Equal(t, 3, got.outcome.Refused)

	q.SOPInstanceUID = first.Text(tag.SOPInstanceUID)
	got, err = r.retrieve(t, q)
	require.NoError(t, err)
	assert.Equal(t, []string{q.SOPInstanceUID}, got.uids)
	assert.True(t, got.outcome.Complete)
}

// What the command set says of an instance must be what its data set says.
func TestAnInstanceThatContradictsItsCommandIsNotHandedOn(t *testing.T) {
	for name, replace := range map[string]func(in *dicomtest.Instance) (old, changed string){
		"another SOP instance": func(in *dicomtest.Instance) (string, string) {
			uid := in.Text(tag.SOPInstanceUID)
			return uid, "3" + uid[1:]
		},
		"another SOP class": func(in *dicomtest.Instance) (string, string) {
			uid := in.Text(tag.SOPClassUID)
			return uid, "3" + uid[1:]
		},
		"no valid UID": func(in *dicomtest.Instance) (string, string) {
			uid := in.Text(tag.SOPInstanceUID)
			return uid, "x" + uid[1:]
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := study()
			bad := s.Instances()[0].Text(tag.SOPInstanceUID)
			r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
				Body: func(_ context.Context, in *dicomtest.Instance, body io.Reader) io.Reader {
					if in.Text(tag.SOPInstanceUID) != bad {
						return body
					}
					b, _ := io.ReadAll(body)
					old, changed := replace(in)
					return bytes.NewReader(bytes.Replace(b, []byte(old), []byte(changed), 1))
				},
			}}})
			got, err := r.retrieve(t, r.request(s))
			require.NoError(t, err)
			assert.NotContains(t, got.uids, bad)
			assert.Equal(t, []string{bad}, got.outcome.Missing)
			assert.Positive(t, got.outcome.Refused)
		})
	}
}

// An instance that the inventory lacks has come to the study since.
func TestAnInstanceThatTheInventoryLacksIsHandedOn(t *testing.T) {
	s := study()
	more := s
	more.Series = slices.Clone(s.Series)
	more.Series[0].Instances++
	r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
		Plan: plan(always, func([]*dicomtest.Instance) []*dicomtest.Instance { return more.Instances() }),
	}}})
	got, err := r.retrieve(t, r.request(s))
	require.NoError(t, err)
	assert.Equal(t, uids(more), got.uids)
	assert.True(t, got.outcome.Complete)
	assert.Equal(t, 1, got.outcome.Unexpected)
}

func TestAPACSThatSendsFarMoreThanItListsIsStopped(t *testing.T) {
	s := study()
	many := dicomtest.Study{PatientID: "P1", StudyInstanceUID: s.UID(), Series: []dicomtest.Series{{Modality: "SR", Instances: 1000}}}
	r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
		Plan: plan(always, func([]*dicomtest.Instance) []*dicomtest.Instance { return many.Instances() }),
	}}})
	got, err := r.retrieve(t, r.request(s))
	require.NoError(t, err)
	assert.LessOrEqual(t, len(got.uids), 105)
	assert.False(t, got.outcome.Complete)
	var flood *receive.FloodError
	require.ErrorAs(t, got.outcome.Err, &flood)
	assert.Equal(t, 105, flood.Max)
	assert.Equal(t, "more than 105 instances", flood.Error())
}

func TestRepetitionsWithoutEndAreStopped(t *testing.T) {
	s := study()
	r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
		Plan: plan(always, func(list []*dicomtest.Instance) []*dicomtest.Instance { return slices.Repeat(list[3:4], 1000) }),
	}}})
	got, err := r.retrieve(t, r.request(s))
	require.NoError(t, err)
	assert.Len(t, got.uids, 1)
	assert.LessOrEqual(t, got.outcome.Duplicates, 211)
	var flood *receive.FloodError
	require.ErrorAs(t, got.outcome.Err, &flood)
}

func TestARepetitionWithAnotherContentIsCounted(t *testing.T) {
	s := study()
	var times atomic.Int32
	r := newRig(t, rigOptions{pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{
		Plan: plan(always, func(list []*dicomtest.Instance) []*dicomtest.Instance { return append(list, list[3], list[3]) }),
		Body: func(_ context.Context, in *dicomtest.Instance, body io.Reader) io.Reader {
			if in.Text(tag.SOPInstanceUID) == s.Instances()[3].Text(tag.SOPInstanceUID) && times.Add(1) == 2 {
				return io.MultiReader(body, bytes.NewReader(make([]byte, 2)))
			}
			return body
		},
	}}})
	got := r.whole(t, s)
	assert.Equal(t, 2, got.outcome.Duplicates)
	assert.Equal(t, 1, got.outcome.Differing)
}

// photograph is a study that the PACS of the tests has in JPEG Baseline and does not decompress.
func photograph() dicomtest.Study {
	return dicomtest.Study{
		PatientID: "P2", AccessionNumber: "A2",
		Series: []dicomtest.Series{{Modality: "CT"}, {Modality: "XC", Image: func(int) dicomtest.Image {
			return dicomtest.Image{
				SOPClassUID: dicomtest.VLPhotographicImageStorage, TransferSyntax: dicomtest.JPEGBaseline,
				Frames: func() [][]byte { return [][]byte{{0xFF, 0xD8, 0xFF, 0xD9}} },
			}
		}}},
	}
}

// Callers convert what a PACS does not decompress, or say that they cannot.
func TestWhatAPACSDoesNotDecompressComesAsItIsStored(t *testing.T) {
	s := photograph()
	for name, o := range map[string]rigOptions{
		"by C-GET":                        {},
		"by C-GET after a failure":        {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{StopAtFailure: true}}},
		"by C-GET, in the first context":  {pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{FirstContext: true}}},
		"by C-MOVE":                       {scp: true, settings: moving()},
		"by C-MOVE, several associations": {scp: true, settings: moving(), pacs: dicomtest.PACSConfig{Retrieval: dicomtest.Retrieval{PerAssociation: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			o.studies = []dicomtest.Study{s}
			r := newRig(t, o)
			q := r.request(s)
			q.Uncompressed = true
			got, err := r.retrieve(t, q)
			require.NoError(t, err)
			assert.Equal(t, uids(s), got.uids)
			assert.True(t, got.outcome.Complete, "%+v", got.outcome)
			assert.Equal(t, dataset.ExplicitVRLittleEndian, got.syntaxes[s.Instances()[0].Text(tag.SOPInstanceUID)])
			assert.Equal(t, dicomtest.JPEGBaseline, got.syntaxes[s.Instances()[1].Text(tag.SOPInstanceUID)])
		})
	}
}

package dicomtest_test

import (
	"context"
	"crypto/sha256"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// dialGet opens an association for C-GET of the studies, with a presentation context for each SOP class and transfer syntax.
func dialGet(t *testing.T, pacs *dicomtest.PACS, syntaxes []dataset.TransferSyntax, studies ...dicomtest.Study) *dicomnet.Association {
	t.Helper()
	const d = 5 * time.Second
	cfg := dicomnet.Config{
		CalledAETitle: aeTitle, CallingAETitle: "TEST",
		Timeouts: dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Move: d, Network: d},
		Limits:   dicomnet.Limits{MaxPDULength: 131072},
		Contexts: []dicomnet.Context{
			{AbstractSyntax: dicomnet.StudyRoot.Get, TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian}},
			{AbstractSyntax: dicomnet.PatientRoot.Get, TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian}},
		},
	}
	var classes []string
	for _, s := range studies {
		for _, in := range s.Instances() {
			if class := in.Text(tag.SOPClassUID); !slices.Contains(classes, class) {
				classes = append(classes, class)
				cfg.Roles = append(cfg.Roles, dicomnet.Role{SOPClassUID: class, SCP: true})
				for _, ts := range syntaxes {
					cfg.Contexts = append(cfg.Contexts, dicomnet.Context{AbstractSyntax: class, TransferSyntaxes: []dataset.TransferSyntax{ts}})
				}
			}
		}
	}
	assoc, err := dicomnet.Dial(t.Context(), pacs.Addr(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = assoc.Close() })
	return assoc
}

// got is what a C-GET brought.
type got struct {
	uids     []string
	syntaxes []dataset.TransferSyntax
	sums     map[string][32]byte
	reports  []dicomnet.RetrieveReport
	err      error
}

func (g *got) final() dicomnet.RetrieveReport { return g.reports[len(g.reports)-1] }

func get(t *testing.T, assoc *dicomnet.Association, query *dicom.Dataset) *got {
	t.Helper()
	g := &got{sums: map[string][32]byte{}}
	report := func(r dicomnet.RetrieveReport) { g.reports = append(g.reports, r) }
	for in, err := range assoc.Get(t.Context(), dicomnet.StudyRoot, query, report) {
		if err != nil {
			g.err = err
			continue
		}
		h := sha256.New()
		_, err := io.Copy(h, in)
		require.NoError(t, err)
		g.uids = append(g.uids, in.SOPInstanceUID)
		g.syntaxes = append(g.syntaxes, in.TransferSyntax)
		g.sums[in.SOPInstanceUID] = [32]byte(h.Sum(nil))
	}
	return g
}

func sum(t *testing.T, in *dicomtest.Instance, ts dataset.TransferSyntax) [32]byte {
	t.Helper()
	r, err := in.Open(ts)
	require.NoError(t, err)
	h := sha256.New()
	_, err = io.Copy(h, r)
	require.NoError(t, err)
	return [32]byte(h.Sum(nil))
}

func uidsOf(instances []*dicomtest.Instance) []string {
	uids := make([]string, 0, len(instances))
	for _, in := range instances {
		uids = append(uids, in.Text(tag.SOPInstanceUID))
	}
	return uids
}

var native = []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian}

// threeCT is a study of three CT images of 300 KiB.
func threeCT() dicomtest.Study { return dicomtest.GeneratedStudy("GEN-1", 3, 300<<10) }

// listenGet runs a PACS with the study threeCT and another of one instance.
func listenGet(t *testing.T, r dicomtest.Retrieval) *dicomtest.PACS {
	t.Helper()
	pacs := listen(t, dicomtest.PACSConfig{Retrieval: r})
	require.NoError(t, pacs.AddStudies(threeCT(), dicomtest.GeneratedStudy("GEN-2", 1, 10)))
	return pacs
}

func TestGetSendsEveryInstanceOfTheStudy(t *testing.T) {
	s := threeCT()
	pacs := listenGet(t, dicomtest.Retrieval{})
	assoc := dialGet(t, pacs, native, s)
	assert.False(t, assoc.UnconfirmedSCP())

	g := get(t, assoc, ofStudy(s))

	require.NoError(t, g.err)
	assert.Equal(t, uidsOf(s.Instances()), g.uids)
	for _, in := range s.Instances() {
		assert.Equal(t, sum(t, in, dataset.ExplicitVRLittleEndian), g.sums[in.Text(tag.SOPInstanceUID)])
	}
	require.Len(t, g.reports, 4)
	assert.Equal(t, [4]int{2, 1, 0, 0}, counters(g.reports[0]))
	assert.Equal(t, [4]int{-1, 3, 0, 0}, counters(g.final()))
	assert.Equal(t, 1, pacs.Operations(dicomnet.StepGet))
	again := get(t, assoc, identifier("IMAGE", want(tag.StudyInstanceUID, s.UID()),
		want(tag.SeriesInstanceUID, s.Instances()[0].Text(tag.SeriesInstanceUID)), want(tag.SOPInstanceUID, g.uids[1])))
	require.NoError(t, again.err)
	assert.Equal(t, g.uids[1:2], again.uids)
}

func TestGetSendsCompressedInstancesInTheirTransferSyntax(t *testing.T) {
	const rle dataset.TransferSyntax = "1.2.840.10008.1.2.5"
	s := dicomtest.Study{PatientID: "RLE", AccessionNumber: "1", Series: []dicomtest.Series{{Modality: "OT", Image: func(int) dicomtest.Image {
		return dicomtest.Image{SOPClassUID: ctImageStorage, TransferSyntax: rle, Frames: func() [][]byte { return [][]byte{{1, 2, 3}} }}
	}}}}
	pacs := listenGet(t, dicomtest.Retrieval{})
	require.NoError(t, pacs.AddStudies(s))
	g := get(t, dialGet(t, pacs, append(slices.Clone(native), rle), s), ofStudy(s))
	require.NoError(t, g.err)
	assert.Equal(t, []dataset.TransferSyntax{rle}, g.syntaxes)
	assert.Equal(t, sum(t, s.Instances()[0], rle), g.sums[g.uids[0]])
}

func TestGetOfAnIdentifierThatSelectsNothingFails(t *testing.T) {
	pacs := listenGet(t, dicomtest.Retrieval{})
	g := get(t, dialGet(t, pacs, native, threeCT()), identifier("STUDY", want(tag.StudyInstanceUID)))
	requireStatus(t, dicomnet.StatusIdentifierMismatch, g.err)
}

func TestGetImitatesOtherPACS(t *testing.T) {
	s, other := threeCT(), dicomtest.GeneratedStudy("GEN-2", 1, 10)
	all := uidsOf(s.Instances())
	implicitFirst := []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian}
	cases := map[string]struct {
		retrieval dicomtest.Retrieval
		syntaxes  []dataset.TransferSyntax
		want      []string
		status    dicomnet.Status
		check     func(t *testing.T, g *got)
	}{
		"first context": {
			dicomtest.Retrieval{FirstContext: true},
			implicitFirst, all, 0,
			func(t *testing.T, g *got) { assert.Equal(t, dataset.ImplicitVRLittleEndian, g.syntaxes[0]) },
		},
		"stored syntax": {
			dicomtest.Retrieval{},
			implicitFirst, all, 0,
			func(t *testing.T, g *got) { assert.Equal(t, dataset.ExplicitVRLittleEndian, g.syntaxes[0]) },
		},
		"implicit": {
			dicomtest.Retrieval{NativeSyntaxes: implicitFirst},
			native, all, 0,
			func(t *testing.T, g *got) { assert.Equal(t, dataset.ImplicitVRLittleEndian, g.syntaxes[0]) },
		},
		"no context for the class": {
			dicomtest.Retrieval{},
			[]dataset.TransferSyntax{dicomtest.JPEGBaseline},
			nil, dicomnet.StatusCannotPerform,
			func(t *testing.T, g *got) { assert.Equal(t, all, g.final().FailedSOPInstanceUIDs) },
		},
		"stop at the first failure": {
			dicomtest.Retrieval{StopAtFailure: true},
			[]dataset.TransferSyntax{dicomtest.JPEGBaseline},
			nil, dicomnet.StatusUnableToProcess,
			func(t *testing.T, g *got) {
				assert.Empty(t, g.final().FailedSOPInstanceUIDs)
				assert.Equal(t, [4]int{-1, -1, -1, -1}, counters(g.final()))
			},
		},
		"no pending responses": {
			dicomtest.Retrieval{OmitPending: true},
			native, all, 0,
			func(t *testing.T, g *got) { assert.Len(t, g.reports, 1) },
		},
		"success without instances": {
			dicomtest.Retrieval{
				Plan:  func(dicomnet.Step, []*dicomtest.Instance) []*dicomtest.Instance { return nil },
				Final: func(_ dicomnet.Step, r *dicomnet.RetrieveReport) { r.Completed = new(uint16(7)) },
			},
			native, nil, 0,
			func(t *testing.T, g *got) { assert.Equal(t, [4]int{-1, 7, 0, 0}, counters(g.final())) },
		},
		"duplicates and another study": {
			dicomtest.Retrieval{Plan: func(_ dicomnet.Step, in []*dicomtest.Instance) []*dicomtest.Instance {
				return append(slices.Repeat(in[:1], 3), other.Instances()...)
			}}, native, []string{all[0], all[0], all[0], uidsOf(other.Instances())[0]}, 0, nil,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := get(t, dialGet(t, listenGet(t, c.retrieval), c.syntaxes, s), ofStudy(s))
			if c.status != 0 {
				requireStatus(t, c.status, g.err)
			} else {
				require.NoError(t, g.err)
			}
			assert.Equal(t, c.want, g.uids)
			if c.check != nil {
				c.check(t, g)
			}
		})
	}
}

func TestGetEndsAtACancellationUnlessThePACSIgnoresIt(t *testing.T) {
	for _, ignored := range []bool{false, true} {
		s := threeCT()
		pacs := listenGet(t, dicomtest.Retrieval{IgnoreCancel: ignored})
		assoc := dialGet(t, pacs, native, s)
		var final dicomnet.RetrieveReport
		for _, err := range assoc.Get(t.Context(), dicomnet.StudyRoot, ofStudy(s), func(r dicomnet.RetrieveReport) { final = r }) {
			require.NoError(t, err)
			break
		}
		require.True(t, final.Final)
		assert.True(t, assoc.Usable())
		if ignored {
			assert.Equal(t, dicomnet.StatusCannotPerform, final.Status)
			assert.Equal(t, [4]int{-1, 0, 3, 0}, counters(final))
		}
	}
}

func TestGetWithoutAConfirmedRoleSendsAllTheSame(t *testing.T) {
	s := threeCT()
	assoc := dialGet(t, listenGet(t, dicomtest.Retrieval{UnconfirmedRoles: true}), native, s)
	assert.True(t, assoc.UnconfirmedSCP())
	assert.Len(t, get(t, assoc, ofStudy(s)).uids, 3)
}

func TestGetCanStallInsideAnInstance(t *testing.T) {
	s := threeCT()
	pacs := listenGet(t, dicomtest.Retrieval{Body: func(ctx context.Context, _ *dicomtest.Instance, r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, 200<<10), stalled{ctx})
	}})
	assoc := dialGet(t, pacs, native, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var last error
	for in, err := range assoc.Get(ctx, dicomnet.StudyRoot, ofStudy(s), nil) {
		if last = err; err == nil {
			n, err := io.Copy(io.Discard, in)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Positive(t, n)
			assoc.Abort()
		}
	}
	require.Error(t, last)
}

// stalled is a reader that waits until ctx is done.
type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func TestGeneratedInstancesDifferAndAreReadInParts(t *testing.T) {
	s := dicomtest.GeneratedStudy("GEN-3", 2, 5<<20)
	one, two := s.Instances()[0], s.Instances()[1]
	assert.NotEqual(t, sum(t, one, dataset.ImplicitVRLittleEndian), sum(t, two, dataset.ImplicitVRLittleEndian))
	b, err := one.Encode(dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	assert.Greater(t, len(b), 5<<20)
	assert.Equal(t, sha256.Sum256(b), sum(t, one, dataset.ExplicitVRLittleEndian))
	set, err := dataset.Parse(b, dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	assert.Equal(t, "10", set.String(tag.NumberOfFrames))
}

func TestMoveCanScrambleWhatItSends(t *testing.T) {
	s := threeCT()
	all := uidsOf(s.Instances())
	for name, r := range map[string]dicomtest.Retrieval{
		"final before the stores":     {AfterFinal: 100},
		"final before the last store": {AfterFinal: 1, PerAssociation: 1, OwnOriginator: true},
		"an association for each, in reverse": {PerAssociation: 1, Plan: func(_ dicomnet.Step, in []*dicomtest.Instance) []*dicomtest.Instance {
			slices.Reverse(in)
			return in
		}},
	} {
		t.Run(name, func(t *testing.T) {
			to := listen(t, dicomtest.PACSConfig{AETitle: "DEST"})
			from := listen(t, dicomtest.PACSConfig{Retrieval: r, Destinations: map[string]string{"DEST": to.Addr()}})
			require.NoError(t, from.AddStudies(s))
			reports := move(t, dial(t, from), dicomnet.StudyRoot, "DEST", ofStudy(s))
			final := reports[len(reports)-1]
			assert.Equal(t, dicomnet.StatusSuccess, final.Status)
			assert.Equal(t, [4]int{-1, 3, 0, 0}, counters(final))
			require.Eventually(t, func() bool { return to.Instances() == 3 }, 5*time.Second, time.Millisecond)
			received := to.Received()
			if r.Plan != nil {
				assert.Equal(t, all[2], received[0].SOPInstanceUID)
			}
			originator := "TEST"
			if r.OwnOriginator {
				originator = aeTitle
			}
			assert.Equal(t, originator, received[2].MoveOriginatorAETitle)
		})
	}
}

package qr_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// list returns the inventory that the tree gives, and records the queries.
func (r *tree) list(t *testing.T, peer qr.Peer, target qr.Target, most int) (*qr.Inventory, error) {
	t.Helper()
	p := &dicomtest.ScriptedPACS{Find: r.find}
	g := qrtest.For(p, qrtest.Options{MaxMatches: 1})
	r.queries = nil
	inventory, err := g.Inventory(t.Context(), qr.Call{}, peer, target, most)
	qrtest.Events(t, p, g)
	return inventory, err
}

func instancesOf(i *qr.Inventory) string {
	var uids []string
	for _, in := range i.Instances {
		uids = append(uids, in.SOPInstanceUID+" of "+i.Series[in.Series].SeriesInstanceUID)
	}
	return strings.Join(uids, ", ")
}

func TestAnInventoryListsWhatIsBelowItsTarget(t *testing.T) {
	for name, test := range map[string]struct {
		target  qr.Target
		want    string
		queries []string
	}{
		"a study": {
			qr.Target{StudyInstanceUID: "1.1"},
			"1.1.1.1 of 1.1.1, 1.1.1.2 of 1.1.1, 1.1.2.1 of 1.1.2, 1.1.2.2 of 1.1.2",
			[]string{"STUDY 1.1", "SERIES 1.1", "IMAGE 1.1 1.1.1", "IMAGE 1.1 1.1.2"},
		},
		"a series": {
			qr.Target{StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.2"},
			"1.1.2.1 of 1.1.2, 1.1.2.2 of 1.1.2",
			[]string{"STUDY 1.1", "SERIES 1.1 1.1.2", "IMAGE 1.1 1.1.2"},
		},
		"an instance": {
			qr.Target{StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.2", SOPInstanceUID: "1.1.2.2"},
			"1.1.2.2 of 1.1.2",
			[]string{"STUDY 1.1", "SERIES 1.1 1.1.2", "IMAGE 1.1 1.1.2 1.1.2.2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := patient()
			i, err := r.list(t, qrtest.PACS, test.target, 100)
			require.NoError(t, err)
			assert.Equal(t, test.want, instancesOf(i))
			assert.Equal(t, test.queries, r.queries)
			assert.True(t, i.Proven)
			assert.Equal(t, "P1", i.PatientID)
			for _, in := range i.Instances {
				assert.Positive(t, in.Number)
			}
		})
	}
}

func TestAnInventoryFindsNothingOnlyIfThePACSSaysSo(t *testing.T) {
	var notFound *qr.NotFoundError
	unknown := []qr.Target{
		{StudyInstanceUID: "1.9"},
		{StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.9"},
		{StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.2", SOPInstanceUID: "1.1.2.9"},
		{StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.2", SOPInstanceUID: "1.1.1.1"},
	}
	for _, target := range unknown {
		_, err := patient().list(t, qrtest.PACS, target, 100)
		require.ErrorAs(t, err, &notFound, target)
	}

	t.Run("a study without series is not absent", func(t *testing.T) {
		r := patient()
		r.series = nil
		i, err := r.list(t, qrtest.PACS, qr.Target{StudyInstanceUID: "1.1"}, 100)
		require.NoError(t, err)
		assert.False(t, i.Proven)
	})
	t.Run("series of a study that is not listed are not absent", func(t *testing.T) {
		r := patient()
		r.studies = nil
		i, err := r.list(t, qrtest.PACS, qr.Target{StudyInstanceUID: "1.1"}, 100)
		require.NoError(t, err)
		assert.Len(t, i.Instances, 4)
	})
	t.Run("a PACS that lists no instance at all may have some", func(t *testing.T) {
		r := patient()
		r.images = nil
		for _, target := range []qr.Target{
			{StudyInstanceUID: "1.1"}, {StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1", SOPInstanceUID: "1.1.1.1"},
		} {
			i, err := r.list(t, qrtest.PACS, target, 100)
			require.NoError(t, err)
			assert.False(t, i.Proven)
			assert.Empty(t, i.Instances)
		}
	})
}

func TestAnInventoryWithAGapIsNotProven(t *testing.T) {
	for name, spoil := range map[string]func(*tree){
		"a series without instances":   func(r *tree) { r.images["1.1.2"] = nil },
		"an instance without a UID":    func(r *tree) { r.images["1.1.1"] = append(r.images["1.1.1"], instanceOf("1.1", "1.1.1", "")) },
		"a series with an invalid UID": func(r *tree) { r.series["1.1"] = append(r.series["1.1"], seriesOf("1.1", "x")) },
	} {
		t.Run(name, func(t *testing.T) {
			r := patient()
			spoil(r)
			i, err := r.list(t, qrtest.PACS, qr.Target{StudyInstanceUID: "1.1"}, 100)
			require.NoError(t, err)
			assert.NotEmpty(t, i.Instances)
			assert.False(t, i.Proven)
		})
	}
}

func TestAnInventoryFollowsTheProfile(t *testing.T) {
	peer := qrtest.PACS
	target := qr.Target{StudyInstanceUID: "1.1"}

	t.Run("without C-FIND at IMAGE level", func(t *testing.T) {
		peer.Settings = &pool.Settings{Profile: pool.Profile{Known: true}}
		r := patient()
		i, err := r.list(t, peer, target, 100)
		require.NoError(t, err)
		assert.False(t, i.Proven)
		assert.Len(t, i.Series, 2)
		assert.Equal(t, []string{"STUDY 1.1", "SERIES 1.1"}, r.queries)
	})
	t.Run("with relational queries", func(t *testing.T) {
		peer.Settings = &pool.Settings{Profile: pool.Profile{Known: true, ImageLevelFind: true, RelationalQueries: true}}
		r := patient()
		r.images[""] = slices.Concat(r.images["1.1.2"], r.images["1.1.1"])
		i, err := r.list(t, peer, target, 100)
		require.NoError(t, err)
		assert.Len(t, i.Instances, 4)
		assert.True(t, strings.HasPrefix(instancesOf(i), "1.1.1.1 of 1.1.1"))
		assert.Equal(t, []string{"STUDY 1.1", "SERIES 1.1", "IMAGE 1.1"}, r.queries)
	})
	t.Run("with relational queries that the PACS does not have", func(t *testing.T) {
		r := patient()
		i, err := r.list(t, peer, target, 100)
		require.NoError(t, err)
		assert.Len(t, i.Instances, 4)
		assert.Len(t, r.queries, 5)
	})
}

func TestAnInventoryDropsWhatWasNotAskedFor(t *testing.T) {
	r := patient()
	r.studies = append([]attributes{dicomtest.StudyMatch("P0", "1.2")}, r.studies...)
	r.series["1.1"] = append(r.series["1.1"], seriesOf("1.2", "1.2.1"), seriesOf("1.1", "x"), r.series["1.1"][0])
	r.images["1.1.1"] = append(r.images["1.1.1"],
		instanceOf("1.1", "1.1.2", "1.1.2.1"), instanceOf("1.2", "1.1.1", "5.5"), instanceOf("1.1", "1.1.1", ""), r.images["1.1.1"][0])
	i, err := r.list(t, qrtest.PACS, qr.Target{StudyInstanceUID: "1.1"}, 100)
	require.NoError(t, err)
	assert.Equal(t, "1.1.1.1 of 1.1.1, 1.1.1.2 of 1.1.1, 1.1.2.1 of 1.1.2, 1.1.2.2 of 1.1.2", instancesOf(i))
	assert.Equal(t, "P1", i.PatientID)
	var codes []qr.WarningCode
	for _, w := range i.Warnings {
		codes = append(codes, w.Code)
	}
	assert.Contains(t, codes, qr.WarningOtherEntityDropped)
	assert.Contains(t, codes, qr.WarningDuplicatesMerged)
}

func TestAnInventoryHasALimitOfItsOwn(t *testing.T) {
	_, err := patient().list(t, qrtest.PACS, qr.Target{StudyInstanceUID: "1.1"}, 4)
	var tooMany *qr.TooManyMatchesError
	require.ErrorAs(t, err, &tooMany)
	assert.Equal(t, 4, tooMany.Max)
}

func TestAPACSThatRefusesTheOptionalKeysIsAskedWithoutThem(t *testing.T) {
	tree := patient()
	queries := 0
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		queries++
		keys := a.Keys()
		if keys.Has(dataset.Tag{Group: 0x0008, Element: 0x0016}) || keys.Has(dataset.PatientBirthDate) {
			a.Finish(0xA900)
			return
		}
		tree.find(a, level)
	}}
	g := qrtest.For(p, qrtest.Options{})
	i, err := g.Inventory(t.Context(), qr.Call{}, qrtest.PACS, qr.Target{StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1"}, 0)
	qrtest.Events(t, p, g)
	require.NoError(t, err)
	assert.True(t, i.Proven)
	assert.Len(t, i.Instances, 2)
	assert.Equal(t, 5, queries)
}

func TestAPACSThatRefusesTheImageLevelHasNoInventory(t *testing.T) {
	tree := patient()
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		if level == "IMAGE" {
			a.Finish(0xC000)
			return
		}
		tree.find(a, level)
	}}
	g := qrtest.For(p, qrtest.Options{})
	i, err := g.Inventory(t.Context(), qr.Call{}, qrtest.PACS, qr.Target{StudyInstanceUID: "1.1"}, 0)
	qrtest.Events(t, p, g)
	require.NoError(t, err)
	assert.False(t, i.Proven)
	assert.Len(t, i.Series, 2)
}

func TestAMalformedTargetIsNotSent(t *testing.T) {
	g := qrtest.New(qrtest.Options{DialContext: qrtest.NoDial})
	for _, uid := range []string{"", "*", "1.2.*", strings.Repeat("1", 65), "1..2", `1\2`, "1.2?", "1.2.", ".1", "a"} {
		for field, target := range map[string]qr.Target{
			"StudyInstanceUID":  {StudyInstanceUID: uid},
			"SeriesInstanceUID": {StudyInstanceUID: "1", SeriesInstanceUID: uid, SOPInstanceUID: "1"},
		} {
			_, err := g.Inventory(t.Context(), qr.Call{}, qrtest.PACS, target, 0)
			fault, ok := errors.AsType[*qr.TargetError](err)
			require.True(t, ok, uid)
			assert.Equal(t, field, fault.Field)
		}
	}
	assert.Equal(t, qr.LevelImage, qr.Target{StudyInstanceUID: "1", SeriesInstanceUID: "1", SOPInstanceUID: "1"}.Level())
	assert.Equal(t, qr.LevelSeries, qr.Target{StudyInstanceUID: "1", SeriesInstanceUID: "1"}.Level())
	assert.Equal(t, qr.LevelStudy, qr.Target{StudyInstanceUID: "1"}.Level())
}

func TestAPACSWithPatientRootAloneReceivesThePatientIDBelowTheStudy(t *testing.T) {
	tree := patient()
	p := &dicomtest.ScriptedPACS{Find: tree.find, Negotiate: func(a *association) bool { return a.Refuse(dicomnet.StudyRoot.Find) }}
	g := qrtest.For(p, qrtest.Options{})
	i, err := g.Inventory(t.Context(), qr.Call{}, qrtest.PACS, qr.Target{StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1"}, 0)
	require.NoError(t, err)
	assert.Len(t, i.Instances, 2)
	assert.Equal(t, []string{"STUDY 1.1", "SERIES P1 1.1 1.1.1", "IMAGE P1 1.1 1.1.1"}, tree.queries)
}

// Orthanc needs as long for SOP Class UID of each instance as for all the rest of the answer.
func TestTheSOPClassesOfAStudyAreAskedForOnce(t *testing.T) {
	inStudy, ofInstance := dataset.Tag{Group: 0x0008, Element: 0x0062}, dataset.Tag{Group: 0x0008, Element: 0x0016}
	for _, returned := range []bool{false, true} {
		tree := patient()
		if returned {
			tree.studies[0][inStudy] = `1.2.3\1.2.4\x`
		}
		asked := false
		p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
			asked = asked || level == "IMAGE" && a.Keys().Has(ofInstance)
			tree.find(a, level)
		}}
		g := qrtest.For(p, qrtest.Options{})
		i, err := g.Inventory(t.Context(), qr.Call{}, qrtest.PACS, qr.Target{StudyInstanceUID: "1.1"}, 0)
		qrtest.Events(t, p, g)
		require.NoError(t, err)
		assert.Len(t, i.Instances, 4)
		assert.Equal(t, !returned, asked)
		if returned {
			assert.Equal(t, []string{"1.2.3", "1.2.4"}, i.SOPClasses)
		}
	}
}

package qr

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func withModalities(uid string, modalities ...string) *candidate {
	return &candidate{Study: Study{StudyInstanceUID: uid, ModalitiesInStudy: append([]string{}, modalities...)}}
}

// seriesArchive answers queries at SERIES level and records the studies that they name.
type seriesArchive struct {
	modalities map[string][]string
	asked      []string
}

func (s *seriesArchive) ask(uid string) ([]string, error) {
	s.asked = append(s.asked, uid)
	return s.modalities[uid], nil
}

func TestPickKeepsStudiesWithOneOfTheModalities(t *testing.T) {
	remaining := []*candidate{
		withModalities("1", "CT"), withModalities("2", "MR"), withModalities("3", "US", "SR"), withModalities("4", "ct"),
		withModalities("5", "CTX"),
	}
	archive := &seriesArchive{}
	c := &collector{plan: planFor(t, Filter{Modalities: []string{"CT", "SR"}})}
	studies, err := c.pick(remaining, archive.ask)
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "3", "4"}, uidsOfStudies(studies))
	assert.Empty(t, archive.asked)
}

func TestPickWithoutModalitiesAsksNothing(t *testing.T) {
	archive := &seriesArchive{}
	c := &collector{plan: planFor(t, Filter{})}
	studies, err := c.pick([]*candidate{withModalities("1"), withModalities("2", "MR")}, archive.ask)
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "2"}, uidsOfStudies(studies))
	assert.Empty(t, archive.asked)
}

func TestPickAsksForTheModalitiesOfStudiesWithoutAny(t *testing.T) {
	remaining := []*candidate{withModalities("1"), withModalities("2", "CT"), withModalities("3"), withModalities("4")}
	archive := &seriesArchive{modalities: map[string][]string{"1": {"MR", "CT", "CT"}, "3": {"US"}}}
	c := &collector{plan: planFor(t, Filter{Modalities: []string{"CT"}})}
	studies, err := c.pick(remaining, archive.ask)
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "2"}, uidsOfStudies(studies))
	assert.Equal(t, []string{"MR", "CT"}, studies[0].ModalitiesInStudy, "the answer has the modalities of the series")
	assert.Equal(t, []string{"1", "3", "4"}, archive.asked)
	assert.Equal(t, []WarningCode{WarningModalitiesUnknown}, codesOf(c))
}

func TestPickStopsAskingAtMaxResults(t *testing.T) {
	remaining := []*candidate{withModalities("1"), withModalities("2"), withModalities("3"), withModalities("4")}
	archive := &seriesArchive{modalities: map[string][]string{"1": {"MR"}, "2": {"CT"}, "3": {"CT"}, "4": {"CT"}}}
	c := &collector{plan: planFor(t, Filter{Modalities: []string{"CT"}, MaxResults: 2})}
	studies, err := c.pick(remaining, archive.ask)
	require.NoError(t, err)
	assert.Equal(t, []string{"2", "3"}, uidsOfStudies(studies))
	assert.Equal(t, []string{"1", "2", "3"}, archive.asked)
}

func TestPickReturnsTheErrorOfASeriesQuery(t *testing.T) {
	fault := errors.New("fault")
	c := &collector{plan: planFor(t, Filter{Modalities: []string{"CT"}})}
	_, err := c.pick([]*candidate{withModalities("1", "CT"), withModalities("2")}, func(string) ([]string, error) { return nil, fault })
	assert.ErrorIs(t, err, fault)
}

func TestMaxResultsOnlyCutsTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		remaining := make([]*candidate, rapid.IntRange(0, 20).Draw(t, "studies"))
		for i := range remaining {
			remaining[i] = withModalities(fmt.Sprintf("1.%d", i), rapid.SliceOfN(rapid.SampledFrom([]string{"CT", "MR", "SR"}), 1, 3).Draw(t, "modalities")...)
		}
		most := rapid.IntRange(1, 25).Draw(t, "max")
		all, _ := (&collector{plan: &plan{modalities: []string{"CT"}}}).pick(slices.Clone(remaining), nil)
		some, _ := (&collector{plan: &plan{modalities: []string{"CT"}, maxResults: most}}).pick(remaining, nil)
		if want := uidsOfStudies(all)[:min(most, len(all))]; !slices.Equal(want, uidsOfStudies(some)) {
			t.Fatalf("%v, want %v", uidsOfStudies(some), want)
		}
	})
}

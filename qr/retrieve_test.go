package qr

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
)

// three studies, in the order in which they are moved.
func threeStudies() []attributes {
	return []attributes{
		study("P1", "1.3", date("20220101")), study("P1", "1.1", date("20240101")), study("P1", "1.2", date("20230101")),
	}
}

// number shows a counter, "-" where there is none.
func number(n *int) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n)
}

// lines shows retrievals: UID, status, DIMSE status, completed/failed/warning, failed instances.
func lines(list []Retrieval) []string {
	shown := make([]string, 0, len(list))
	for i := range list {
		r := &list[i]
		shown = append(shown, strings.TrimSpace(fmt.Sprintf("%s %s %s %s/%s/%s %s", r.StudyInstanceUID, r.Status, r.DICOMStatus,
			number(r.Completed), number(r.Failed), number(r.Warning), strings.Join(r.FailedSOPInstanceUIDs, ","))))
	}
	return shown
}

// follow keeps what Progress tells as lines.
func follow(trail *[]string) Progress {
	say := func(format string, args ...any) { *trail = append(*trail, fmt.Sprintf(format, args...)) }
	return Progress{
		Matched: func(studies []Study, warnings []Warning) { say("matched %v %v", picked(studies), codes(warnings)) },
		Moving: func(p SubOperations) {
			say("moving %s %d/%d %s/%s/%s/%s %d/%d", p.StudyInstanceUID, p.Index, p.Total,
				number(p.Remaining), number(p.Completed), number(p.Failed), number(p.Warning), p.CompletedTotal, p.FailedTotal)
		},
		Retrieved: func(r Retrieval) { say("retrieved %s", lines([]Retrieval{r})[0]) },
	}
}

func retrieve(t *testing.T, p *pacs, f Filter, progress Progress) *RetrieveResult {
	t.Helper()
	g := p.gateway(t, Options{})
	if f.PatientID == "" {
		f.PatientID = "P1"
	}
	result, err := g.Retrieve(t.Context(), thePACS, f, "DEST", progress)
	require.NoError(t, err)
	p.seen(t, g)
	return result
}

func TestARetrieveIsOneFindAndAMoveForEachStudyOnOneAssociation(t *testing.T) {
	var trail []string
	p := &pacs{
		studies: append(threeStudies(), study("P2", "1.4")),
		move: func(a *association, uid string) {
			if uid == "1.1" {
				a.pending(count(0, 0, 0, 3))
				a.pending(count(1, 0, 1, 1))
				a.final(0xB000, count(1, 1, 1, -1), "9.9")
				return
			}
			a.pending(counters{})
			a.pending(count(2, -1, -1, 0))
			a.final(dicomnet.StatusSuccess, counters{})
		},
	}
	result := retrieve(t, p, Filter{MaxResults: 2}, follow(&trail))
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY ", "move 1.1 to DEST", "move 1.2 to DEST", "release"}, p.events)
	assert.Equal(t, []string{"1.1", "1.2"}, picked(result.Studies))
	assert.Equal(t, []string{"1.1 partial B000 1/1/1 9.9", "1.2 ok 0000 -/-/-"}, lines(result.Retrievals))
	assert.Equal(t, []WarningCode{WarningOtherPatientDropped}, codes(result.Warnings))
	assert.Equal(t, 1, result.Succeeded())
	assert.Equal(t, []string{
		"matched [1.1 1.2] [other_patient_dropped]",
		"moving 1.1 1/2 3/0/0/0 0/0",
		"moving 1.1 1/2 1/1/0/1 2/0",
		"retrieved 1.1 partial B000 1/1/1 9.9",
		"moving 1.2 2/2 -/-/-/- 2/1",
		"moving 1.2 2/2 0/2/-/- 4/1",
		"retrieved 1.2 ok 0000 -/-/-",
	}, trail)
}

func TestAStudyOfAnotherPatientIsNeverMoved(t *testing.T) {
	p := &pacs{studies: []attributes{study("P2", "1.1"), study("P1", "1.2"), study("P2", "1.3"), study("P1", "1.3"), study("", "1.4")}}
	result := retrieve(t, p, Filter{}, Progress{})
	assert.Equal(t, []string{"1.2 ok 0000 1/0/0"}, lines(result.Retrievals))
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY ", "move 1.2 to DEST", "release"}, p.events)
}

func TestNoMatchMovesNothing(t *testing.T) {
	var trail []string
	p := &pacs{studies: []attributes{study("P2", "1.1")}}
	result := retrieve(t, p, Filter{}, follow(&trail))
	assert.Empty(t, result.Studies)
	assert.Empty(t, result.Retrievals)
	assert.NoError(t, result.Err)
	assert.Equal(t, []WarningCode{WarningOtherPatientDropped}, codes(result.Warnings))
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY ", "release"}, p.events)
	assert.Empty(t, trail)
}

func TestADestinationThatIsNoAETitleIsRefusedBeforeAnythingIsSent(t *testing.T) {
	for _, destination := range []string{"", "  ", "SEVENTEEN_LETTERS", `A\B`, "A\tB"} {
		_, err := New(Options{DialContext: noDial}).Retrieve(t.Context(), thePACS, Filter{PatientID: "P1"}, destination, Progress{})
		var wrong *dicomnet.ConfigError
		assert.ErrorAs(t, err, &wrong, destination)
	}
}

func TestAFaultOfTheQueryMovesNothing(t *testing.T) {
	var trail []string
	p := &pacs{find: func(a *association, _ string) { a.match(study("P1", "1.1")); a.done(0xA700) }}
	g := p.gateway(t, Options{})
	result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1"}, "DEST", follow(&trail))
	assert.Nil(t, result)
	assert.Equal(t, dicomnet.StepFind, stepOf(t, err))
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY ", "release"}, p.seen(t, g))
	assert.Empty(t, trail)
}

func TestModalitiesAreAskedForBeforeTheFirstMove(t *testing.T) {
	p := &pacs{
		studies: threeStudies(),
		series:  map[string][]attributes{"1.2": {{tag.Modality: "CT"}}},
	}
	result := retrieve(t, p, Filter{Modalities: []string{"CT"}}, Progress{})
	assert.Equal(t, []string{"1.2 ok 0000 1/0/0"}, lines(result.Retrievals))
	assert.Equal(t, []string{
		"associate FIND MOVE", "find STUDY ", "find SERIES 1.1", "find SERIES 1.2", "find SERIES 1.3", "move 1.2 to DEST", "release",
	}, p.events)
}

func TestWhatThePACSDoesNotTakeOnOneAssociationIsTriedOnAnother(t *testing.T) {
	tests := []struct {
		name    string
		refused func(nth int, sopClass string) bool
		events  []string
		err     bool
	}{
		{
			"C-MOVE beside C-FIND",
			func(nth int, class string) bool { return nth == 1 && class == dicomnet.StudyRoot.Move },
			[]string{"associate FIND MOVE", "find STUDY ", "release", "associate MOVE", "move 1.1 to DEST", "release"},
			false,
		},
		{
			"C-FIND beside C-MOVE",
			func(nth int, class string) bool { return nth == 1 && class == dicomnet.StudyRoot.Find },
			[]string{"associate FIND MOVE", "release", "associate FIND", "find STUDY ", "release", "associate MOVE", "move 1.1 to DEST", "release"},
			false,
		},
		{
			"C-MOVE at all",
			func(_ int, class string) bool { return class == dicomnet.StudyRoot.Move },
			[]string{"associate FIND MOVE", "find STUDY ", "release", "associate MOVE", "abort"},
			true,
		},
		{
			"C-FIND at all",
			func(_ int, class string) bool { return class == dicomnet.StudyRoot.Find },
			[]string{"associate FIND MOVE", "release", "associate FIND", "abort"},
			true,
		},
		{
			"either",
			func(int, string) bool { return true },
			[]string{"associate FIND MOVE", "abort"},
			true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			matched := false
			p := &pacs{
				studies: []attributes{study("P1", "1.1")},
				accepts: func(nth int, class string) bool { return !test.refused(nth, class) },
			}
			g := p.gateway(t, Options{})
			result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1"}, "DEST", Progress{
				Matched: func([]Study, []Warning) { matched = true },
			})
			assert.Equal(t, test.events, p.seen(t, g))
			assert.Equal(t, !test.err, matched, "nothing is announced that cannot be tried")
			if !test.err {
				require.NoError(t, err)
				assert.Equal(t, []string{"1.1 ok 0000 1/0/0"}, lines(result.Retrievals))
				return
			}
			var refused *dicomnet.NoContextError
			assert.ErrorAs(t, err, &refused)
			assert.Equal(t, dicomnet.StepAssociate, stepOf(t, err))
		})
	}
}

func TestAFaultInOneStudyDoesNotEndTheOthers(t *testing.T) {
	p := &pacs{studies: threeStudies(), move: func(a *association, uid string) {
		if uid == "1.2" {
			a.final(0xA702, count(0, 2, 0, -1), "9.1", "9.2", "none")
			return
		}
		a.final(dicomnet.StatusSuccess, count(4, 0, 0, -1))
	}}
	result := retrieve(t, p, Filter{}, Progress{})
	assert.Equal(t, []string{"1.1 ok 0000 4/0/0", "1.2 failed A702 0/2/0 9.1,9.2", "1.3 ok 0000 4/0/0"}, lines(result.Retrievals))
	assert.Equal(t, []Warning{{WarningValueMalformed, "1 malformed Failed SOP Instance UID was left out"}}, result.Warnings)
	var failed *dicomnet.StatusError
	require.ErrorAs(t, result.Err, &failed)
	assert.Equal(t, dicomnet.Status(0xA702), failed.Status)
	assert.Equal(t, dicomnet.StepMove, stepOf(t, result.Err))
	assert.True(t, result.Moved())
	assert.Len(t, p.rqs, 1)
}

func TestTheErrorOfARetrieveIsTheFirstStudys(t *testing.T) {
	finals := func(statuses ...dicomnet.Status) func(*association, string) {
		return func(a *association, uid string) {
			n, _ := strconv.Atoi(strings.TrimPrefix(uid, "1."))
			a.final(statuses[n-1], count(0, -1, -1, -1))
		}
	}
	t.Run("a failure", func(t *testing.T) {
		result := retrieve(t, &pacs{studies: threeStudies(), move: finals(0xA801, 0xC000, 0xC001)}, Filter{}, Progress{})
		assert.EqualError(t, result.Err, "move: status A801: refused: move destination unknown")
		assert.False(t, result.Moved())
	})
	t.Run("success that moved nothing", func(t *testing.T) {
		result := retrieve(t, &pacs{studies: threeStudies(), move: finals(0x0000, 0xC000, 0xC001)}, Filter{}, Progress{})
		assert.EqualError(t, result.Err, "move: status 0000, but not everything was moved")
		var outcome *MoveOutcomeError
		assert.ErrorAs(t, result.Err, &outcome)
		var status *dicomnet.StatusError
		require.ErrorAs(t, result.Err, &status)
		assert.Equal(t, dicomnet.StatusSuccess, status.Status)
		assert.Equal(t, dicomnet.StepMove, stepOf(t, result.Err))
		assert.False(t, result.Moved())
	})
	t.Run("a cancel that nobody asked for", func(t *testing.T) {
		result := retrieve(t, &pacs{studies: threeStudies(), move: finals(0xFE00, 0xC000, 0xC001)}, Filter{}, Progress{})
		assert.Equal(t, []string{"1.1 cancelled FE00 0/-/-", "1.2 failed C000 0/-/-", "1.3 failed C001 0/-/-"}, lines(result.Retrievals))
		var status *dicomnet.StatusError
		require.ErrorAs(t, result.Err, &status)
		assert.Equal(t, dicomnet.StatusCancel, status.Status)
	})
	t.Run("none", func(t *testing.T) {
		assert.NoError(t, retrieve(t, &pacs{studies: threeStudies()}, Filter{}, Progress{}).Err)
	})
}

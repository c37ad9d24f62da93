package qr_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

func TestRetrieveIsOneFindAndAMoveForEachStudyOnOneAssociation(t *testing.T) {
	var trail recorder
	p := &dicomtest.ScriptedPACS{
		Studies: append(threeStudies(), study("P2", "1.4")),
		Move: func(a *association, uid string) {
			if uid == "1.1" {
				a.Moving(dicomtest.Count(0, 0, 0, 3))
				a.Moving(dicomtest.Count(1, 0, 1, 1))
				a.Moved(0xB000, dicomtest.Count(1, 1, 1, -1), "9.9")
				return
			}
			a.Moving(dicomtest.NoCounters)
			a.Moving(dicomtest.Count(2, -1, -1, 0))
			a.Moved(dicomnet.StatusSuccess, dicomtest.NoCounters)
		},
	}
	result := retrieve(t, p, qr.Filter{MaxResults: 2}, &trail)
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY", "move 1.1 to DEST", "move 1.2 to DEST", "release"}, qrtest.Lines(p))
	assert.Equal(t, []string{"1.1", "1.2"}, qrtest.UIDs(result.Studies))
	assert.Equal(t, []string{"1.1 partial B000 1/1/1 9.9", "1.2 ok 0000 -/-/-"}, lines(result.Retrievals))
	assert.Equal(t, []qr.WarningCode{qr.WarningOtherPatientDropped}, codes(result.Warnings))
	assert.Equal(t, 1, result.Succeeded())
	assert.Equal(t, []string{
		"matched [1.1 1.2] [other_patient_dropped]",
		"moving 1.1 1/2 3/0/0/0 0/0",
		"moving 1.1 1/2 1/1/0/1 2/0",
		"retrieved 1.1 partial B000 1/1/1 9.9",
		"moving 1.2 2/2 -/-/-/- 2/1",
		"moving 1.2 2/2 0/2/-/- 4/1",
		"retrieved 1.2 ok 0000 -/-/-",
	}, trail.lines)
}

func TestStudiesOfOtherPatientsAreNotMoved(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("P2", "1.1"), study("P1", "1.2"), study("P2", "1.3"), study("P1", "1.3"), study("", "1.4")}}
	result := retrieve(t, p, qr.Filter{}, nil)
	assert.Equal(t, []string{"1.2 ok 0000 1/0/0"}, lines(result.Retrievals))
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY", "move 1.2 to DEST", "release"}, qrtest.Lines(p))
}

func TestRetrieveWithoutMatchesMovesNothing(t *testing.T) {
	var trail recorder
	p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("P2", "1.1")}}
	result := retrieve(t, p, qr.Filter{}, &trail)
	assert.Empty(t, result.Studies)
	assert.Empty(t, result.Retrievals)
	assert.NoError(t, result.Err)
	assert.Equal(t, []qr.WarningCode{qr.WarningOtherPatientDropped}, codes(result.Warnings))
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY", "release"}, qrtest.Lines(p))
	assert.Empty(t, trail.lines)
}

func TestInvalidDestinationFailsBeforeAnythingIsSent(t *testing.T) {
	for _, destination := range []string{"", "  ", "SEVENTEEN_LETTERS", `A\B`, "A\tB"} {
		_, err := qrtest.New(qrtest.Options{DialContext: qrtest.NoDial}).Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"}, destination)
		var wrong *dicomnet.ConfigError
		assert.ErrorAs(t, err, &wrong, destination)
	}
}

func TestRetrieveMovesNothingIfTheQueryFails(t *testing.T) {
	var trail recorder
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) { a.Match(study("P1", "1.1")); a.Finish(0xA700) }}
	g := qrtest.For(p, qrtest.Options{})
	result, err := g.Retrieve(t.Context(), qr.Call{Observer: &trail}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
	assert.Nil(t, result)
	assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY", "release"}, qrtest.Events(t, p, g))
	assert.Empty(t, trail.lines)
}

func TestModalitiesAreQueriedBeforeTheFirstMove(t *testing.T) {
	p := &dicomtest.ScriptedPACS{
		Studies: threeStudies(),
		Series:  map[string][]dicomtest.Attributes{"1.2": {{dataset.Modality: "CT"}}},
	}
	result := retrieve(t, p, qr.Filter{Modalities: []string{"CT"}}, nil)
	assert.Equal(t, []string{"1.2 ok 0000 1/0/0"}, lines(result.Retrievals))
	assert.Equal(t, []string{
		"associate FIND MOVE", "find STUDY", "find SERIES 1.1", "find SERIES 1.2", "find SERIES 1.3", "move 1.2 to DEST", "release",
	}, qrtest.Lines(p))
}

// abortsLast moves the events of A-ABORT to the end: the gateway does not wait until the PACS has seen one.
func abortsLast(events []string) []string {
	slices.SortStableFunc(events, func(a, b string) int {
		switch {
		case a == "abort" && b != a:
			return 1
		case b == "abort" && b != a:
			return -1
		}
		return 0
	})
	return events
}

func TestRefusedContextsAreTriedOnAnAssociationOfTheirOwn(t *testing.T) {
	tests := []struct {
		name    string
		refused func(nth int, sopClass string) bool
		events  []string
		err     bool
	}{
		{
			"C-MOVE beside C-FIND",
			func(nth int, class string) bool { return nth == 1 && class == dicomnet.StudyRoot.Move },
			[]string{"associate FIND MOVE", "find STUDY", "release", "associate MOVE", "move 1.1 to DEST", "release"},
			false,
		},
		{
			"C-FIND beside C-MOVE",
			func(nth int, class string) bool { return nth == 1 && class == dicomnet.StudyRoot.Find },
			[]string{"associate FIND MOVE", "release", "associate FIND", "find STUDY", "release", "associate MOVE", "move 1.1 to DEST", "release"},
			false,
		},
		{
			"C-MOVE in Study Root",
			func(_ int, class string) bool { return class == dicomnet.StudyRoot.Move },
			[]string{
				"associate FIND MOVE", "find STUDY", "release", "associate MOVE", "abort", "associate PATIENT-MOVE",
				"move 1.1 to DEST", "release",
			},
			false,
		},
		{
			"C-FIND in Study Root",
			func(_ int, class string) bool { return class == dicomnet.StudyRoot.Find },
			[]string{
				"associate FIND MOVE", "release", "associate FIND", "abort", "associate PATIENT-FIND", "find STUDY", "release",
				"associate MOVE", "move 1.1 to DEST", "release",
			},
			false,
		},
		{
			"Study Root",
			func(_ int, class string) bool {
				return class == dicomnet.StudyRoot.Find || class == dicomnet.StudyRoot.Move
			},
			[]string{"associate FIND MOVE", "abort", "associate PATIENT-FIND PATIENT-MOVE", "find STUDY", "move 1.1 to DEST", "release"},
			false,
		},
		{
			"C-MOVE always",
			func(_ int, class string) bool {
				return class == dicomnet.StudyRoot.Move || class == dicomnet.PatientRoot.Move
			},
			[]string{
				"associate FIND MOVE", "find STUDY", "release", "associate MOVE", "abort", "associate PATIENT-MOVE", "abort",
			},
			true,
		},
		{
			"C-FIND always",
			func(_ int, class string) bool {
				return class == dicomnet.StudyRoot.Find || class == dicomnet.PatientRoot.Find
			},
			[]string{"associate FIND MOVE", "release", "associate FIND", "abort", "associate PATIENT-FIND", "abort"},
			true,
		},
		{
			"both",
			func(int, string) bool { return true },
			[]string{"associate FIND MOVE", "abort", "associate PATIENT-FIND PATIENT-MOVE", "abort"},
			true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var seen recorder
			p := &dicomtest.ScriptedPACS{
				Studies: []dicomtest.Attributes{study("P1", "1.1")},
				Negotiate: func(a *association) bool {
					for _, class := range []string{
						dicomnet.StudyRoot.Find, dicomnet.StudyRoot.Move, dicomnet.PatientRoot.Find, dicomnet.PatientRoot.Move,
					} {
						if test.refused(a.Number, class) {
							a.Refuse(class)
						}
					}
					return true
				},
			}
			g := qrtest.For(p, qrtest.Options{})
			result, err := g.Retrieve(t.Context(), qr.Call{Observer: &seen}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
			assert.Equal(t, abortsLast(test.events), abortsLast(qrtest.Events(t, p, g)))
			assert.Equal(t, !test.err, slices.Contains(seen.lines, "matched [1.1] []"), "Matched is called only with an association that accepts C-MOVE")
			if !test.err {
				require.NoError(t, err)
				assert.Equal(t, []string{"1.1 ok 0000 1/0/0"}, lines(result.Retrievals))
				return
			}
			var refused *dicomnet.NoContextError
			assert.ErrorAs(t, err, &refused)
			assert.Equal(t, dicomnet.StepAssociate, qrtest.StepOf(t, err))
		})
	}
}

func TestFailedStudyDoesNotEndTheRetrieve(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: func(a *association, uid string) {
		if uid == "1.2" {
			a.Moved(0xA702, dicomtest.Count(0, 2, 0, -1), "9.1", "9.2", "none")
			return
		}
		a.Moved(dicomnet.StatusSuccess, dicomtest.Count(4, 0, 0, -1))
	}}
	result := retrieve(t, p, qr.Filter{}, nil)
	assert.Equal(t, []string{"1.1 ok 0000 4/0/0", "1.2 failed A702 0/2/0 9.1,9.2", "1.3 ok 0000 4/0/0"}, lines(result.Retrievals))
	assert.Equal(t, []qr.Warning{{qr.WarningValueMalformed, "1 malformed Failed SOP Instance UID was left out"}}, result.Warnings)
	var failed *dicomnet.StatusError
	require.ErrorAs(t, result.Err, &failed)
	assert.Equal(t, dicomnet.Status(0xA702), failed.Status)
	assert.Equal(t, dicomnet.StepMove, qrtest.StepOf(t, result.Err))
	assert.True(t, result.Moved())
	assert.Len(t, p.Requests(), 1)
}

func TestErrOfARetrieveIsThatOfTheFirstStudyThatIsNotOK(t *testing.T) {
	finals := func(statuses ...dicomnet.Status) func(*association, string) {
		return func(a *association, uid string) {
			n, _ := strconv.Atoi(strings.TrimPrefix(uid, "1."))
			a.Moved(statuses[n-1], dicomtest.Count(0, -1, -1, -1))
		}
	}
	t.Run("failure", func(t *testing.T) {
		result := retrieve(t, &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: finals(0xA801, 0xC000, 0xC001)}, qr.Filter{}, nil)
		assert.EqualError(t, result.Err, "move: status A801: refused: move destination unknown")
		assert.False(t, result.Moved())
	})
	t.Run("success that moved nothing", func(t *testing.T) {
		result := retrieve(t, &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: finals(0x0000, 0xC000, 0xC001)}, qr.Filter{}, nil)
		assert.EqualError(t, result.Err, "move: status 0000, but not everything was moved")
		var outcome *qr.MoveOutcomeError
		assert.ErrorAs(t, result.Err, &outcome)
		var status *dicomnet.StatusError
		require.ErrorAs(t, result.Err, &status)
		assert.Equal(t, dicomnet.StatusSuccess, status.Status)
		assert.Equal(t, dicomnet.StepMove, qrtest.StepOf(t, result.Err))
		assert.False(t, result.Moved())
	})
	t.Run("unsolicited cancel", func(t *testing.T) {
		result := retrieve(t, &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: finals(0xFE00, 0xC000, 0xC001)}, qr.Filter{}, nil)
		assert.Equal(t, []string{"1.1 cancelled FE00 0/-/-", "1.2 failed C000 0/-/-", "1.3 failed C001 0/-/-"}, lines(result.Retrievals))
		var status *dicomnet.StatusError
		require.ErrorAs(t, result.Err, &status)
		assert.Equal(t, dicomnet.StatusCancel, status.Status)
	})
	t.Run("none", func(t *testing.T) {
		assert.NoError(t, retrieve(t, &dicomtest.ScriptedPACS{Studies: threeStudies()}, qr.Filter{}, nil).Err)
	})
}

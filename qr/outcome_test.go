package qr

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet"
)

// count makes counters from completed, failed, warning and remaining; -1 is none.
func count(completed, failed, warning, remaining int) counters {
	counter := func(n int) *int {
		if n < 0 {
			return nil
		}
		return &n
	}
	return counters{counter(remaining), counter(completed), counter(failed), counter(warning)}
}

func response(status dicomnet.Status, c counters) *dicomnet.MoveReport {
	narrow := func(n *int) *uint16 {
		if n == nil {
			return nil
		}
		return new(uint16(*n))
	}
	return &dicomnet.MoveReport{
		Status: status, Final: true,
		Remaining: narrow(c.remaining), Completed: narrow(c.completed), Failed: narrow(c.failed), Warning: narrow(c.warning),
	}
}

func TestTheOutcomeIsJudgedByStatusAndCounters(t *testing.T) {
	none := counters{}
	const ok, partial, failed, cancelled = RetrievalOK, RetrievalPartial, RetrievalFailed, RetrievalCancelled
	tests := []struct {
		name    string
		status  dicomnet.Status
		said    counters
		pending counters
		want    RetrievalStatus
		known   counters // what is reported
	}{
		{"success, all completed", 0x0000, count(5, 0, 0, -1), none, ok, count(5, 0, 0, -1)},
		{"success with a remaining of zero", 0x0000, count(5, 0, 0, 0), none, ok, count(5, 0, 0, 0)},
		{"success without counters is ok on the word of the PACS", 0x0000, none, none, ok, none},
		{"success without counters behind pending ones claims no numbers", 0x0000, none, count(4, 0, 0, 1), ok, none},
		{"success with completed alone", 0x0000, count(5, -1, -1, -1), none, ok, count(5, -1, -1, -1)},
		{"success with a failed of zero alone", 0x0000, count(-1, 0, -1, -1), none, ok, count(-1, 0, -1, -1)},
		{"success where instances arrived with a warning", 0x0000, count(3, 0, 2, -1), none, ok, count(3, 0, 2, -1)},
		{"success where all arrived with a warning", 0x0000, count(0, 0, 2, -1), none, ok, count(0, 0, 2, -1)},
		{"success that says failed", 0x0000, count(3, 2, 0, -1), none, partial, count(3, 2, 0, -1)},
		{"success that says failed and not completed", 0x0000, count(-1, 2, -1, -1), none, partial, count(-1, 2, -1, -1)},
		{"success that says nothing but failed", 0x0000, count(0, 2, 0, -1), none, failed, count(0, 2, 0, -1)},
		{"success with zero completed", 0x0000, count(0, 0, 0, -1), none, failed, count(0, 0, 0, -1)},
		{"success with zero completed and no other counter", 0x0000, count(0, -1, -1, -1), none, failed, count(0, -1, -1, -1)},
		{"success with zero completed behind pending ones that say more", 0x0000, count(0, 0, 0, -1), count(3, 0, 0, 1), partial, count(3, 0, 0, -1)},
		{"success while some remain", 0x0000, count(3, 0, 0, 2), none, partial, count(3, 0, 0, 2)},
		{"success without counters behind a pending failure", 0x0000, none, count(3, 1, 0, 0), partial, count(3, 1, 0, -1)},
		{"success after a failed sub-operation was tried again", 0x0000, count(5, 0, 0, -1), count(3, 1, 0, 1), ok, count(5, 0, 0, -1)},

		{"warning, some failed", 0xB000, count(3, 2, 0, -1), none, partial, count(3, 2, 0, -1)},
		{"warning with everything failed", 0xB000, count(0, 5, 0, -1), none, failed, count(0, 5, 0, -1)},
		{"warning with zeros", 0xB000, count(0, 0, 0, -1), none, failed, count(0, 0, 0, -1)},
		{"warning without counters", 0xB000, none, none, partial, none},
		{"warning without counters behind pending ones that counted nothing yet", 0xB000, none, count(0, 0, 0, 5), partial, count(0, 0, 0, -1)},
		{"warning where nothing failed and some warned", 0xB000, count(3, 0, 2, -1), none, ok, count(3, 0, 2, -1)},
		{"warning where some warned and failed is not told", 0xB000, count(3, -1, 2, -1), none, partial, count(3, -1, 2, -1)},
		{"warning that no counter explains", 0xB000, count(5, 0, 0, -1), none, partial, count(5, 0, 0, -1)},
		{"warning while some remain", 0xB000, count(3, 0, 2, 1), none, partial, count(3, 0, 2, 1)},
		{"another warning", 0x0107, count(3, 1, 0, -1), none, partial, count(3, 1, 0, -1)},

		{"cancel that nobody asked for", 0xFE00, count(2, 0, 0, 3), none, cancelled, count(2, 0, 0, 3)},
		{"cancel without counters", 0xFE00, none, count(2, 0, 0, 3), cancelled, count(2, 0, 0, -1)},

		{"destination unknown", 0xA801, none, none, failed, none},
		{"destination down", 0xA702, count(0, 3, 0, -1), none, failed, count(0, 3, 0, -1)},
		{"destination full", 0xA702, count(2, 3, 0, -1), none, partial, count(2, 3, 0, -1)},
		{"failure where some arrived with a warning", 0xA702, count(0, 3, 1, -1), none, partial, count(0, 3, 1, -1)},
		{"failure with zeros behind pending ones that say more", 0xC000, count(0, 0, 0, -1), count(3, 0, 0, 2), partial, count(3, 0, 0, -1)},
		{"failure without counters behind pending ones", 0xC000, none, count(3, 0, 0, 2), partial, count(3, 0, 0, -1)},
		{"a status that no class covers", 0x1234, none, none, failed, none},
		{"a status that looks like pending", 0xFFFE, none, none, failed, none},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, known := judge(response(test.status, test.said), test.pending, false)
			assert.Equal(t, test.want, status)
			assert.Equal(t, test.known, known)
		})
	}
}

func TestAStudyWithoutAFinalResponseFailsWithItsProgress(t *testing.T) {
	status, known := judge(nil, count(2, 1, 0, 7), false)
	assert.Equal(t, RetrievalFailed, status)
	assert.Equal(t, count(2, 1, 0, 7), known)
}

func TestAStudyThatWasStoppedIsCancelledUnlessItWasDone(t *testing.T) {
	status, known := judge(nil, count(2, 0, 0, 7), true)
	assert.Equal(t, RetrievalCancelled, status)
	assert.Equal(t, count(2, 0, 0, 7), known)

	status, _ = judge(response(0xB000, count(2, 7, 0, -1)), counters{}, true)
	assert.Equal(t, RetrievalCancelled, status, "not every PACS answers a C-CANCEL with FE00")

	status, _ = judge(response(0x0000, count(9, 0, 0, -1)), counters{}, true)
	assert.Equal(t, RetrievalOK, status, "the C-CANCEL came too late")
}

func genCounters(t *rapid.T, name string) counters {
	n := rapid.IntRange(-1, 3)
	return count(n.Draw(t, name+" completed"), n.Draw(t, name+" failed"), n.Draw(t, name+" warning"), n.Draw(t, name+" remaining"))
}

func TestNoOutcomeLooksBetterThanItsCounters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := dicomnet.Status(rapid.SampledFrom([]uint16{0, 1, 0x0107, 0x0110, 0xA702, 0xA801, 0xB000, 0xB001, 0xC000, 0xFE00, 0x1234}).Draw(t, "status"))
		said, pending := genCounters(t, "final"), genCounters(t, "pending")
		status, known := judge(response(code, said), pending, false)
		switch status {
		case RetrievalOK:
			if c := code.Class(); c != dicomnet.ClassSuccess && c != dicomnet.ClassWarning {
				t.Fatalf("ok with status %s", code)
			}
			if valueOf(said.failed) > 0 || valueOf(said.remaining) > 0 || said.completed != nil && said.arrived() == 0 {
				t.Fatalf("ok with %+v", said)
			}
		case RetrievalFailed:
			if known.arrived() > 0 {
				t.Fatalf("failed although %d arrived", known.arrived())
			}
		case RetrievalNotAttempted:
			t.Fatal("not attempted, with a response")
		case RetrievalPartial, RetrievalCancelled:
		}
	})
}

func TestAStudyOfWhichThePACSNamesAFailedInstanceIsNotOK(t *testing.T) {
	for _, test := range []struct {
		said counters
		want RetrievalStatus
	}{
		{count(-1, -1, -1, -1), RetrievalPartial},
		{count(3, 0, 0, -1), RetrievalPartial},
		{count(0, 0, 2, -1), RetrievalPartial},
		{count(0, 0, 0, -1), RetrievalFailed},
	} {
		for _, status := range []dicomnet.Status{dicomnet.StatusSuccess, dicomnet.StatusWarning} {
			final := response(status, test.said)
			final.FailedSOPInstanceUIDs = []string{"1.9.9"}
			got, _ := judge(final, counters{}, false)
			assert.Equal(t, test.want, got, "%s %+v", status, test.said)
		}
	}
}

func TestFailedInstancesAreUIDsOrCounted(t *testing.T) {
	valid, malformed := failedUIDs([]string{"1.2.3", "1.2.4 ", "1.2.5\x00", "", "x", strings.Repeat("1", 65)})
	assert.Equal(t, []string{"1.2.3", "1.2.4", "1.2.5"}, valid)
	assert.Equal(t, 3, malformed)

	valid, malformed = failedUIDs(nil)
	assert.Equal(t, []string{}, valid)
	assert.Zero(t, malformed)

	valid, _ = failedUIDs(strings.Split(strings.Repeat("1.2 ", maxFailedUIDs+1), " "))
	assert.Len(t, valid, maxFailedUIDs)
}

func TestAResultTellsWhatWasMoved(t *testing.T) {
	entry := func(s RetrievalStatus, c counters) Retrieval {
		return Retrieval{Status: s, Completed: c.completed, Failed: c.failed, Warning: c.warning}
	}
	tests := []struct {
		name      string
		entries   []Retrieval
		succeeded int
		moved     bool
	}{
		{"nothing", nil, 0, false},
		{"ok on the word of the PACS", []Retrieval{entry(RetrievalOK, counters{})}, 1, true},
		{"partial on the word of the PACS", []Retrieval{entry(RetrievalPartial, counters{})}, 0, true},
		{"failed and not attempted", []Retrieval{entry(RetrievalFailed, count(0, 3, 0, -1)), entry(RetrievalNotAttempted, counters{})}, 0, false},
		{"failed half-way", []Retrieval{entry(RetrievalFailed, count(2, 0, 0, 5))}, 0, true},
		{"cancelled before anything arrived", []Retrieval{entry(RetrievalCancelled, count(0, 0, 0, 5))}, 0, false},
		{"cancelled after a warning", []Retrieval{entry(RetrievalCancelled, count(0, 0, 1, 5))}, 0, true},
		{"one of two", []Retrieval{entry(RetrievalFailed, counters{}), entry(RetrievalOK, counters{})}, 1, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := RetrieveResult{Retrievals: test.entries}
			assert.Equal(t, test.succeeded, r.Succeeded())
			assert.Equal(t, test.moved, r.Moved())
		})
	}
}

package qr

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/budget"
)

// count returns counters of completed, failed, warning and remaining; -1 leaves one out.
func count(completed, failed, warning, remaining int) counters {
	counter := func(n int) *int {
		if n < 0 {
			return nil
		}
		return &n
	}
	return counters{counter(remaining), counter(completed), counter(failed), counter(warning)}
}

func response(status dicomnet.Status, c counters) *dicomnet.RetrieveReport {
	narrow := func(n *int) *uint16 {
		if n == nil {
			return nil
		}
		return new(uint16(*n))
	}
	return &dicomnet.RetrieveReport{
		Status: status, Final: true,
		Remaining: narrow(c.remaining), Completed: narrow(c.completed), Failed: narrow(c.failed), Warning: narrow(c.warning),
	}
}

func TestJudgeUsesStatusAndCounters(t *testing.T) {
	none := counters{}
	const ok, partial, failed, cancelled = RetrievalOK, RetrievalPartial, RetrievalFailed, RetrievalCancelled
	tests := []struct {
		name    string
		status  dicomnet.Status
		final   counters
		pending counters
		want    RetrievalStatus
		known   counters // what is reported
	}{
		{"success, all completed", 0x0000, count(5, 0, 0, -1), none, ok, count(5, 0, 0, -1)},
		{"success with a remaining of zero", 0x0000, count(5, 0, 0, 0), none, ok, count(5, 0, 0, 0)},
		{"success without counters", 0x0000, none, none, ok, none},
		{"success without counters after pending ones with counters", 0x0000, none, count(4, 0, 0, 1), ok, none},
		{"success with completed alone", 0x0000, count(5, -1, -1, -1), none, ok, count(5, -1, -1, -1)},
		{"success with a failed of zero alone", 0x0000, count(-1, 0, -1, -1), none, ok, count(-1, 0, -1, -1)},
		{"success, some with a warning", 0x0000, count(3, 0, 2, -1), none, ok, count(3, 0, 2, -1)},
		{"success, all with a warning", 0x0000, count(0, 0, 2, -1), none, ok, count(0, 0, 2, -1)},
		{"success with failed and completed", 0x0000, count(3, 2, 0, -1), none, partial, count(3, 2, 0, -1)},
		{"success with failed alone", 0x0000, count(-1, 2, -1, -1), none, partial, count(-1, 2, -1, -1)},
		{"success with all failed", 0x0000, count(0, 2, 0, -1), none, failed, count(0, 2, 0, -1)},
		{"success with zero completed", 0x0000, count(0, 0, 0, -1), none, failed, count(0, 0, 0, -1)},
		{"success with a completed of zero alone", 0x0000, count(0, -1, -1, -1), none, failed, count(0, -1, -1, -1)},
		{"success with zero completed after pending ones with more", 0x0000, count(0, 0, 0, -1), count(3, 0, 0, 1), partial, count(3, 0, 0, -1)},
		{"success with some remaining", 0x0000, count(3, 0, 0, 2), none, partial, count(3, 0, 0, 2)},
		{"success without counters after a pending failure", 0x0000, none, count(3, 1, 0, 0), partial, count(3, 1, 0, -1)},
		{"success after a failed sub-operation was repeated", 0x0000, count(5, 0, 0, -1), count(3, 1, 0, 1), ok, count(5, 0, 0, -1)},

		{"warning, some failed", 0xB000, count(3, 2, 0, -1), none, partial, count(3, 2, 0, -1)},
		{"warning, all failed", 0xB000, count(0, 5, 0, -1), none, failed, count(0, 5, 0, -1)},
		{"warning with zeros", 0xB000, count(0, 0, 0, -1), none, failed, count(0, 0, 0, -1)},
		{"warning without counters", 0xB000, none, none, partial, none},
		{"warning without counters after pending ones with zeros", 0xB000, none, count(0, 0, 0, 5), partial, count(0, 0, 0, -1)},
		{"warning, none failed and some with a warning", 0xB000, count(3, 0, 2, -1), none, ok, count(3, 0, 2, -1)},
		{"warning, some with a warning and no failed counter", 0xB000, count(3, -1, 2, -1), none, partial, count(3, -1, 2, -1)},
		{"warning that no counter explains", 0xB000, count(5, 0, 0, -1), none, partial, count(5, 0, 0, -1)},
		{"warning with some remaining", 0xB000, count(3, 0, 2, 1), none, partial, count(3, 0, 2, 1)},
		{"another warning status", 0x0107, count(3, 1, 0, -1), none, partial, count(3, 1, 0, -1)},

		{"unsolicited cancel", 0xFE00, count(2, 0, 0, 3), none, cancelled, count(2, 0, 0, 3)},
		{"cancel without counters", 0xFE00, none, count(2, 0, 0, 3), cancelled, count(2, 0, 0, -1)},

		{"destination unknown", 0xA801, none, none, failed, none},
		{"failure, none completed", 0xA702, count(0, 3, 0, -1), none, failed, count(0, 3, 0, -1)},
		{"failure, some completed", 0xA702, count(2, 3, 0, -1), none, partial, count(2, 3, 0, -1)},
		{"failure, some with a warning", 0xA702, count(0, 3, 1, -1), none, partial, count(0, 3, 1, -1)},
		{"failure with zeros after pending ones with more", 0xC000, count(0, 0, 0, -1), count(3, 0, 0, 2), partial, count(3, 0, 0, -1)},
		{"failure without counters after pending ones", 0xC000, none, count(3, 0, 0, 2), partial, count(3, 0, 0, -1)},
		{"undefined status", 0x1234, none, none, failed, none},
		{"status beside that of pending", 0xFFFE, none, none, failed, none},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, known := judge(response(test.status, test.final), test.pending, false)
			assert.Equal(t, test.want, status)
			assert.Equal(t, test.known, known)
		})
	}
}

func TestJudgeWithoutAFinalResponseIsFailed(t *testing.T) {
	status, known := judge(nil, count(2, 1, 0, 7), false)
	assert.Equal(t, RetrievalFailed, status)
	assert.Equal(t, count(2, 1, 0, 7), known)
}

func TestJudgeOfAStoppedMoveIsCancelledUnlessItSucceeded(t *testing.T) {
	status, known := judge(nil, count(2, 0, 0, 7), true)
	assert.Equal(t, RetrievalCancelled, status)
	assert.Equal(t, count(2, 0, 0, 7), known)

	status, _ = judge(response(0xB000, count(2, 7, 0, -1)), counters{}, true)
	assert.Equal(t, RetrievalCancelled, status, "some PACS answer a C-CANCEL with another status than FE00")

	status, _ = judge(response(0x0000, count(9, 0, 0, -1)), counters{}, true)
	assert.Equal(t, RetrievalOK, status, "the C-CANCEL was too late")
}

func genCounters(t *rapid.T, name string) counters {
	n := rapid.IntRange(-1, 3)
	return count(n.Draw(t, name+" completed"), n.Draw(t, name+" failed"), n.Draw(t, name+" warning"), n.Draw(t, name+" remaining"))
}

func TestJudgeIsNeverBetterThanTheCounters(t *testing.T) {
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
				t.Fatalf("failed, although %d arrived", known.arrived())
			}
		case RetrievalNotAttempted:
			t.Fatal("not attempted, although there is a response")
		case RetrievalPartial, RetrievalCancelled:
		}
	})
}

func TestJudgeWithFailedInstancesIsNotOK(t *testing.T) {
	for _, test := range []struct {
		counters counters
		want     RetrievalStatus
	}{
		{count(-1, -1, -1, -1), RetrievalPartial},
		{count(3, 0, 0, -1), RetrievalPartial},
		{count(0, 0, 2, -1), RetrievalPartial},
		{count(0, 0, 0, -1), RetrievalFailed},
	} {
		for _, status := range []dicomnet.Status{dicomnet.StatusSuccess, dicomnet.StatusWarning} {
			final := response(status, test.counters)
			final.FailedSOPInstanceUIDs = []string{"1.9.9"}
			got, _ := judge(final, counters{}, false)
			assert.Equal(t, test.want, got, "%s %+v", status, test.counters)
		}
	}
}

func TestFailedUIDsSkipsAndCountsMalformedOnes(t *testing.T) {
	r := retrieval{operation: &operation{}, counts: new(counts)}
	assert.Equal(t, []string{"1.2.3", "1.2.4", "1.2.5"}, r.failedUIDs([]string{"1.2.3", "1.2.4 ", "1.2.5\x00", "", "x", strings.Repeat("1", 65)}))
	assert.Equal(t, 3, r.counts[failedUIDMalformed])
	assert.Equal(t, []string{}, r.failedUIDs(nil))
	assert.Equal(t, 3, r.counts[failedUIDMalformed])
}

func TestFailedUIDsBeyondTheLimitAreCutWithAWarning(t *testing.T) {
	r := retrieval{operation: &operation{}, counts: new(counts)}
	list := strings.Split(strings.TrimSpace(strings.Repeat("1.2 ", maxFailedUIDs+2)), " ")
	assert.Len(t, r.failedUIDs(list), maxFailedUIDs)
	assert.Equal(t, 2, r.counts[failedUIDsCut])
}

func TestFewFailedUIDsAreKeptWhenTheMemoryOfTheOperationIsUsed(t *testing.T) {
	all := budget.New(32<<20, 0)
	account := all.Account("a")
	defer account.Close()
	require.NoError(t, account.Take(t.Context(), 2<<20))
	r := retrieval{operation: &operation{memory: account}, counts: new(counts)}
	list := make([]string, 20000)
	for i := range list {
		list[i] = "1.2." + strings.Repeat("3", 60)
	}
	total := 0
	for range 300 {
		total += len(r.failedUIDs(list))
	}
	assert.Equal(t, 20000+299*fewFailedUIDs, total)
	assert.Equal(t, 300*20000-total, r.counts[failedUIDsCut])
	warnings := r.counts.warnings()
	require.Len(t, warnings, 1)
	assert.Equal(t, WarningFailedInstancesCut, warnings[0].Code)
	assert.LessOrEqual(t, all.Reserved(), int64(8<<20))
}

func TestRetrieveResultReportsWhatWasMoved(t *testing.T) {
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
		{"ok without counters", []Retrieval{entry(RetrievalOK, counters{})}, 1, true},
		{"partial without counters", []Retrieval{entry(RetrievalPartial, counters{})}, 0, true},
		{"failed and not attempted", []Retrieval{entry(RetrievalFailed, count(0, 3, 0, -1)), entry(RetrievalNotAttempted, counters{})}, 0, false},
		{"failed with completed sub-operations", []Retrieval{entry(RetrievalFailed, count(2, 0, 0, 5))}, 0, true},
		{"cancelled with none completed", []Retrieval{entry(RetrievalCancelled, count(0, 0, 0, 5))}, 0, false},
		{"cancelled with a warning", []Retrieval{entry(RetrievalCancelled, count(0, 0, 1, 5))}, 0, true},
		{"failed and ok", []Retrieval{entry(RetrievalFailed, counters{}), entry(RetrievalOK, counters{})}, 1, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := RetrieveResult{Retrievals: test.entries}
			assert.Equal(t, test.succeeded, r.Succeeded())
			assert.Equal(t, test.moved, r.Moved())
		})
	}
}

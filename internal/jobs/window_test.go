package jobs

import (
	"testing"
	"time"
	_ "time/tzdata" // the test must not depend on the machine

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAWindowIsReadAsItIsWritten(t *testing.T) {
	for _, text := range []string{"20:00-06:00", "00:00-24:00", "23:59-00:00", "08:30-17:15"} {
		w, err := ParseWindow(text)
		require.NoError(t, err, text)
		assert.Equal(t, text, w.String())
		assert.True(t, w.valid())
	}
	for text, reason := range map[string]WindowReason{
		"": WindowMalformed, "20:00": WindowMalformed, "20:00-6:00": WindowMalformed, "25:00-06:00": WindowMalformed, "20:60-06:00": WindowMalformed,
		"24:00-06:00": WindowMalformed, "20-00-06-00": WindowMalformed, "20:00-24:01": WindowMalformed, "2a:00-06:00": WindowMalformed,
		"20:00 06:00": WindowMalformed, "20:00-06:00 ": WindowMalformed,
		"20:00-20:00": WindowNeverOpens, "00:00-00:00": WindowNeverOpens,
	} {
		_, err := ParseWindow(text)
		invalid, ok := err.(*WindowError) //nolint:errorlint // not wrapped
		require.True(t, ok, text)
		assert.Equal(t, reason, invalid.Reason, text)
		assert.NotEmpty(t, invalid.Error())
	}
	assert.False(t, (&Window{From: -1, To: 3}).valid())
	assert.False(t, (&Window{From: 3, To: 3}).valid())
	assert.False(t, (&Window{From: 1440, To: 3}).valid())
	assert.False(t, (&Window{From: 3, To: 1441}).valid())
}

func TestAWindowOpensByTheClockOnTheWall(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	const clock = "2006-01-02 15:04:05 MST"
	for _, c := range []struct{ window, at, opens string }{
		{"20:00-06:00", "2026-03-10 12:00:00 CET", "2026-03-10 20:00:00 CET"},
		{"20:00-06:00", "2026-03-10 19:59:59 CET", "2026-03-10 20:00:00 CET"},
		{"20:00-06:00", "2026-03-10 20:00:00 CET", "2026-03-10 20:00:00 CET"},
		{"20:00-06:00", "2026-03-11 05:59:59 CET", "2026-03-11 05:59:59 CET"},
		{"20:00-06:00", "2026-03-11 06:00:00 CET", "2026-03-11 20:00:00 CET"},
		{"08:00-17:00", "2026-03-10 18:00:00 CET", "2026-03-11 08:00:00 CET"},
		{"00:00-24:00", "2026-03-10 18:00:30 CET", "2026-03-10 18:00:30 CET"},
		{"22:00-00:00", "2026-03-11 00:00:00 CET", "2026-03-11 22:00:00 CET"},
		// The clock skips the hour from 2:00 on 29 March 2026.
		{"02:30-03:30", "2026-03-29 01:30:00 CET", "2026-03-29 03:00:00 CEST"},
		{"02:15-02:45", "2026-03-28 12:00:00 CET", "2026-03-30 02:15:00 CEST"},
		{"20:00-06:00", "2026-03-29 05:59:00 CEST", "2026-03-29 05:59:00 CEST"},
		// The hour from 2:00 comes twice on 25 October 2026.
		{"02:30-03:00", "2026-10-25 02:10:00 CEST", "2026-10-25 02:30:00 CEST"},
		{"02:30-03:00", "2026-10-25 02:10:00 CET", "2026-10-25 02:30:00 CET"},
		{"03:00-04:00", "2026-10-25 01:00:00 CEST", "2026-10-25 03:00:00 CET"},
	} {
		w, err := ParseWindow(c.window)
		require.NoError(t, err)
		at, err := time.ParseInLocation(clock, c.at, berlin)
		require.NoError(t, err)
		assert.Equal(t, c.opens, w.opening(at).Format(clock), "%s at %s", c.window, c.at)
	}
}

func TestAJobBeginsInItsWindowAndNotBeforeItsTime(t *testing.T) {
	window := Window{From: 20 * 60, To: 6 * 60}
	r := &record{NotBefore: noon.Add(48 * time.Hour), Window: &window}
	assert.Equal(t, noon.Add(56*time.Hour), r.opensAt(noon, time.UTC))
	r.Window = nil
	assert.Equal(t, r.NotBefore, r.opensAt(noon, time.UTC))
	r.NotBefore = time.Time{}
	assert.Equal(t, noon, r.opensAt(noon, time.UTC))
}

func TestJetStreamIsAskedForAWholeSecondInTheFuture(t *testing.T) {
	assert.Equal(t, noon.Add(time.Minute), scheduledFor(noon.Add(time.Minute), noon))
	assert.Equal(t, noon.Add(time.Minute), scheduledFor(noon.Add(time.Minute-1), noon))
	assert.Equal(t, noon.Add(time.Second), scheduledFor(noon, noon))
	assert.Equal(t, noon.Add(2*time.Second), scheduledFor(noon.Add(-time.Hour), noon.Add(1)))
}

package qr

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestParseDateAcceptsBothForms(t *testing.T) {
	for text, want := range map[string]int{
		"20240131":   20240131,
		"2024.01.31": 20240131,
		"2024-01-31": 20240131,
		"2024/01/31": 20240131,
		"20240229":   20240229,
		"00010101":   10101,
	} {
		got, ok := parseDate(text)
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
}

func TestParseDateRejectsWhatIsNoDay(t *testing.T) {
	for _, text := range []string{
		"", "2024", "202401", "20240132", "20241301", "20240100", "20240001", "20230229", "00000101",
		"2024-01.31", "2024.0131", "2024_01_31", "24-01-31-1", "2024.1.31", "2024013a", "20240131120000", "-2024013", "２０２４０１３１",
	} {
		_, ok := parseDate(text)
		assert.False(t, ok, text)
	}
}

func TestParseDateAcceptsEveryDay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := time.Date(1900, 1, 1+rapid.IntRange(0, 100000).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
		n, ok := parseDate(day.Format("20060102"))
		if !ok || fmt.Sprintf("%08d", n) != day.Format("20060102") {
			t.Fatalf("parseDate of %v = %d, %v", day, n, ok)
		}
	})
}

func TestParseTimeOrdersAnyPrecision(t *testing.T) {
	previous := int64(0)
	for _, text := range []string{
		"00", "0000.5", "0001", "010203", "010203.000001", "010203.5", "01:02:04", "0103", "12", "120001", "235959.999999", "235960",
	} {
		got := parseTime(text)
		assert.Greater(t, got, previous, text)
		previous = got
	}
	assert.Equal(t, parseTime("12"), parseTime("120000.000000"))
}

func TestParseTimeReturnsZeroForWhatIsNoTime(t *testing.T) {
	for _, text := range []string{"", "1", "123", "24", "1260", "120061", "12000a", "120000.1234567", "120000.x", "12000000"} {
		assert.Zero(t, parseTime(text), text)
	}
}

func TestOldFormsAreNormalized(t *testing.T) {
	assert.Equal(t, "20240131", normalDate("2024.01.31"))
	assert.Equal(t, "20240131", normalDate("2024-01-31"))
	assert.Equal(t, "20240131", normalDate("2024/01/31"))
	assert.Equal(t, "20240131", normalDate("20240131"))
	assert.Equal(t, "120000.5", normalTime("12:00:00.5"))
	assert.Equal(t, "1200", normalTime("1200"))
}

func TestUnreadableDatesAndTimesAreNotNormalized(t *testing.T) {
	assert.Equal(t, "2024.13.31", normalDate("2024.13.31"))
	assert.Equal(t, "2024-01.31", normalDate("2024-01.31"))
	assert.Equal(t, "unknown", normalDate("unknown"))
	assert.Equal(t, "12:99", normalTime("12:99"))
}

func TestYearsBeforeIsTheSameDay(t *testing.T) {
	for _, test := range []struct {
		today string
		years int
		want  int
	}{
		{"2024-06-15", 1, 20230615},
		{"2024-01-01", 10, 20140101},
		{"2024-12-31", 200, 18241231},
		{"2024-02-29", 4, 20200229},
		{"2024-02-29", 1, 20230228}, // a year without the day: the last of its February
		{"2023-02-28", 3, 20200228},
		{"2024-01-01", 2024, 0},
	} {
		today, err := time.Parse(time.DateOnly, test.today)
		assert.NoError(t, err)
		assert.Equal(t, test.want, yearsBefore(today, test.years), "%s - %d", test.today, test.years)
	}
}

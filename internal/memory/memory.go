// Package memory sets the pace of the garbage collector and keeps the resident memory of an idle gateway small.
package memory

import (
	"errors"
	"math"
	"runtime/debug"
	"strconv"
	"strings"
)

// collectAt is GOGC for a heap that grows beyond floor: its growth, in percent, at which garbage is collected. There are half as many
// collections as at Go's default.
const collectAt = 200

// Default is what the gateway should stay within on a machine that does not limit it.
const Default = 256 << 20

// Limits holds GOGC and GOMEMLIMIT, as ParseLimits reads them; the zero value is not valid. Go reads them itself, but not if they come
// from a file.
type Limits struct {
	percent int
	adapted bool  // GOGC is not set
	bytes   int64 // 0: GOMEMLIMIT is not set
}

// Within returns l for a process that should stay within the bytes. GOMEMLIMIT, if it is set, wins.
func (l Limits) Within(bytes int64) Limits {
	if l.bytes == 0 {
		// The rest is for what Go does not count, such as the pages of the program, and for what is allocated while garbage is
		// collected. With seven eighths, hostile PACS brought the process up to 95 % of its memory.
		l.bytes = bytes / 4 * 3
	}
	return l
}

// ParseLimits reads the values of GOGC and GOMEMLIMIT; empty means not set. The error names what is invalid, without its value.
func ParseLimits(gogc, gomemlimit string) (Limits, error) {
	l := Limits{percent: collectAt}
	var faults []error
	switch n, err := strconv.ParseInt(gogc, 10, 32); {
	case gogc == "":
		l.adapted = true
	case gogc == "off":
		l.percent = -1
	case err != nil || n < 0:
		faults = append(faults, errors.New("GOGC: want a percentage, or off"))
	default:
		l.percent = int(n)
	}
	if gomemlimit != "" {
		var ok bool
		if l.bytes, ok = ParseBytes(gomemlimit); !ok {
			faults = append(faults, errors.New("GOMEMLIMIT: want a number of bytes with or without a unit, such as 224MiB, or off"))
		}
	}
	return l, errors.Join(faults...)
}

// ParseBytes reads a size as the Go runtime does: a number of bytes with or without a unit such as MiB, or off.
func ParseBytes(text string) (n int64, ok bool) {
	if text == "off" {
		return math.MaxInt64, true
	}
	shift := 0
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if number, found := strings.CutSuffix(text, unit); found {
			text, shift = number, 10*(i+1)
			break
		}
	}
	if shift == 0 {
		text = strings.TrimSuffix(text, "B")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n << shift, err == nil && n >= 0 && n <= math.MaxInt64>>shift
}

// Release applies the limits, and returns to the system the memory that only the start needed.
func (l Limits) Release() {
	setPercent(l.percent, l.adapted)
	if l.bytes > 0 {
		debug.SetMemoryLimit(l.bytes)
	}
	debug.FreeOSMemory()
	releaseProgramPages()
}

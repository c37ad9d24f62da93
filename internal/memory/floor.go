package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// floor is the size to which the heap grows before garbage is collected, however little is live. A gateway that only answers queries
// has 4 MB live, so at collectAt it would collect at 12 MB, some twenty times a second under load. With the floor it serves 3 % more
// requests over reused associations. Larger heaps are as large as without it.
const floor = 24 << 20

// mostPercent is the GOGC at which Go's own minimum, 4 MiB at 100, is the floor.
const mostPercent = floor / (4 << 20) * 100

// percentFor returns the GOGC with which a heap of so many live bytes grows to floor, or collectAt if that lets it grow more.
func percentFor(live uint64) int {
	percent := int(floor*100/max(live, 1)) - 100
	return max(collectAt, min(percent, mostPercent))
}

// pace is the GOGC of this process, adapted to what is live.
var pace struct {
	mu       sync.Mutex
	adapted  bool // false: the operator has set GOGC
	percent  int  // that is in force
	watching bool
}

// setPercent sets GOGC; adapted keeps the floor from now on.
func setPercent(percent int, adapted bool) {
	pace.mu.Lock()
	defer pace.mu.Unlock()
	debug.SetGCPercent(percent)
	pace.percent, pace.adapted = percent, adapted
	if adapted && !pace.watching {
		pace.watching = true
		watch()
	}
}

// watch calls adapt after each collection: the object is garbage that the next one finds.
func watch() {
	type collected struct{ _ *collected } // with a pointer: small objects without one share memory and live longer
	runtime.AddCleanup(&collected{}, func(struct{}) { adapt() }, struct{}{})
}

func adapt() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	want := percentFor(live[0].Value.Uint64())
	pace.mu.Lock()
	defer pace.mu.Unlock()
	pace.watching = pace.adapted
	if !pace.adapted {
		return
	}
	// Setting it stops the process for a moment, so small differences are left.
	if want < pace.percent-pace.percent/8 || want > pace.percent+pace.percent/8 {
		debug.SetGCPercent(want)
		pace.percent = want
	}
	watch()
}

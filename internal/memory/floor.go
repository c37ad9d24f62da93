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

// percentFor returns the GOGC with which a heap of so many live bytes grows to floor, or collectAt if that lets it grow more. GOGC is
// relative to the live bytes and the roots: the stacks and global variables, which the collector examines too.
func percentFor(live, roots uint64) int {
	if live >= floor {
		return collectAt
	}
	percent := (floor - live) * 100 / max(live+roots, 1)
	return max(collectAt, int(min(percent, mostPercent)))
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

// adapt sets GOGC by what the last collection found.
func adapt() {
	found := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(found)
	want := percentFor(found[0].Value.Uint64(), found[1].Value.Uint64()+found[2].Value.Uint64())
	pace.mu.Lock()
	defer pace.mu.Unlock()
	pace.watching = pace.adapted
	if !pace.adapted {
		return
	}
	if want != pace.percent {
		debug.SetGCPercent(want)
		pace.percent = want
	}
	watch()
}

package main

import "runtime/debug"

// collectAt is GOGC: the heap growth, in percent, at which garbage is collected. A request leaves nothing but garbage, beside a
// heap of a few megabytes. At 200 there are half as many collections as at Go's default, for some 5 MB more under load.
const collectAt = 200

// releaseMemory sets the pace of the garbage collector, unless GOGC is set, and returns to the system the memory that only the
// start needed.
func releaseMemory(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	debug.FreeOSMemory()
	releaseProgramPages()
}

package main

import (
	"os"
	"runtime/debug"
)

// collectAt is the growth of the heap at which garbage is collected, in percent. All that a request leaves behind is garbage,
// beside a heap of a few megabytes: with this room there are half as many collections, for some 5 MB under load.
const collectAt = 200

// settle gives back what the start alone took: garbage, and the pages of the program that only it ran. GOGC, where it is
// set, has the last word.
func settle() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	debug.FreeOSMemory()
	forgetProgram()
}

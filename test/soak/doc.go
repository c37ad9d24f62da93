// Package soak runs the built gateway under mixed load for a while, as a process on loopback: 64 callers, some of which
// disconnect, and peers that answer well, slowly, wrongly or not at all. At the end each request must have the response that
// its peer causes, the audit log must have each operation, and the process must be as small as at the start. The test has the
// build tag soak because of the time that it takes:
//
//	SOAK_TIME=10m go test -count=1 -timeout 0 -tags soak -v ./test/soak
//
// GATEWAY_BIN names a gateway to test instead of one built from this tree.
package soak

// Package soak keeps the built gateway under mixed load for a while, as a process on
// loopback: 64 callers, some of whom leave, and peers good, slow, broken and hostile.
// In the end each request must have had the answer that its peer gives rise to, the
// audit log must have each operation, and the process must be as small as it was. The
// test carries the build tag soak, because it takes its time:
//
//	SOAK_TIME=10m go test -count=1 -timeout 0 -tags soak -v ./test/soak
//
// GATEWAY_BIN names a gateway to test in place of one built from this tree.
package soak

// Package siege runs the built gateway with 256 MiB of memory against hostile PACS and hostile callers, one kind after the other.
// It measures what the process holds, and what another caller gets in the meantime, and has a test for each finding of the
// review that led to these tests. The tests have the build tag siege because of the time and the memory that they take:
//
//	go test -count=1 -tags siege -v ./test/siege
//
// GATEWAY_BIN names a gateway to test instead of one built from this tree.
package siege

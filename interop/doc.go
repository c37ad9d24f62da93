// Package interop tests the built gateway against real peers, as processes on
// loopback: DCMTK's dcmqrscp, storescp and findscu, and Orthanc. Its tests carry the
// build tag interop, because they need the Debian packages dcmtk and orthanc:
//
//	go test -count=1 -tags interop ./interop
//
// (-count=1, because go test does not know that the result depends on the gateway.)
//
// GATEWAY_BIN names a gateway to test in place of one built from this tree.
package interop

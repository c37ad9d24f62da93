// Package interop tests the built gateway against real peers, as processes on
// loopback: DCMTK's dcmqrscp, storescp and findscu, and Orthanc. Its tests carry the
// build tag interop, because they need the Debian packages dcmtk and orthanc:
//
//	go test -tags interop ./interop
//
// GATEWAY_BIN names a gateway to test in place of one built from this tree.
package interop

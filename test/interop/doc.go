// Package interop tests the built gateway against real peers, as processes on
// loopback: DCMTK's dcmqrscp, storescp and findscu, and Orthanc; and behind nginx and
// Caddy as samples/proxies sets them up, and called by curl; and as samples/pacs starts
// it between two Orthancs. Its tests carry the build tag interop, because they need the
// Debian packages dcmtk, dicom3tools, orthanc, nginx, caddy and curl:
//
//	go test -count=1 -tags interop ./test/interop
//
// (-count=1, because go test does not know that the result depends on the gateway.)
//
// GATEWAY_BIN names a gateway to test in place of one built from this tree.
package interop

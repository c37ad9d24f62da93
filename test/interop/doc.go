// Package interop tests the built gateway against real peers, as processes on loopback: DCMTK's dcmqrscp, storescp and findscu,
// Orthanc, and PixelMed's server; behind nginx and Caddy as samples/proxies configures them; called by curl, and by the DICOMweb
// clients Odil, pydicom and Orthanc; and between two Orthancs as samples/pacs/start runs it. The tests have the build tag interop
// because they need Debian packages, which README.md lists:
//
//	go test -count=1 -tags interop ./test/interop
//
// -count=1 is needed because go test does not know that the result depends on the gateway. GATEWAY_BIN names a gateway to test
// instead of one built from this tree.
package interop

// Package dicomtest provides peers for tests of DICOM clients, as net/http/httptest does for HTTP:
//
//   - [PACS] is a PACS in memory that behaves as the standard requires, with a few switches for what other PACS do.
//   - [ScriptedPACS] is a PACS whose behaviour is a set of functions of the test.
//   - [Script] and [ScriptedPeer] play an exchange PDU by PDU, valid or not.
//
// The package does not import package testing, because the demonstration of the gateway runs a PACS too. It is not for
// production.
package dicomtest

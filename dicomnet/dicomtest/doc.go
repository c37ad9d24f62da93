// Package dicomtest provides peers to test DICOM clients against, as
// net/http/httptest does for HTTP: a PACS in memory with synthetic studies, and a
// scripted peer that says what it is told to, right or wrong.
//
// It needs no package testing and is linked into the demonstration mode of the
// gateway; nothing of it is for production.
package dicomtest

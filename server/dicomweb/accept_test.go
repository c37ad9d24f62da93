package dicomweb_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/server/dicomweb"
)

func TestTheMediaTypeIsNegotiated(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                       dicomweb.DICOMJSON,
		" ,":                                     dicomweb.DICOMJSON,
		"*/*":                                    dicomweb.DICOMJSON,
		"application/*":                          dicomweb.DICOMJSON,
		"application/dicom+json":                 dicomweb.DICOMJSON,
		"APPLICATION/DICOM+JSON":                 dicomweb.DICOMJSON,
		"application/dicom+json; charset=utf-8":  dicomweb.DICOMJSON,
		`application/dicom+json;charset="UTF-8"`: dicomweb.DICOMJSON,
		"application/json":                       dicomweb.JSON,
		"application/json, */*;q=0.5":            dicomweb.JSON,
		"application/json, application/dicom+json":                                  dicomweb.DICOMJSON,
		"application/dicom+json;q=0.5, application/json":                            dicomweb.JSON,
		"application/dicom+json;q=0, */*":                                           dicomweb.JSON,
		"application/json;q=0, application/*;q=0.1":                                 dicomweb.DICOMJSON,
		"text/html, */*;q=0.2":                                                      dicomweb.DICOMJSON,
		"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2":                      dicomweb.DICOMJSON, // Java
		"application/dicom+json;q=2, application/json":                              dicomweb.JSON,      // the first is malformed
		`text/plain;a=",application/xml", application/json`:                         dicomweb.JSON,
		"multipart/related; type=\"application/dicom+xml\", application/dicom+json": dicomweb.DICOMJSON,
		"text/html":         "",
		"application/dicom": "",
		"multipart/related; type=\"application/dicom+xml\"": "",
		"application/dicom+json;q=0":                        "",
		"*/*;q=0":                                           "",
		"application/json;charset=iso-8859-1":               "",
		"application/json;q=x":                              "",
		";;,;q=1":                                           "",
	} {
		got, ok := dicomweb.MediaType(nil, []string{accept})
		assert.Equal(t, want, got, accept)
		assert.Equal(t, want != "", ok, accept)
	}
	got, ok := dicomweb.MediaType(nil, nil)
	assert.Equal(t, dicomweb.DICOMJSON, got)
	assert.True(t, ok)
	got, _ = dicomweb.MediaType(nil, []string{"text/html", "application/json"})
	assert.Equal(t, dicomweb.JSON, got, "several fields are one list")
}

func TestTheQueryParameterAcceptGoesFirst(t *testing.T) {
	for parameter, want := range map[string]string{
		"application/json":                                  dicomweb.JSON,
		"application/dicom+json":                            dicomweb.DICOMJSON,
		"application/dicom json":                            dicomweb.DICOMJSON, // an unescaped plus sign
		"application/dicom json;q=0.1,application/json;q=0": dicomweb.DICOMJSON,
		"text/html":                                         "",
	} {
		got, _ := dicomweb.MediaType(&parameter, []string{"text/html", "*/*"})
		assert.Equal(t, want, got, parameter)
	}
}

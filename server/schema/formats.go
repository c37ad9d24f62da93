package schema

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/server/access"
)

// errFormat has no details: the answer shows the rule of the format, never the value.
var errFormat = errors.New("format")

// stringFormats returns the formats of the contract that patterns cannot express.
func stringFormats() map[string]openapi3.StringFormatValidator {
	formats := map[string]openapi3.StringFormatValidator{}
	for name, valid := range map[string]func(string) bool{
		"ae-title":         dicomnet.ValidAETitle,
		"host":             pool.ValidHost,
		"pacs-name":        access.ValidPACSName,
		"patient-id":       validText,
		"accession-number": validText,
		"issuer":           validText,
		"date":             validDate,
		"date-time":        validTime,
		"daily-window":     validWindow,
	} {
		formats[name] = openapi3.NewCallbackValidator(func(value string) error {
			if !valid(value) {
				return errFormat
			}
			return nil
		})
	}
	return formats
}

// formatRules says what each format requires.
var formatRules = map[string]string{
	"ae-title":         "must be a string of 1 to 16 printable ASCII characters, without a backslash and not only spaces",
	"pacs-name":        "must be the name of a PACS: 1 to 63 lower-case letters, digits and hyphens, the first one no hyphen",
	"host":             "must be an IPv4 address, an IPv6 address without brackets, or a host name; no scheme and no port",
	"patient-id":       "must be a string of 1 to 64 characters, without wildcards, backslash or control characters and not only spaces",
	"issuer":           "must be a string of 1 to 64 characters, without wildcards, backslash or control characters and not only spaces",
	"accession-number": "must be a string of 1 to 64 characters, without wildcards, backslash or control characters and not only spaces",
	"code-string":      "must be a string of 1 to 16 upper-case letters, digits, spaces and underscores, not only spaces",
	"uid":              "must be a DICOM unique identifier: groups of digits with dots between them, at most 64 characters",
	"date":             "must be a date, written as year, month and day with hyphens",
	"date-time":        "must be a date and time with its offset, such as 2026-01-31T20:00:00+01:00",
	"daily-window":     "must be hours of the day such as 20:00-06:00, with another end than beginning",
}

// validText reports whether s is a value that DICOM compares as a whole: a wildcard would match other values, a backslash would
// split the value, and U+FFFD stands for a character that could not be decoded.
func validText(s string) bool {
	return strings.TrimSpace(s) != "" &&
		!strings.ContainsAny(s, `*?\`) &&
		!strings.ContainsRune(s, utf8.RuneError) &&
		!strings.ContainsFunc(s, unicode.IsControl)
}

func validTime(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}

// validWindow reports whether s names hours of the day. A window that ends when it begins would never open.
func validWindow(s string) bool {
	from, to, ok := strings.Cut(s, "-")
	return ok && from != to
}

func validDate(s string) bool {
	day, err := time.Parse(time.DateOnly, s)
	return err == nil && day.Year() >= 1 // DICOM's calendar has no year 0
}

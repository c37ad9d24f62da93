package config

import (
	"os"
	"strings"
	"time"
)

// loadTimeZone checks TZ as Go reads it, but reports what Go ignores: with an unknown time zone, Go uses UTC.
func (c *Config) loadTimeZone(faults *faultyVariables) {
	const wanted = "want the name of a time zone, such as Europe/Berlin or UTC"
	name := strings.TrimPrefix(c.TimeZone, ":") // as POSIX permits
	var err error
	switch {
	case c.TimeZone == "":
	case strings.HasPrefix(name, "/"):
		data, err := os.ReadFile(name) //nolint:gosec // The operator names the file.
		if err != nil {
			faults.add("TZ", FileReason(name, err))
			return
		}
		if c.location, err = time.LoadLocationFromTZData("Local", data); err != nil {
			faults.add("TZ", inFile(name, "the file holds no time zone"))
		}
	case name == "", name == "Local": // valid for time.LoadLocation only
		faults.add("TZ", wanted)
	default:
		if c.location, err = time.LoadLocation(name); err != nil {
			faults.add("TZ", wanted)
		}
	}
}

// Location returns the time zone that TZ names; nil: TZ is not set.
func (c *Config) Location() *time.Location { return c.location }

package server

import (
	"os"
	"path/filepath"
	"regexp"

	"github.com/rs/zerolog"
)

// auditToStdout is the value of AUDIT_LOG that is no file.
const auditToStdout = "stdout"

var fieldName = regexp.MustCompile("^[A-Za-z0-9-]+$")

// loadAccess reads who may call, who is believed, and where it is recorded.
func (c *Config) loadAccess(faults *faultyVariables) {
	if c.APIKeysFile != "" {
		var fault *fileError
		if c.keys, fault = newReloaded(newAPIKeys, namedFile{"API_KEYS_FILE", c.APIKeysFile}); fault != nil {
			faults.add(fault.setting, fault.reason)
		}
	}
	var err error
	if c.origins, err = parseOrigins(c.CORSAllowedOrigins); err != nil {
		faults.add("CORS_ALLOWED_ORIGINS", err.Error())
	}
	if c.proxies.trusted, err = parseProxies(c.TrustedProxies); err != nil {
		faults.add("TRUSTED_PROXIES", err.Error())
	}
	c.proxies.userHeader = c.ForwardedUserHeader
	switch {
	case c.ForwardedUserHeader == "":
	case !fieldName.MatchString(c.ForwardedUserHeader):
		faults.add("FORWARDED_USER_HEADER", "want the name of a header field")
	case c.TrustedProxies == "":
		faults.add("FORWARDED_USER_HEADER", "needs TRUSTED_PROXIES")
	}
	if c.AuditLog != "" && c.AuditLog != auditToStdout && !inDirectory(c.AuditLog) {
		faults.add("AUDIT_LOG", "want stdout, or a file in a directory that is there")
	}
}

// AsksForCredentials tells whether callers need a key or a certificate.
func (c *Config) AsksForCredentials() bool { return c.APIKeysFile != "" || c.TLSClientCAFile != "" }

// onReload has each new version of a file logged.
func (c *Config) onReload(logger zerolog.Logger) {
	changed := func(name string) func(*fileError) {
		return func(fault *fileError) {
			if fault != nil {
				logger.Error().Str("setting", fault.setting).Str("reason", fault.reason).Msg("kept what was there before")
				return
			}
			logger.Info().Str("setting", name).Msg("read again")
		}
	}
	if c.keys != nil {
		c.keys.changed = changed("API_KEYS_FILE")
	}
	if c.tlsFiles != nil {
		c.tlsFiles.changed = changed("TLS_CERT_FILE")
	}
}

func newAPIKeys(contents [][]byte) (*apiKeys, *fileError) {
	keys, err := parseAPIKeys(string(contents[0]))
	if err != nil {
		return nil, &fileError{"API_KEYS_FILE", err.Error()}
	}
	return keys, nil
}

// inDirectory tells whether a file can be at path as far as that shows without
// making one: whoever reads the settings may not be the one who serves.
func inDirectory(path string) bool {
	if itself, err := os.Stat(path); err == nil && itself.IsDir() {
		return false
	}
	directory, err := os.Stat(filepath.Dir(path))
	return err == nil && directory.IsDir()
}

package config

import (
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/server/access"
)

// AuditToStdout is the value of AUDIT_LOG that is not a file.
const AuditToStdout = "stdout"

var fieldName = regexp.MustCompile("^[A-Za-z0-9-]+$")

// loadAccess reads the settings about callers, trusted proxies and the audit log.
func (c *Config) loadAccess(faults *faultyVariables) {
	if c.APIKeysFile != "" {
		var fault *fileError
		if c.keys, fault = newReloaded(newKeys, namedFile{"API_KEYS_FILE", c.APIKeysFile}); fault != nil {
			faults.add(fault.setting, fault.reason)
		}
	}
	var err error
	if c.origins, err = access.ParseOrigins(c.CORSAllowedOrigins); err != nil {
		faults.add("CORS_ALLOWED_ORIGINS", err.Error())
	}
	if c.hosts, err = access.ParseHosts(c.AllowedHosts); err != nil {
		faults.add("ALLOWED_HOSTS", err.Error())
	}
	if c.proxies.Trusted, err = access.ParseProxies(c.TrustedProxies); err != nil {
		faults.add("TRUSTED_PROXIES", err.Error())
	}
	c.proxies.UserHeader = c.ForwardedUserHeader
	switch {
	case c.ForwardedUserHeader == "":
	case !fieldName.MatchString(c.ForwardedUserHeader):
		faults.add("FORWARDED_USER_HEADER", "want the name of a header field")
	case c.TrustedProxies == "":
		faults.add("FORWARDED_USER_HEADER", "needs TRUSTED_PROXIES")
	}
	c.loadPublicURL(faults)
	c.checkViewerURL(faults)
	if c.AuditSync && (c.AuditLog == "" || c.AuditLog == AuditToStdout) {
		faults.add("AUDIT_SYNC", "needs a file in AUDIT_LOG")
	}
	if c.AuditLog != "" && c.AuditLog != AuditToStdout {
		if err := checkAppend(c.AuditLog); err != nil {
			faults.add("AUDIT_LOG", FileReason(c.AuditLog, err))
		}
	}
}

func (c *Config) loadPublicURL(faults *faultyVariables) {
	if c.PublicURL == "" {
		return
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		faults.add("PUBLIC_URL", "want an http or https URL without user, query and fragment, such as https://pacs.example/gateway")
		return
	}
	c.base = u
}

// checkViewerURL permits a path too, for a viewer of the same origin. Other schemes could run scripts in the page.
func (c *Config) checkViewerURL(faults *faultyVariables) {
	if c.ViewerURL == "" {
		return
	}
	u, err := url.Parse(strings.NewReplacer("{pacs}", "pacs", "{study}", "1.2").Replace(c.ViewerURL))
	absolute := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
	local := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/") && !strings.ContainsRune(c.ViewerURL, '\\')
	if !absolute && !local || !strings.Contains(c.ViewerURL, "{study}") {
		faults.add("VIEWER_URL", "want an http or https URL, or a path, with {study}, such as https://ohif.example/viewer/{pacs}?StudyInstanceUIDs={study}")
	}
}

// RequiresCredentials reports whether callers need a key or a certificate.
func (c *Config) RequiresCredentials() bool { return c.APIKeysFile != "" || c.TLSClientCAFile != "" }

// Access returns the rules of access. The functions in it read their files again as they change.
func (c *Config) Access() access.Options {
	o := access.Options{Proxies: c.proxies, Origins: c.origins, Base: c.base}
	if c.keys != nil {
		o.Keys = c.keys.get
	}
	// A web page of others has no API key. With HTTPS, no certificate of the gateway is valid for the name of such a page.
	if c.keys == nil && c.tlsFiles == nil {
		o.Hosts = c.hosts
	}
	if c.tlsFiles != nil && c.TLSClientCAFile != "" {
		o.ClientCAs = func() *x509.CertPool { return c.tlsFiles.get().clients }
	}
	return o
}

func newKeys(files []namedFile, contents [][]byte) (*access.Keys, *fileError) {
	keys, err := access.ParseKeys(string(contents[0]))
	if err != nil {
		return nil, files[0].fault(err.Error())
	}
	return keys, nil
}

// OpenAuditLog opens the log that AUDIT_LOG names; nil: audit is off. stdout is where records go if AUDIT_LOG is stdout. logger gets a
// warning if the file ends in the middle of a record.
func (c *Config) OpenAuditLog(stdout io.Writer, logger zerolog.Logger) (*audit.Log, error) {
	switch c.AuditLog {
	case "":
		return nil, nil //nolint:nilnil // Off is a valid setting.
	case AuditToStdout:
		return audit.To(stdout, audit.Options{}), nil
	}
	log, err := audit.Open(c.AuditLog, audit.Options{
		Sync: c.AuditSync,
		Torn: func() {
			logger.Warn().Str("setting", "AUDIT_LOG").Msg("the audit log ends in the middle of a record; the next record begins a new line")
		},
	})
	if err != nil {
		return nil, &FaultsError{[]string{"AUDIT_LOG: " + FileReason(c.AuditLog, err)}}
	}
	return log, nil
}

// checkAppend reports why records cannot be appended to the file at path, as far as that shows without creating the file.
func checkAppend(path string) error {
	itself, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		directory, err := os.Stat(filepath.Dir(path))
		if err == nil && !directory.IsDir() {
			return syscall.ENOTDIR
		}
		return err
	case err != nil:
		return err
	case itself.IsDir():
		return syscall.EISDIR
	case !itself.Mode().IsRegular():
		return nil // opening a pipe would wait for its reader
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0) //nolint:gosec // The operator names the file.
	if err != nil {
		return err
	}
	return file.Close()
}

package server

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

func (c *Config) loadTLS(faults *faultyVariables) {
	c.dicomTLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.DICOMTLSServerName}
	if c.DICOMTLSCAFile != "" {
		pool, reason := certificatePool(c.DICOMTLSCAFile)
		if reason != "" {
			faults.add("DICOM_TLS_CA_FILE", reason)
		}
		c.dicomTLS.RootCAs = pool
	}
	c.dicomTLS.Certificates = keyPair(faults,
		"DICOM_TLS_CERT_FILE", c.DICOMTLSCertFile, "DICOM_TLS_KEY_FILE", c.DICOMTLSKeyFile)

	if own := keyPair(faults, "TLS_CERT_FILE", c.TLSCertFile, "TLS_KEY_FILE", c.TLSKeyFile); own != nil {
		c.serverTLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: own}
	}
}

func certificatePool(file string) (*x509.CertPool, string) {
	pem, err := os.ReadFile(file) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, "the file cannot be read"
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, "the file holds no PEM certificate"
	}
	return pool, ""
}

// keyPair is nil where neither file is named or something is wrong with them.
func keyPair(faults *faultyVariables, certName, certFile, keyName, keyFile string) []tls.Certificate {
	switch {
	case certFile == "" && keyFile == "":
		return nil
	case certFile == "":
		faults.add(certName, "is needed where "+keyName+" is set")
		return nil
	case keyFile == "":
		faults.add(keyName, "is needed where "+certName+" is set")
		return nil
	}
	for _, file := range []struct{ name, path string }{{certName, certFile}, {keyName, keyFile}} {
		if _, err := os.ReadFile(file.path); err != nil {
			faults.add(file.name, "the file cannot be read")
			return nil
		}
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		faults.add(certName, "no certificate with the key in the file of "+keyName)
		return nil
	}
	return []tls.Certificate{pair}
}

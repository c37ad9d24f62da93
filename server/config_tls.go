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

	c.loadServerTLS(faults)
}

// serverTLS is what the files of the listener make.
type serverTLS struct {
	config  *tls.Config
	clients *x509.CertPool // nil where client certificates are not asked for
}

func (c *Config) loadServerTLS(faults *faultyVariables) {
	own := keyPair(faults, "TLS_CERT_FILE", c.TLSCertFile, "TLS_KEY_FILE", c.TLSKeyFile)
	if c.TLSClientCAFile != "" {
		if _, reason := certificatePool(c.TLSClientCAFile); reason != "" {
			faults.add("TLS_CLIENT_CA_FILE", reason)
		}
		if c.TLSCertFile == "" {
			faults.add("TLS_CERT_FILE", "is needed where TLS_CLIENT_CA_FILE is set")
		}
	}
	if own == nil {
		return
	}
	files := []namedFile{{"TLS_CERT_FILE", c.TLSCertFile}, {"TLS_KEY_FILE", c.TLSKeyFile}}
	if c.TLSClientCAFile != "" {
		files = append(files, namedFile{"TLS_CLIENT_CA_FILE", c.TLSClientCAFile})
	}
	var fault *fileError
	if c.tlsFiles, fault = newReloaded(newServerTLS, files...); fault != nil {
		faults.add(fault.setting, fault.reason)
	}
}

func newServerTLS(contents [][]byte) (*serverTLS, *fileError) {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return nil, &fileError{"TLS_CERT_FILE", "no certificate with the key in the file of TLS_KEY_FILE"}
	}
	s := &serverTLS{config: &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"h2", "http/1.1"},
	}}
	if len(contents) == 3 {
		s.clients = x509.NewCertPool()
		if !s.clients.AppendCertsFromPEM(contents[2]) {
			return nil, &fileError{"TLS_CLIENT_CA_FILE", "the file holds no PEM certificate"}
		}
		// A certificate is asked for and not required here, and checked where a route
		// is protected: probes have none, and a refused caller is told and recorded.
		s.config.ClientAuth = tls.RequestClientCert
		s.config.ClientCAs = s.clients
	}
	return s, nil
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
	if certFile == "" && keyFile == "" {
		return nil
	}
	usable := true
	for _, file := range []struct{ name, path, other string }{{certName, certFile, keyName}, {keyName, keyFile, certName}} {
		if file.path == "" {
			faults.add(file.name, "is needed where "+file.other+" is set")
			usable = false
		} else if _, err := os.ReadFile(file.path); err != nil {
			faults.add(file.name, "the file cannot be read")
			usable = false
		}
	}
	if !usable {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		faults.add(certName, "no certificate with the key in the file of "+keyName)
		return nil
	}
	return []tls.Certificate{pair}
}

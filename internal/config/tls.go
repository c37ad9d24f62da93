package config

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

// cipherSuites are the suites of TLS 1.2, on both sides: ECDHE with an AEAD, as BCP 195 (RFC 9325 section 4.2) recommends. Those of
// TLS 1.3 are all of this kind.
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

func (c *Config) loadTLS(faults *faultyVariables) {
	c.dicomTLS = &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites, ServerName: c.DICOMTLSServerName}
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

// serverTLS holds the values made of the files of the listener.
type serverTLS struct {
	config  *tls.Config
	clients *x509.CertPool // nil if client certificates are not requested
}

func (c *Config) loadServerTLS(faults *faultyVariables) {
	own := keyPair(faults, "TLS_CERT_FILE", c.TLSCertFile, "TLS_KEY_FILE", c.TLSKeyFile)
	if c.TLSClientCAFile != "" {
		if _, reason := certificatePool(c.TLSClientCAFile); reason != "" {
			faults.add("TLS_CLIENT_CA_FILE", reason)
		}
		if c.TLSCertFile == "" {
			faults.add("TLS_CERT_FILE", "is required if TLS_CLIENT_CA_FILE is set")
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
		return nil, &fileError{"TLS_CERT_FILE", "the certificate does not match the key in TLS_KEY_FILE"}
	}
	s := &serverTLS{config: &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: cipherSuites,
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"h2", "http/1.1"},
	}}
	if len(contents) == 3 {
		s.clients = x509.NewCertPool()
		if !s.clients.AppendCertsFromPEM(contents[2]) {
			return nil, &fileError{"TLS_CLIENT_CA_FILE", "the file holds no PEM certificate"}
		}
		// The handshake requests a certificate and does not require one: probes have none. Protected routes verify it, so
		// that a refused caller gets an answer and leaves an audit record.
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

// keyPair loads a certificate with its key. It returns nil if neither file is named or one of them is faulty.
func keyPair(faults *faultyVariables, certName, certFile, keyName, keyFile string) []tls.Certificate {
	if certFile == "" && keyFile == "" {
		return nil
	}
	usable := true
	for _, file := range []struct{ name, path, other string }{{certName, certFile, keyName}, {keyName, keyFile, certName}} {
		if file.path == "" {
			faults.add(file.name, "is required if "+file.other+" is set")
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
		faults.add(certName, "the certificate does not match the key in "+keyName)
		return nil
	}
	return []tls.Certificate{pair}
}

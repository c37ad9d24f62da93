package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"dicom-qr-gateway/internal/chain"
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
		c.dicomTLS.RootCAs = certificatePool(faults.add, namedFile{"DICOM_TLS_CA_FILE", c.DICOMTLSCAFile})
	}
	c.dicomTLS.Certificates = keyPair(faults.add,
		namedFile{"DICOM_TLS_CERT_FILE", c.DICOMTLSCertFile}, namedFile{"DICOM_TLS_KEY_FILE", c.DICOMTLSKeyFile})

	c.loadServerTLS(faults)
}

// serverTLS holds the values made of the files of the listener.
type serverTLS struct {
	config  *tls.Config
	clients *x509.CertPool // nil if client certificates are not requested
}

func (c *Config) loadServerTLS(faults *faultyVariables) {
	files := []namedFile{{"TLS_CERT_FILE", c.TLSCertFile}, {"TLS_KEY_FILE", c.TLSKeyFile}}
	own := keyPair(faults.add, files[0], files[1])
	if c.TLSClientCAFile != "" {
		certificatePool(faults.add, namedFile{"TLS_CLIENT_CA_FILE", c.TLSClientCAFile})
		if c.TLSCertFile == "" {
			faults.add("TLS_CERT_FILE", "is required if TLS_CLIENT_CA_FILE is set")
		}
	}
	if own == nil {
		return
	}
	if c.TLSClientCAFile != "" {
		files = append(files, namedFile{"TLS_CLIENT_CA_FILE", c.TLSClientCAFile})
	}
	var fault *fileError
	if c.tlsFiles, fault = newReloaded(newServerTLS, files...); fault != nil {
		faults.add(fault.setting, fault.reason)
	}
}

func newServerTLS(files []namedFile, contents [][]byte) (*serverTLS, *fileError) {
	pair, fault := parseKeyPair(files[0], files[1], contents[0], contents[1])
	if fault != nil {
		return nil, fault
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
			return nil, files[2].fault(noCertificate)
		}
		// The handshake requests a certificate and does not require one: probes have none. Protected routes verify it, so
		// that a refused caller gets an answer and leaves an audit record. Only a chain that is too long to be kept for the
		// life of a connection ends the handshake.
		s.config.ClientAuth = tls.RequestClientCert
		s.config.VerifyConnection = chain.CheckHandshake
		s.config.ClientCAs = s.clients
	}
	return s, nil
}

const noCertificate = "the file holds no PEM certificate"

// certificatePool returns the certificates of a file, or reports what is wrong with it.
func certificatePool(report func(setting, reason string), file namedFile) *x509.CertPool {
	contents, fault := file.read()
	pool := x509.NewCertPool()
	if fault == nil && !pool.AppendCertsFromPEM(contents) {
		fault = file.fault(noCertificate)
	}
	if fault != nil {
		report(fault.setting, fault.reason)
		return nil
	}
	return pool
}

// keyPair loads a certificate with its key. It returns nil if neither file is named, and reports what is wrong with them.
func keyPair(report func(setting, reason string), cert, key namedFile) []tls.Certificate {
	if cert.path == "" && key.path == "" {
		return nil
	}
	usable := true
	var contents [2][]byte
	for i, file := range []namedFile{cert, key} {
		var fault *fileError
		if file.path == "" {
			other := []namedFile{key, cert}[i]
			fault = &fileError{file.setting, "is required if " + other.setting + " is set"}
		} else {
			contents[i], fault = file.read()
		}
		if fault != nil {
			report(fault.setting, fault.reason)
			usable = false
		}
	}
	if !usable {
		return nil
	}
	pair, fault := parseKeyPair(cert, key, contents[0], contents[1])
	if fault != nil {
		report(fault.setting, fault.reason)
		return nil
	}
	return []tls.Certificate{pair}
}

// parseKeyPair says which of the two files is at fault, if one is.
func parseKeyPair(certFile, keyFile namedFile, cert, key []byte) (tls.Certificate, *fileError) {
	pair, err := tls.X509KeyPair(cert, key)
	switch {
	case err == nil:
		return pair, nil
	case !x509.NewCertPool().AppendCertsFromPEM(cert):
		return pair, certFile.fault(noCertificate)
	case !hasKey(key):
		return pair, keyFile.fault("the file holds no PEM key, or one that is encrypted")
	}
	return pair, certFile.fault("the certificate does not match the key in " + keyFile.setting)
}

// hasKey reports whether there is a private key among the PEM blocks.
func hasKey(contents []byte) bool {
	for block, rest := pem.Decode(contents); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY") && block.Type != "ENCRYPTED PRIVATE KEY" {
			return true
		}
	}
	return false
}

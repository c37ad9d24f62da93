package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/chain"
	"dicom-qr-gateway/internal/storescp"
)

const (
	maxStoreTitles = maxPACSList
	// maxStoreAssociations is more than a few PACS with some retrievals each open.
	maxStoreAssociations = 64
)

// loadStorage reads the settings of the storage SCP.
func (c *Config) loadStorage(faults *faultyVariables) {
	const needsListener = "needs STORE_LISTEN_ADDR"
	on := c.StoreListenAddr != ""
	switch {
	case on && !validListenAddr(c.StoreListenAddr):
		faults.add("STORE_LISTEN_ADDR", wantListenAddr)
	case on && c.StoreListenAddr == c.ListenAddr && !strings.HasSuffix(c.ListenAddr, ":0"):
		faults.add("STORE_LISTEN_ADDR", "is the same as LISTEN_ADDR")
	case on && c.StoreAETitles == "":
		faults.add("STORE_AE_TITLES", "is required if STORE_LISTEN_ADDR is set")
	case !on && c.StoreAETitles != "":
		faults.add("STORE_AE_TITLES", needsListener)
	}
	if c.StoreGrace <= 0 {
		faults.add("STORE_GRACE", "want more than 0 seconds")
	}
	if c.StoreAETitles != "" {
		var err error
		if c.storeTitles, err = parseAETitles(c.StoreAETitles); err != nil {
			faults.add("STORE_AE_TITLES", err.Error())
		}
	}
	if !c.StoreTLS {
		return
	}
	switch {
	case !on:
		faults.add("STORE_TLS", needsListener)
	case c.DICOMTLSCAFile == "" || c.DICOMTLSCertFile == "":
		faults.add("STORE_TLS", "needs DICOM_TLS_CA_FILE, DICOM_TLS_CERT_FILE and DICOM_TLS_KEY_FILE")
	}
}

func parseAETitles(list string) ([]string, error) {
	var titles []string
	for title := range strings.SplitSeq(list, ",") {
		title = strings.Trim(title, " ")
		if !dicomnet.ValidAETitle(title) {
			return nil, errors.New("want AE titles, separated by commas: 1 to 16 characters of ASCII each, no backslash")
		}
		if slices.Contains(titles, title) {
			return nil, errors.New("an AE title is in the list more than once")
		}
		titles = append(titles, title)
	}
	if len(titles) > maxStoreTitles {
		return nil, errors.New("want at most 64 AE titles")
	}
	return titles, nil
}

// StorageSCP returns the options of the storage SCP, and whether it is on. The caller adds the rest: MessageIDs, Observer and Trace.
func (c *Config) StorageSCP() (storescp.Options, bool) {
	o := storescp.Options{
		AETitles: c.storeTitles, PACS: c.pacs.List, Grace: c.StoreGrace.Duration(), Timeouts: c.timeouts(),
		MaxAssociations: maxStoreAssociations,
	}
	if c.StoreTLS {
		o.TLS = storageTLS(c.dicomTLS)
	}
	return o, c.StoreListenAddr != ""
}

// storageTLS returns the configuration of a server with the files of a client: its certificate, and the authorities of its peers.
func storageTLS(client *tls.Config) *tls.Config {
	return &tls.Config{
		MinVersion: client.MinVersion, CipherSuites: client.CipherSuites, Certificates: client.Certificates,
		ClientAuth: tls.RequireAnyClientCert, ClientCAs: client.RootCAs,
		// It takes the place of the verification of crypto/tls, whose cost the peer could choose.
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := chain.Verify(state.PeerCertificates, x509.VerifyOptions{
				Roots: client.RootCAs, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			})
			return err
		},
	}
}

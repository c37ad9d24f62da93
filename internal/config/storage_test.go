package config

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStorageSCPIsOffByDefault(t *testing.T) {
	c := load(t)
	_, on := c.StorageSCP()
	assert.False(t, on)
}

func TestStorageSCPTakesItsSettings(t *testing.T) {
	c := load(t, "STORE_LISTEN_ADDR", ":11112", "STORE_AE_TITLES", "GATEWAY, GATEWAY 2", "STORE_GRACE", "1m", "ACSE_TIMEOUT", "7",
		"PACS_FILE", pacsFile(t, "pacs:\n  main: {host: h, port: 1, ae_title: PACS, calling_ae_title: C, retrieve: move, move_destinations: [GATEWAY 2]}\n"))
	o, on := c.StorageSCP()
	assert.True(t, on)
	assert.Equal(t, []string{"GATEWAY", "GATEWAY 2"}, o.AETitles)
	assert.Equal(t, time.Minute, o.Grace)
	assert.Equal(t, 7*time.Second, o.Timeouts.ACSE)
	assert.Positive(t, o.MaxAssociations)
	assert.Nil(t, o.TLS)
	require.Len(t, o.PACS(), 1)
	assert.Equal(t, "main", o.PACS()[0].Name)
}

func TestFaultsOfTheStorageSCP(t *testing.T) {
	for _, test := range []struct {
		set    []string
		faults []string
	}{
		{[]string{"STORE_LISTEN_ADDR", ":11112"}, []string{"STORE_AE_TITLES: is required if STORE_LISTEN_ADDR is set"}},
		{[]string{"STORE_LISTEN_ADDR", "11112", "STORE_AE_TITLES", "A"}, []string{"STORE_LISTEN_ADDR: want host:port or :port"}},
		{[]string{"STORE_AE_TITLES", "A"}, []string{"STORE_AE_TITLES: needs STORE_LISTEN_ADDR"}},
		{[]string{"STORE_LISTEN_ADDR", ":6000", "STORE_AE_TITLES", "A"}, []string{"STORE_LISTEN_ADDR: is the same as LISTEN_ADDR"}},
		{
			[]string{"STORE_LISTEN_ADDR", ":1", "STORE_AE_TITLES", "A,A"},
			[]string{"STORE_AE_TITLES: an AE title is in the list more than once"},
		},
		{
			[]string{"STORE_LISTEN_ADDR", ":1", "STORE_AE_TITLES", "A,SEVENTEENLETTERS."},
			[]string{"STORE_AE_TITLES: want AE titles, separated by commas: 1 to 16 characters of ASCII each, no backslash"},
		},
		{[]string{"STORE_GRACE", "0"}, []string{"STORE_GRACE: want more than 0 seconds"}},
		{[]string{"STORE_TLS", "true"}, []string{"STORE_TLS: needs STORE_LISTEN_ADDR"}},
		{
			[]string{"STORE_LISTEN_ADDR", ":1", "STORE_AE_TITLES", "A", "STORE_TLS", "true"},
			[]string{"STORE_TLS: needs DICOM_TLS_CA_FILE, DICOM_TLS_CERT_FILE and DICOM_TLS_KEY_FILE"},
		},
	} {
		_, err := Load(environment(test.set...))
		var faults *FaultsError
		require.ErrorAs(t, err, &faults, test.set)
		assert.Equal(t, test.faults, faults.Lines)
	}
}

func TestNamedPACSAgreeWithTheStorageSCP(t *testing.T) {
	const file = `pacs:
  main:
    host: h
    port: 1
    ae_title: PACS
    calling_ae_title: C
    retrieve: move
    move_destinations: [GATEWAY, OTHER]
`
	path := pacsFile(t, file)
	_, err := Load(environment("PACS_FILE", path))
	var faults *FaultsError
	require.ErrorAs(t, err, &faults)
	assert.Equal(t, []string{path + ":7: main.retrieve: needs the storage SCP, set STORE_LISTEN_ADDR"}, faults.Lines,
		"without a listener, the destinations are not compared")
	_, err = Load(environment("PACS_FILE", path, "STORE_LISTEN_ADDR", ":1", "STORE_AE_TITLES", "GATEWAY,SECOND"))
	require.ErrorAs(t, err, &faults)
	assert.Equal(t, []string{path + ":8: main.move_destinations: has an AE title that is not in STORE_AE_TITLES"}, faults.Lines)
	load(t, "PACS_FILE", path, "STORE_LISTEN_ADDR", ":1", "STORE_AE_TITLES", "GATEWAY,SECOND,OTHER")
}

func TestStorageTLSRequiresACertificateOfTheAuthority(t *testing.T) {
	files := writeCertificate(t)
	c := load(t, "STORE_LISTEN_ADDR", ":1", "STORE_AE_TITLES", "A", "STORE_TLS", "true",
		"DICOM_TLS_CA_FILE", files.cert, "DICOM_TLS_CERT_FILE", files.cert, "DICOM_TLS_KEY_FILE", files.key)
	o, _ := c.StorageSCP()
	require.NotNil(t, o.TLS)
	assert.Equal(t, tls.RequireAnyClientCert, o.TLS.ClientAuth)
	assert.EqualValues(t, tls.VersionTLS12, o.TLS.MinVersion)
	assert.NotNil(t, o.TLS.ClientCAs)
	other := writeCertificate(t)
	pair, err := tls.LoadX509KeyPair(other.cert, other.key)
	require.NoError(t, err)
	require.Error(t, o.TLS.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{pair.Leaf}}))
}

func TestBothListenersCanTakeAFreePort(t *testing.T) {
	_, err := Load(environment("LISTEN_ADDR", "127.0.0.1:0", "STORE_LISTEN_ADDR", "127.0.0.1:0", "STORE_AE_TITLES", "A"))
	require.NoError(t, err)
}

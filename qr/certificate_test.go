package qr

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNamesOfCertificatesArePrintableAndBounded(t *testing.T) {
	name := pkix.Name{CommonName: "Ärzte\r\n\u202e" + strings.Repeat("é", 1000), Locality: []string{"Hospital"}}
	subject := certificateOf([]*x509.Certificate{{Subject: name}}).Subject
	assert.True(t, strings.HasPrefix(subject, "CN=Ärzte...é"), subject)
	assert.Len(t, []rune(subject), maxName)
	assert.Nil(t, certificateOf(nil))
}

package pool

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/principal"
)

// Associations of one kind are interchangeable, so the kind includes TLS, its configuration and the host name,
// against which the certificate is checked.
func TestKindIncludesTLSAndTheHostName(t *testing.T) {
	peer := Peer{Host: "pacs.example", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY"}
	p := New(Options{AssociationIdle: time.Minute, TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
	kindOf := func(peer Peer) kind {
		return p.Session(peer, principal.Identity{}, nil).kindOf([]string{dicomnet.StudyRoot.Find})
	}
	secure, named := peer, peer
	secure.TLS, named.Host = true, "pacs2.example"
	assert.NotEqual(t, kindOf(peer), kindOf(secure))
	assert.NotEqual(t, kindOf(peer), kindOf(named))
	before := kindOf(secure)
	p.options.TLS = p.options.TLS.Clone() // as if the certificates were read again
	assert.False(t, before == kindOf(secure))
	assert.Equal(t, kindOf(peer), kindOf(peer))
	configured, changed := peer, peer
	configured.Settings, changed.Settings = &Settings{AssociationIdle: time.Minute}, &Settings{AssociationIdle: time.Minute}
	assert.NotEqual(t, kindOf(peer), kindOf(configured))
	assert.False(t, kindOf(configured) == kindOf(changed), "each version of the settings has associations of its own")
	changed.Settings.AssociationIdle = 0
	assert.Zero(t, kindOf(changed))
	assert.Zero(t, p.Session(peer, principal.Identity{}, nil).kindOf([]string{dicomnet.StudyRoot.Move}), "an association without C-FIND has no kind")
}

package principal

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNameIsTheMostSpecificThatIsKnown(t *testing.T) {
	p := Principal{Key: "viewer", Certificate: "CN=workstation", User: "alice"}
	assert.Equal(t, "alice", p.Name())
	p.User = ""
	assert.Equal(t, "viewer", p.Name())
	p.Key = ""
	assert.Equal(t, "CN=workstation", p.Name())
	assert.Equal(t, Anonymous, Principal{Address: "192.0.2.1"}.Name())
}

func TestCredentialsListsWhatTheCallerPresented(t *testing.T) {
	assert.Empty(t, Principal{User: "alice"}.Credentials())
	assert.Equal(t, "key=viewer", Principal{Key: "viewer"}.Credentials())
	assert.Equal(t, "key=viewer; certificate=CN=workstation", Principal{Key: "viewer", Certificate: "CN=workstation"}.Credentials())
}

func TestIdentityIsTheUserTheKeyTheCertificateOrTheAddress(t *testing.T) {
	all := Principal{User: "x", Key: "x", Certificate: "x", Address: "192.0.2.1", CorrelationID: "1"}
	seen := map[Identity]bool{}
	for range 4 {
		assert.False(t, seen[all.Identity()], "%+v", all)
		seen[all.Identity()] = true
		other := all
		other.CorrelationID = "2"
		assert.Equal(t, all.Identity(), other.Identity())
		switch {
		case all.User != "":
			all.User = ""
		case all.Key != "":
			all.Key = ""
		default:
			all.Certificate = ""
		}
	}
	at := func(address string) Identity { return Principal{Address: address}.Identity() }
	assert.Equal(t, at("2001:db8::1"), at("2001:db8::ffff:1"), "one network of 64 bits")
	assert.NotEqual(t, at("2001:db8::1"), at("2001:db8:0:1::1"))
	assert.Equal(t, at("192.0.2.1"), at("::ffff:192.0.2.1"))
	assert.NotEqual(t, at("192.0.2.1"), at("192.0.2.2"))
	assert.NotEqual(t, at("pipe"), at(""))
}

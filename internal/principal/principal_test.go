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

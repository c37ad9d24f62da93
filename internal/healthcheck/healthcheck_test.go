package healthcheck

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBaseURLIsReachableFromThisMachine(t *testing.T) {
	assert.Equal(t, "http://127.0.0.1:6000", BaseURL(":6000", false))
	assert.Equal(t, "http://127.0.0.1:6000", BaseURL("0.0.0.0:6000", false))
	assert.Equal(t, "https://127.0.0.1:6000", BaseURL("[::]:6000", true))
	assert.Equal(t, "http://[::1]:6000", BaseURL("[::1]:6000", false))
	assert.Equal(t, "http://gateway:6000", BaseURL("gateway:6000", false))
}

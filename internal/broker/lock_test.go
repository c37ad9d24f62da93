package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestADirectoryWhoseProcessIsEndingIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	first, err := lockDirectory(dir)
	require.NoError(t, err)
	time.AfterFunc(ending/20, func() { assert.NoError(t, first.Close()) })
	second, err := lockDirectory(dir)
	require.NoError(t, err)
	require.NoError(t, second.Close())
}

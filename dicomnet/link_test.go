package dicomnet

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the peer may wait with the rest for is acknowledged before we wait for that, and nothing else is.
func TestAcknowledgementsAreAskedForWhereThePeerMayWaitForOne(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	l := newLink(ours, 0)
	var asked []int
	l.setQuickACK = func(mode int) { asked = append(asked, mode) }
	exchange := func(parts ...string) {
		go func() {
			buffer := make([]byte, 8)
			_, _ = theirs.Read(buffer)
			for _, part := range parts {
				_, _ = theirs.Write([]byte(part))
			}
		}()
		require.NoError(t, l.write([]byte("request"), 1))
		for _, part := range parts {
			require.NoError(t, l.fill(len(part), &deadline{}))
			l.r += len(part)
		}
	}
	exchange("whole")
	assert.Empty(t, asked, "our request acknowledged what came before")
	exchange("a part", "the rest", "and one more")
	assert.Equal(t, []int{ackNow, ackNow}, asked)

	l.conn = tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
	asked = nil
	l.requestACK()
	l.requestACK()
	assert.Equal(t, []int{ackNext, ackNext}, asked)
}

package dicomnet

import (
	"net"

	"golang.org/x/sys/unix"
)

// unacknowledged reports whether the peer's machine has yet to acknowledge bytes that were sent; where the kernel does not
// tell, it has not.
func unacknowledged(conn net.Conn) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	outstanding := 0
	err = raw.Control(func(fd uintptr) {
		if n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			outstanding = n
		}
	})
	return err == nil && outstanding > 0
}

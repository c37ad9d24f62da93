package dicomnet

import (
	"net"

	"golang.org/x/sys/unix"
)

// unacknowledged reports whether the peer's machine has yet to acknowledge bytes that were sent; where the kernel does not
// tell, it has not.
func unacknowledged(conn net.Conn) bool { return queued(conn, unix.SIOCOUTQ) }

// unread reports whether bytes of the peer have arrived that nobody has read; where the kernel does not tell, none have.
func unread(conn net.Conn) bool { return queued(conn, unix.SIOCINQ) }

// queued reports whether there is anything in the queue of the socket that request asks for.
func queued(conn net.Conn, request uint) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	bytes := 0
	err = raw.Control(func(fd uintptr) {
		if n, err := unix.IoctlGetInt(int(fd), request); err == nil {
			bytes = n
		}
	})
	return err == nil && bytes > 0
}

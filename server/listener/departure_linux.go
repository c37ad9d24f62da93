package listener

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

const watchable = true

// maxUnread is how many bytes a caller may send behind a request that runs: more than a few requests in advance have, and less than
// the kernel accepts before it stops the caller, which then cannot even say that it leaves.
const maxUnread = 16 << 10

// departed reports whether the peer has closed the connection or its direction of it, or has sent more than maxUnread bytes that
// nobody reads. It reads nothing itself.
func departed(conn net.Conn) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		of := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
		if _, err := unix.Poll(of, 0); err != nil {
			return // interrupted; the next sweep asks again
		}
		switch events := of[0].Revents; {
		case events&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0:
			gone = true
		case events&unix.POLLIN != 0:
			unread, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
			gone = err == nil && unread > maxUnread
		}
	})
	return gone || err != nil
}

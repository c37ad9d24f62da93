package dicomnet

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged reports whether the peer's machine has yet to acknowledge bytes that were sent; where the kernel does not
// tell, it has not.
func unacknowledged(conn net.Conn) bool { return queueNotEmpty(conn, unix.SIOCOUTQ) }

// unread reports whether bytes of the peer have arrived that nobody has read; where the kernel does not tell, none have.
func unread(conn net.Conn) bool { return queueNotEmpty(conn, unix.SIOCINQ) }

// queued reports whether there is anything in the queue of the socket that request asks for.
func queueNotEmpty(conn net.Conn, request uint) bool {
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

// tcpQuickACK is TCP_QUICKACK, which package syscall does not name on every
// architecture.
const tcpQuickACK = 12

// Values of TCP_QUICKACK.
const (
	ackNext = 1 // what has arrived is acknowledged at once, and so is what arrives next
	ackNow  = 2 // the former alone: an acknowledgement for each segment would cost both sides more than it is good for
)

// quickACK gives a function that sets TCP_QUICKACK; nil where there is none. The kernel forgets ackNext, so it is repeated
// before every read.
func quickACK(conn net.Conn) func(mode int) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	mode := 0
	set := func(fd uintptr) {
		// A refusal costs time, not correctness.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpQuickACK, mode)
	}
	return func(m int) {
		mode = m
		_ = raw.Control(set)
	}
}

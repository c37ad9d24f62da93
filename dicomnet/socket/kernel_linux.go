package socket

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Unacknowledged reports whether the peer's system has yet to acknowledge bytes that were sent. It
// is false if the kernel cannot say.
func Unacknowledged(conn net.Conn) bool {
	return ask(conn, func(fd int) bool {
		n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return err == nil && n > 0
	})
}

// Unread reports whether bytes from the peer, or the end of the connection, have arrived and nothing
// has read them. It is false if the kernel cannot say.
func Unread(conn net.Conn) bool {
	return ask(conn, func(fd int) bool {
		arrived := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
		n, err := unix.Poll(arrived, 0)
		return err == nil && n > 0
	})
}

// Reset reports whether the socket has a pending error, such as that of a reset by the peer's system, and clears it: only the first
// call after an error returns true. It is false if the kernel cannot say.
func Reset(conn net.Conn) bool {
	return ask(conn, func(fd int) bool {
		pending, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		return err == nil && pending != 0
	})
}

// ask returns the answer of question about the socket of a TCP connection; false if conn is another
// connection, or closed.
func ask(conn net.Conn, question func(fd int) bool) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	answer := false
	err = raw.Control(func(fd uintptr) { answer = question(int(fd)) })
	return err == nil && answer
}

// tcpQuickACK is TCP_QUICKACK. Package syscall does not define it for every architecture.
const tcpQuickACK = 12

// Values of TCP_QUICKACK.
const (
	AckNext = 1 // acknowledge at once what has arrived and what arrives next
	AckNow  = 2 // acknowledge what has arrived only: an acknowledgement for each segment costs both sides more than it gains
)

// QuickACK returns a function that sets TCP_QUICKACK, or nil if conn has no such option. The kernel
// resets AckNext by itself, so it must be set before every read. The function is for one goroutine at a time.
func QuickACK(conn net.Conn) func(mode int) {
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

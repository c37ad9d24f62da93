package dicomnet

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged reports whether the peer's system has yet to acknowledge bytes that were sent. It
// is false if the kernel cannot say.
func unacknowledged(conn net.Conn) bool { return queueNotEmpty(conn, unix.SIOCOUTQ) }

// unread reports whether bytes from the peer, or the end of the connection, have arrived and nothing
// has read them. It is false if the kernel cannot say.
func unread(conn net.Conn) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	waiting := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		waiting = !errors.Is(err, unix.EAGAIN)
	})
	return err == nil && waiting
}

// reset reports whether the peer's system has reset the connection. It is false if the kernel cannot
// say.
func reset(conn net.Conn) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	pending := 0
	err = raw.Control(func(fd uintptr) { pending, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) })
	return err == nil && pending != 0
}

// queueNotEmpty reports whether the socket queue whose length request returns holds bytes.
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

// tcpQuickACK is TCP_QUICKACK. Package syscall does not define it for every architecture.
const tcpQuickACK = 12

// Values of TCP_QUICKACK.
const (
	ackNext = 1 // acknowledge at once what has arrived and what arrives next
	ackNow  = 2 // acknowledge what has arrived only: an acknowledgement for each segment costs both sides more than it gains
)

// quickACK returns a function that sets TCP_QUICKACK, or nil if conn has no such option. The kernel
// resets ackNext by itself, so it must be set before every read.
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

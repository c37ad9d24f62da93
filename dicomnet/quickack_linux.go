package dicomnet

import (
	"net"
	"syscall"
)

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

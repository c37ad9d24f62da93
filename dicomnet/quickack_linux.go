package dicomnet

import (
	"net"
	"syscall"
)

// tcpQuickACK is TCP_QUICKACK, which package syscall does not name on every
// architecture.
const tcpQuickACK = 12

// quickACK gives a function that asks the kernel to acknowledge what arrives
// next at once. The kernel forgets the wish, so it is repeated before every read.
// Peers that write a message in two segments with Nagle's algorithm on (all that
// stand on DCMTK) otherwise wait for a delayed acknowledgement: 40 ms a message.
func quickACK(conn net.Conn) func() {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	set := func(fd uintptr) {
		// A refusal costs time, not correctness.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpQuickACK, 1)
	}
	return func() { _ = raw.Control(set) }
}

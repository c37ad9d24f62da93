package main

import (
	"net"
	"syscall"
)

// quick acknowledges what it receives at once: a peer with Nagle's algorithm waits for an acknowledgement, which Linux delays by 40 ms.
type quick struct {
	net.Conn
	raw syscall.RawConn
}

func acknowledging(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	return quick{conn, raw}
}

func (q quick) Read(p []byte) (int, error) {
	_ = q.raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) })
	return q.Conn.Read(p)
}

//go:build !linux

package dicomnet

import "net"

func unacknowledged(net.Conn) bool { return false }

func unread(net.Conn) bool { return false }

// Nothing acknowledges by order here.
const ackNext, ackNow = 1, 2

func quickACK(net.Conn) func(mode int) { return nil }

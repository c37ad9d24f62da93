//go:build !linux

package dicomnet

import "net"

func unacknowledged(net.Conn) bool { return false }

func unread(net.Conn) bool { return false }

func reset(net.Conn) bool { return false }

// Values of the mode that quickACK takes; without TCP_QUICKACK they have no effect.
const ackNext, ackNow = 1, 2

func quickACK(net.Conn) func(mode int) { return nil }

//go:build !linux

package socket

import "net"

// Unacknowledged returns false.
func Unacknowledged(net.Conn) bool { return false }

// Unread returns false.
func Unread(net.Conn) bool { return false }

// Reset returns false.
func Reset(net.Conn) bool { return false }

// Values of the mode that the function of QuickACK takes.
const AckNext, AckNow = 1, 2

// QuickACK returns nil.
func QuickACK(net.Conn) func(mode int) { return nil }

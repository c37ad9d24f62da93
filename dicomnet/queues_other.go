//go:build !linux

package dicomnet

import "net"

func unacknowledged(net.Conn) bool { return false }

func unread(net.Conn) bool { return false }

// Package socket knows what the kernel knows about a TCP connection, and makes it acknowledge without delay. On systems other than
// Linux, the questions are answered with false and QuickACK has no effect.
package socket

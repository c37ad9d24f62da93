package listener

import (
	"net/netip"
	"testing"
)

// BenchmarkGivingWay measures what a new connection costs if another one must give way, beside accepting and closing them.
func BenchmarkGivingWay(b *testing.B) {
	l := New(nil, Options{Max: 1024})
	from := netip.MustParseAddr("192.0.2.1")
	for b.Loop() {
		l.add(&Connection{listener: l, address: from})
	}
}

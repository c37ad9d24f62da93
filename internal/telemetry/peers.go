package telemetry

import (
	"strings"
	"sync"
)

const (
	// maxPeers is more PACS than a hospital has. Each adds some 150 series.
	maxPeers  = 32
	otherPeer = "other"
)

// peers limits the values of the label peer. A peer gets a label of its own with the first association that it accepts: callers
// choose host and port, and could otherwise use up all labels with names that no PACS has. A named PACS always gets its name,
// which the operator chose. A label is never removed, so that counters do not jump and gauges fall by as much as they rose.
type peers struct {
	mu    sync.RWMutex
	limit int
	known map[string]struct{}
}

func newPeers(limit int) *peers { return &peers{limit: limit, known: map[string]struct{}{}} }

// accepted notes that the peer has accepted an association.
func (p *peers) accepted(address string) {
	address = strings.ToLower(address)
	if isName(address) || p.isKnown(address) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) < p.limit {
		p.known[address] = struct{}{}
	}
}

// isName reports whether a peer is called by its name, and not by host:port.
func isName(peer string) bool { return !strings.Contains(peer, ":") }

// label returns the address, or "other".
func (p *peers) label(address string) string {
	address = strings.ToLower(address)
	if address != "" && isName(address) {
		return ofName(address)
	}
	if p.isKnown(address) {
		return address
	}
	return otherPeer
}

// isKnown reports whether the address, in lower case, has a label of its own.
func (p *peers) isKnown(address string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.known[address]
	return ok
}

// ofName returns the label of a named PACS, which has one from the beginning.
func ofName(name string) string {
	if name == otherPeer {
		return "other (PACS_FILE)"
	}
	return name
}

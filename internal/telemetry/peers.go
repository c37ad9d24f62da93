package telemetry

import (
	"net"
	"strconv"
	"strings"
	"sync"

	"dicom-qr-gateway/qr"
)

const (
	// maxPeers is more PACS than a hospital has. Each costs some 150 series.
	maxPeers  = 32
	otherPeer = "other"
)

// peers bounds the values of the label peer. A peer earns its own with the first association that it accepts: callers
// choose host and port, and could otherwise use the places up with names that nobody answers to. None is ever taken back,
// so that counters do not jump and what a gauge rose by it falls by again.
type peers struct {
	mu    sync.RWMutex
	most  int
	known map[string]struct{}
}

func newPeers(most int) *peers { return &peers{most: most, known: map[string]struct{}{}} }

// accepted notes that an association with the peer came about.
func (p *peers) accepted(address string) {
	address = strings.ToLower(address)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) < p.most {
		p.known[address] = struct{}{}
	}
}

// label is the address, or "other".
func (p *peers) label(address string) string {
	address = strings.ToLower(address)
	p.mu.RLock()
	defer p.mu.RUnlock()
	if _, ok := p.known[address]; ok {
		return address
	}
	return otherPeer
}

// addressOf names a peer without its AE title: PACS that take any would make many peers of one.
func addressOf(p qr.Peer) string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

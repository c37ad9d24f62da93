package storescp

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
)

// source returns where the C-STOREs of a PACS come from.
func (s *SCP) source(ctx context.Context, peer *pool.Peer) (source, error) {
	from := source{pacs: peer.Name, calling: callingTitles(peer)}
	if peer.Settings != nil && len(peer.Settings.StoreFrom) > 0 {
		from.from = peer.Settings.StoreFrom
		return from, nil
	}
	addresses, err := s.hosts.addresses(ctx, peer.Host)
	for _, address := range addresses {
		from.from = append(from.from, netip.PrefixFrom(address, address.BitLen()))
	}
	return from, err
}

func callingTitles(peer *pool.Peer) []string {
	if peer.Settings != nil && len(peer.Settings.StoreCallingAETitles) > 0 {
		return peer.Settings.StoreCallingAETitles
	}
	return []string{peer.CalledAETitle}
}

// known returns the names of the PACS from which an association may come. Only names of hosts whose calling AE title fits are looked up:
// strangers cause no traffic.
func (s *SCP) known(ctx context.Context, calling string, address netip.Addr) []string {
	var names []string
	for _, peer := range s.options.PACS() {
		if !slices.Contains(callingTitles(&peer), calling) {
			continue
		}
		if from, err := s.source(ctx, &peer); err == nil && from.covers(calling, address) {
			names = append(names, peer.Name)
		}
	}
	return names
}

const (
	hostsFresh  = 30 * time.Second // how long addresses of a name are used
	hostsFailed = 5 * time.Second  // how long a failed lookup is not repeated
	maxHosts    = 1024             // more than PACS_FILE has
)

// hosts caches the addresses of host names.
type hosts struct {
	lookup  func(ctx context.Context, host string) ([]string, error)
	timeout time.Duration

	mu     sync.Mutex
	byName map[string]*host
}

type host struct {
	until time.Time // when the addresses are to be looked up again

	looking   chan struct{} // closed at the end of a lookup; nil: none is under way
	addresses []netip.Addr
	err       error // why there are none
}

// addresses returns the addresses of a host, which may be an address. If a name cannot be resolved any more, its last addresses stay.
func (h *hosts) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{address.Unmap()}, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.byName[name]
	if known == nil {
		if len(h.byName) >= maxHosts {
			clear(h.byName)
		}
		known = &host{}
		h.byName[name] = known
	}
	for known.looking != nil || time.Now().After(known.until) {
		if known.looking == nil {
			known.looking = make(chan struct{})
			go h.refresh(context.WithoutCancel(ctx), name, known)
		}
		looking := known.looking
		h.mu.Unlock()
		select {
		case <-looking:
		case <-ctx.Done():
		}
		h.mu.Lock()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return known.addresses, known.err
}

func (h *hosts) refresh(ctx context.Context, name string, known *host) {
	if h.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.timeout)
		defer cancel()
	}
	answers, err := h.lookup(ctx, name)
	var addresses []netip.Addr
	for _, answer := range answers {
		if address, err := netip.ParseAddr(answer); err == nil {
			addresses = append(addresses, address.Unmap().WithZone(""))
		}
	}
	if err == nil && len(addresses) == 0 {
		err = &net.DNSError{Err: "no address", Name: name, IsNotFound: true}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		known.addresses, known.err, known.until = addresses, nil, time.Now().Add(hostsFresh)
	case len(known.addresses) > 0:
		known.until = time.Now().Add(hostsFailed)
	default:
		known.err, known.until = &dicomnet.ConnectError{Err: err}, time.Now().Add(hostsFailed)
	}
	close(known.looking)
	known.looking = nil
}

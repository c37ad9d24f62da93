// Package principal names the caller of one request. It imports nothing of the gateway, so that every package may use it.
package principal

import (
	"net/netip"
	"slices"
	"strings"
)

// Anonymous is the Name of a caller without credentials.
const Anonymous = "anonymous"

// Principal is who sent a request, as far as the gateway knows; an unknown field is "". It is an immutable value: the
// middleware that authenticates makes it, and everything below receives a copy.
type Principal struct {
	CorrelationID string  // of the request
	Address       string  // IP address of the caller
	Key           string  // name of the API key
	Certificate   string  // subject of the verified client certificate
	User          string  // the user that a trusted proxy names
	Rights        *Rights // of the API key; nil: every PACS, and no administration
}

// Rights are what an API key may do. They are immutable.
type Rights struct {
	Admin bool
	PACS  []string // names of the PACS that it may use; nil: every PACS, addresses included
}

// MayUse reports whether the caller may use the PACS with the name; "": an address that the caller brings.
func (p Principal) MayUse(pacs string) bool {
	return p.Rights == nil || p.Rights.PACS == nil || slices.Contains(p.Rights.PACS, pacs)
}

// Admin reports whether the caller has the rights of an administrator.
func (p Principal) Admin() bool { return p.Rights != nil && p.Rights.Admin }

// Name returns the most specific name of the caller: the user, the API key, the certificate, or Anonymous.
func (p Principal) Name() string {
	for _, name := range [...]string{p.User, p.Key, p.Certificate} {
		if name != "" {
			return name
		}
	}
	return Anonymous
}

// Credentials returns what the caller presented, as "key=NAME; certificate=SUBJECT"; "" if it presented nothing.
func (p Principal) Credentials() string {
	var presented []string
	if p.Key != "" {
		presented = append(presented, "key="+p.Key)
	}
	if p.Certificate != "" {
		presented = append(presented, "certificate="+p.Certificate)
	}
	return strings.Join(presented, "; ")
}

// Identity distinguishes the callers that share the gateway. It is comparable.
type Identity struct {
	kind    identityKind
	name    string
	address netip.Addr
}

type identityKind byte

const (
	byAddress identityKind = iota
	byUser
	byKey
	byCertificate
)

// Identity returns the caller's: the user, the API key, the certificate, or the address. All addresses of an IPv6 network of 64 bits
// are one caller, since a single machine has that many.
func (p Principal) Identity() Identity {
	switch {
	case p.User != "":
		return Identity{kind: byUser, name: p.User}
	case p.Key != "":
		return Identity{kind: byKey, name: p.Key}
	case p.Certificate != "":
		return Identity{kind: byCertificate, name: p.Certificate}
	}
	address, err := netip.ParseAddr(p.Address)
	if err != nil {
		return Identity{name: p.Address}
	}
	return Identity{address: Network(address)}
}

// Network returns what stands for the address when callers are told apart: an IPv4 address itself, or the first address of the
// network of 64 bits of an IPv6 address.
func Network(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if address.Is6() {
		network, _ := address.Prefix(64) // 64 bits are valid for IPv6
		return network.Addr()
	}
	return address
}

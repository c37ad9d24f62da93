package pool

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Peer is a PACS and the AE title to call it under.
type Peer struct {
	Host                          string // IPv4 address, IPv6 address without brackets, or host name
	Port                          int
	CalledAETitle, CallingAETitle string
	TLS                           bool
	Name                          string    // in PACS_FILE; "" for an address that the caller brought
	Settings                      *Settings // of a named PACS; nil: those of the Pool
}

// Label returns the name of the peer, or else its address and port.
func (p Peer) Label() string {
	if p.Name != "" {
		return p.Name
	}
	return p.Address()
}

// Profile returns what is known about the peer's C-FIND; the zero value for a peer without a profile.
func (p Peer) Profile() Profile {
	if p.Settings == nil {
		return Profile{}
	}
	return p.Settings.Profile
}

// Address returns host:port, with brackets around an IPv6 address.
func (p Peer) Address() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

func (p Peer) port() uint16 { return uint16(p.Port) }

// ValidHost reports whether s can be the Host of a Peer: an IPv4 address, an IPv6 address without a zone (a zone is a name
// of this machine), or a host name of RFC 1123, in which underscores are accepted because DNS has them and sites use them.
// A name whose last label is a number is not valid: it is a mistyped address that some resolvers would interpret.
func ValidHost(s string) bool {
	if address, err := netip.ParseAddr(s); err == nil {
		return address.Zone() == ""
	}
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if !validLabel(label) {
			return false
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

func validLabel(s string) bool {
	if len(s) < 1 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

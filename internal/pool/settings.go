package pool

import (
	"crypto/tls"
	"net/netip"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// Settings are those of one named PACS. They are immutable: each version of an entry has a value of its own, and an operation
// keeps the version that it began with. Associations are kept for operations with the same *Settings only.
type Settings struct {
	Entry       string            // the text of its fields in PACS_FILE, without the profile
	Description string            // for callers
	Timeouts    dicomnet.Timeouts // the zero value: those of the Pool
	TLS         *tls.Config       // for a peer with TLS set; nil: that of the Pool
	// MaxAssociations is how many associations may be open with the address and port of the peer when this peer gets another;
	// zero: Options.MaxAssociationsPerPeer. All peers at an address are counted together, whatever their names and limits are.
	MaxAssociations int
	// ReservedAssociations is how many of MaxAssociations belong to this gateway alone if several gateways share them.
	ReservedAssociations int
	AssociationIdle      time.Duration // how long an association is kept; zero: it is released at once
	// DefaultCharacterSet is assumed in answers that name none.
	DefaultCharacterSet dataset.CharacterSet
	// PatientRoot says to ask in the Patient Root model first. Study Root is the default.
	PatientRoot bool
	Profile     Profile

	// How instances are retrieved, and from where a C-MOVE to the gateway arrives.
	Retrieve             RetrieveMethod
	MaxRetrievals        int // at once
	MoveDestinations     []string
	StoreFrom            []netip.Prefix // nil: the addresses of the peer's host
	StoreCallingAETitles []string
}

// RetrieveMethod says how instances are retrieved.
type RetrieveMethod string

// The methods.
const (
	RetrieveAuto RetrieveMethod = "auto" // C-GET if the PACS accepts it, else C-MOVE
	RetrieveGet  RetrieveMethod = "get"
	RetrieveMove RetrieveMethod = "move"
)

// Profile says what the C-FIND of a PACS supports.
type Profile struct {
	Known             bool // whether the other fields mean anything
	RelationalQueries bool // keys of a level above the query's may be absent (PS3.4 section C.4.1.2.2.1)
	ImageLevelFind    bool // C-FIND at IMAGE level
	UIDLists          bool // List of UID matching (PS3.4 section C.2.2.2.2)
	// StudyKeys are the attributes at STUDY level, beyond the required ones, that the PACS matches and returns.
	StudyKeys []dataset.Tag
}

// StudyKeys returns the attributes with the keywords. It omits keywords that PS3.6 does not have.
func StudyKeys(keywords ...string) []dataset.Tag {
	var tags []dataset.Tag
	for _, keyword := range keywords {
		if t, known := dataset.LookupKeyword(keyword); known {
			tags = append(tags, t)
		}
	}
	return tags
}

// timeouts returns the timers of an association with the peer.
func (p *Pool) timeouts(peer *Peer) dicomnet.Timeouts {
	if s := peer.Settings; s != nil && s.Timeouts != (dicomnet.Timeouts{}) {
		return s.Timeouts
	}
	return p.options.Timeouts
}

// tls returns the configuration of TLS with the peer; nil: no TLS.
func (p *Pool) tls(peer *Peer) *tls.Config {
	switch {
	case !peer.TLS:
		return nil
	case peer.Settings != nil && peer.Settings.TLS != nil:
		return peer.Settings.TLS
	}
	return p.options.TLS
}

// Model returns the information model in which the peer is asked first.
func (p Peer) Model() dicomnet.Model {
	if p.Settings != nil && p.Settings.PatientRoot {
		return dicomnet.PatientRoot
	}
	return dicomnet.StudyRoot
}

// limit returns how many associations may be open at the address of the peer; zero: no limit.
func (p *Pool) limit(peer *Peer) int {
	if s := peer.Settings; s != nil && s.MaxAssociations > 0 {
		return s.MaxAssociations
	}
	return p.options.MaxAssociationsPerPeer
}

// defaultRetrievals is how many retrievals run at once from a peer without settings.
const defaultRetrievals = 2

// retrievals returns how many retrievals may run at once from the peer. They leave an association for other operations: a PACS may
// answer nothing else while it sends.
func (p *Pool) retrievals(peer *Peer) int {
	n := defaultRetrievals
	if s := peer.Settings; s != nil && s.MaxRetrievals > 0 {
		n = s.MaxRetrievals
	}
	if limit := p.limit(peer); limit > 0 {
		n = min(n, max(limit-1, 1))
	}
	return n
}

// idleTime returns how long an association with the peer is kept; zero: not at all.
func (p *Pool) idleTime(peer *Peer) time.Duration {
	if peer.Settings != nil {
		return peer.Settings.AssociationIdle
	}
	return p.options.AssociationIdle
}

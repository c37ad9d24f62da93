package storescp

import (
	"net/netip"
	"slices"
)

// scope is what a retrieval asks for, with empty UIDs below its level, or the UIDs of an instance.
type scope struct{ study, series, instance string }

// contains reports whether an instance is part of what was asked for.
func (s scope) contains(instance scope) bool {
	return s.study == instance.study && (s.series == "" || s.series == instance.series) &&
		(s.instance == "" || s.instance == instance.instance)
}

// overlaps reports whether an instance can be part of both.
func (s scope) overlaps(other scope) bool {
	same := func(a, b string) bool { return a == "" || b == "" || a == b }
	return s.study == other.study && same(s.series, other.series) && same(s.instance, other.instance)
}

// source is where the C-STOREs of a PACS come from.
type source struct {
	pacs    string // its name
	calling []string
	from    []netip.Prefix
}

// remote is the requestor of an association, and the named PACS that it may be.
type remote struct {
	address netip.Addr
	pacs    []string
}

func (s *source) covers(calling string, address netip.Addr) bool {
	return slices.Contains(s.calling, calling) &&
		slices.ContainsFunc(s.from, func(p netip.Prefix) bool { return p.Contains(address) })
}

// overlaps reports whether an association can come from both.
func (s *source) overlaps(other *source) bool {
	return s.pacs == other.pacs ||
		slices.ContainsFunc(s.calling, func(title string) bool { return slices.Contains(other.calling, title) }) &&
			slices.ContainsFunc(s.from, func(p netip.Prefix) bool { return slices.ContainsFunc(other.from, p.Overlaps) })
}

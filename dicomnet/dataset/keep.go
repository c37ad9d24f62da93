package dataset

import (
	"cmp"
	"slices"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// Keeper keeps copies of data sets, such as the matches of a C-FIND, after the buffers that they
// refer to are used for something else. The copies share few large allocations, so that one costs
// little more than its values. The zero value is ready to use. A Keeper may be used by one goroutine
// at a time. It does not keep its copies alive.
type Keeper struct {
	sets    []keptSet
	entries []entry
	values  []byte
	size    int

	characterSetValue string // of the last data set whose Specific Character Set was parsed
	characterSet      *characterSet
}

// keptSet is a data set with warnings of its own.
type keptSet struct {
	Set
	ownWarnings Warnings
}

// Keep returns a copy of all elements of s, or of an item. The copy is valid for any time, and independent of s and of the Keeper.
// It reads like s: text is decoded by the Specific Character Set of s even if the copy does not contain that. It has the warnings
// of s so far, and its elements are sorted and each tag occurs once. The cost is linear in the size of s.
func (k *Keeper) Keep(s *Set) *Set {
	k.entries = reserve(k, k.entries, len(s.entries), minKeptEntries, maxKeptEntries, entrySize)
	return k.keep(s, append(k.entries[len(k.entries):], s.entries...))
}

// KeepTags is Keep for some elements. tags must be in ascending order.
func (k *Keeper) KeepTags(s *Set, tags []tag.Tag) *Set {
	k.entries = reserve(k, k.entries, len(s.entries), minKeptEntries, maxKeptEntries, entrySize)
	entries := k.entries[len(k.entries):]
	next, last := 0, uint32(0)
	for i := range s.entries {
		e := &s.entries[i]
		if e.tag < last {
			next = 0 // s is not sorted
		}
		for last = e.tag; next < len(tags) && tagNumber(tags[next]) < e.tag; {
			next++
		}
		if next < len(tags) && tagNumber(tags[next]) == e.tag {
			entries = append(entries, *e)
		}
	}
	return k.keep(s, entries)
}

// keep returns a copy of s with the entries, which are in the free part of k.entries.
func (k *Keeper) keep(s *Set, entries []entry) *Set {
	if s.cs == nil {
		k.resolveCharacterSet(s)
	}
	if s.unsorted {
		slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.tag, b.tag) })
		entries = slices.CompactFunc(entries, func(a, b entry) bool { return a.tag == b.tag })
	}
	k.entries = k.entries[:len(k.entries)+len(entries)]

	size := 0
	for i := range entries {
		size += int(entries[i].len)
	}
	k.values = reserve(k, k.values, size, minKeptBytes, maxKeptBytes, 1)
	values := k.values[len(k.values):]
	for i := range entries {
		e := &entries[i]
		off := uint32(len(values))
		values = append(values, s.buf[e.off:e.off+e.len]...)
		e.off = off
	}
	k.values = k.values[:len(k.values)+len(values)]

	k.sets = reserve(k, k.sets, 1, minKeptSets, maxKeptSets, keptSetSize)
	k.sets = k.sets[:len(k.sets)+1]
	kept := &k.sets[len(k.sets)-1]
	kept.ownWarnings = *s.warnings
	kept.Set = Set{
		buf: slices.Clip(values), entries: slices.Clip(entries), layout: s.layout, depth: s.depth, lim: s.lim,
		warnings: &kept.ownWarnings, cs: s.cs, signedPixels: s.hasSignedPixels(),
	}
	return &kept.Set
}

// Size returns the memory that the Keeper has allocated for all copies, in bytes.
func (k *Keeper) Size() int { return k.size }

// resolveCharacterSet finds the character set of s. The data sets of one answer have the same one,
// and share it.
func (k *Keeper) resolveCharacterSet(s *Set) {
	value, _ := s.Bytes(tag.SpecificCharacterSet)
	if k.characterSet != nil && s.parent == nil && len(value) > 0 && k.characterSetValue == string(value) {
		s.cs = k.characterSet
		if s.cs.unknown {
			s.addWarning(CharacterSetUnknown)
		}
		return
	}
	s.characterSet()
	if s.parent == nil && len(value) > 0 && len(value) <= maxCachedValue {
		k.characterSet, k.characterSetValue = s.cs, string(value)
	}
}

// The sizes of allocations grow from min to max elements: an answer of one match costs little, and
// one of many few allocations. max also bounds what a single copy keeps alive.
const (
	minKeptSets, maxKeptSets       = 1, 32
	minKeptEntries, maxKeptEntries = 32, 1 << 10
	minKeptBytes, maxKeptBytes     = 1 << 10, 16 << 10

	entrySize, keptSetSize = 16, 160
)

// reserve returns a slice that can be extended by n elements: s, or a new one that is empty.
func reserve[T any](k *Keeper, s []T, n, least, most, elementSize int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	size := max(n, min(max(2*cap(s), least), most))
	s = make([]T, 0, size)
	k.size += cap(s) * elementSize
	return s
}

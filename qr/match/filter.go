package match

import (
	"slices"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Filter is the keys of one query together. It may be used by several goroutines at a time.
type Filter struct {
	keys []Key
	root level
}

// level is the keys of a data set, or of the items of one sequence.
type level struct {
	sequence dataset.Tag
	keys     []int // indexes
	below    []*level
}

// NewFilter returns the filter of the keys. Keys below the same sequence must match in the same item (PS3.4 section C.2.2.2.6).
func NewFilter(keys []Key) *Filter {
	f := &Filter{keys: slices.Clone(keys)}
	for i := range f.keys {
		k := &f.keys[i]
		if k.IsUniversal() {
			continue
		}
		at := &f.root
		for _, sequence := range k.Path[:len(k.Path)-1] {
			at = at.inside(sequence)
		}
		at.keys = append(at.keys, i)
	}
	return f
}

// inside returns the level of the items of a sequence.
func (l *level) inside(sequence dataset.Tag) *level {
	for _, below := range l.below {
		if below.sequence == sequence {
			return below
		}
	}
	below := &level{sequence: sequence}
	l.below = append(l.below, below)
	return below
}

// Judge judges a data set by all keys. It returns Differs if one key differs; else Unknown, if some keys cannot be judged, and
// appends their indexes to unknown; else Matches.
func (f *Filter) Judge(set *dataset.Set, unknown []int) (Verdict, []int) {
	return f.judge(&f.root, set, set, unknown)
}

func (f *Filter) judge(l *level, set, root *dataset.Set, unknown []int) (Verdict, []int) {
	known := len(unknown)
	for _, i := range l.keys {
		k := &f.keys[i]
		switch k.judge(set, root, k.Path[len(k.Path)-1:]) {
		case Differs:
			return Differs, unknown[:known]
		case Unknown:
			unknown = append(unknown, i)
		}
	}
	for _, below := range l.below {
		var v Verdict
		if v, unknown = f.judgeItems(below, set, root, unknown); v == Differs {
			return Differs, unknown[:known]
		}
	}
	if len(unknown) > known {
		return Unknown, unknown
	}
	return Matches, unknown
}

// judgeItems judges the items of a sequence: the best verdict counts.
func (f *Filter) judgeItems(l *level, set, root *dataset.Set, unknown []int) (Verdict, []int) {
	v, ok := set.Value(l.sequence)
	if !ok {
		return Unknown, f.appendKeys(l, unknown)
	}
	known, best := len(unknown), Differs
	for _, item := range v.Items() {
		switch judged, more := f.judge(l, item, root, unknown[len(unknown):]); judged {
		case Matches:
			return Matches, unknown[:known]
		case Unknown:
			if best == Differs {
				best, unknown = Unknown, append(unknown, more...)
			}
		}
	}
	return best, unknown
}

// appendKeys appends the indexes of all keys of a level and below.
func (f *Filter) appendKeys(l *level, indexes []int) []int {
	indexes = append(indexes, l.keys...)
	for _, below := range l.below {
		indexes = f.appendKeys(below, indexes)
	}
	return indexes
}

// CombineDateTimes returns the keys for combined date-time matching (PS3.4 section C.2.2.2.5): if a date and the time that belongs
// to it, such as StudyDate and StudyTime, both have ranges of the same form, they are one range from the first date and time to the
// last. The index of a key stays the same. PACS match so only after negotiation, so the time then is sent without its range.
func CombineDateTimes(keys []Key) []Key {
	combined := slices.Clone(keys)
	for i := range combined {
		date, ok := combined[i].test.(*dateTest)
		if !ok || combined[i].VR != "DA" || date.form == oneValue || date.form == between && date.to-date.from < day {
			continue
		}
		j := slices.IndexFunc(combined, func(k Key) bool { return isTimeOf(combined[i].Path, k.Path) })
		if j < 0 {
			continue
		}
		clock, ok := combined[j].test.(*dateTest)
		if !ok || combined[j].VR != "TM" || clock.form != date.form {
			continue
		}
		whole := *date
		whole.time, whole.timeTag = &clock.span, combined[j].Path[len(combined[j].Path)-1]
		combined[i].test = &whole
		combined[j] = combined[j].Universal()
	}
	return combined
}

// isTimeOf reports whether the attribute of path clock is the time of that of date: their keywords differ in the last word.
func isTimeOf(date, clock Path) bool {
	last := len(date) - 1
	if len(clock) != len(date) || !slices.Equal(date[:last], clock[:last]) {
		return false
	}
	of, ok := strings.CutSuffix(dataset.Keyword(date[last]), "Date")
	return ok && dataset.Keyword(clock[last]) == of+"Time"
}

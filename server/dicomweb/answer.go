package dicomweb

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/match"
)

// Answer is the answer to a search. Its objects hold the attributes of PS3.18 section 10.6.3.3, those that the search names, and all
// that the PACS returned if the search includes all.
type Answer struct {
	fields  []field
	all     bool
	level   qr.Level
	baseURL string
	matches []*qr.Match
	tags    []dataset.Tag // reused, like text
	text    []byte
}

// field is an attribute of the answer.
type field struct {
	tag dataset.Tag
	vr  string
	// required reports that the attribute is present even if the PACS did not return it, named that the search names it. An
	// attribute that is neither is present if its value is known.
	required, named bool
}

// NewAnswer returns the answer to a search. baseURL is the DICOMweb base URL of the PACS.
func NewAnswer(search *qr.Search, matches []*qr.Match, baseURL string) *Answer {
	return &Answer{fields: fieldsOf(search), all: search.IncludeAll, level: search.Level, baseURL: baseURL, matches: matches}
}

// WriteTo writes the answer.
func (a *Answer) WriteTo(w *JSONWriter) {
	w.BeginArray()
	for _, m := range a.matches {
		w.BeginObject()
		if a.all {
			a.writeAll(w, m)
		} else {
			for i := range a.fields {
				a.write(w, m, &a.fields[i])
			}
		}
		w.EndObject()
	}
	w.EndArray()
}

// The attributes that the gateway writes itself.
const (
	tagModalities             = 0x0008_0061
	tagRetrieveURL            = 0x0008_1190
	tagSOPInstanceUID         = 0x0008_0018
	tagStudyInstanceUID       = 0x0020_000d
	tagSeriesInstanceUID      = 0x0020_000e
	tagStudyRelatedSeries     = 0x0020_1206
	tagStudyRelatedInstances  = 0x0020_1208
	tagSeriesRelatedInstances = 0x0020_1209
)

func number(t dataset.Tag) uint32 { return uint32(t.Group)<<16 | uint32(t.Element) }

func (a *Answer) write(w *JSONWriter, m *qr.Match, f *field) {
	switch number(f.tag) {
	case tagRetrieveURL:
		a.text = a.appendRetrieveURL(a.text[:0], m)
		w.plainText(f.tag, "UR", a.text)
		return
	case tagStudyInstanceUID:
		a.text = append(a.text[:0], m.StudyInstanceUID...)
		w.plainText(f.tag, "UI", a.text)
		return
	case tagSeriesInstanceUID:
		a.text = append(a.text[:0], m.SeriesInstanceUID...)
		w.plainText(f.tag, "UI", a.text)
		return
	case tagSOPInstanceUID:
		a.text = append(a.text[:0], m.SOPInstanceUID...)
		w.plainText(f.tag, "UI", a.text)
		return
	case tagModalities:
		a.writeModalities(w, m)
		return
	case tagStudyRelatedSeries:
		if study := a.ancestor(m, qr.LevelStudy); study != nil && study.RelatedSeries > 0 {
			w.Integer(f.tag, study.RelatedSeries)
			return
		}
	case tagStudyRelatedInstances:
		if study := a.ancestor(m, qr.LevelStudy); study != nil && study.RelatedInstances > 0 {
			w.Integer(f.tag, study.RelatedInstances)
			return
		}
	case tagSeriesRelatedInstances:
		if series := a.ancestor(m, qr.LevelSeries); series != nil && series.RelatedInstances > 0 {
			w.Integer(f.tag, series.RelatedInstances)
			return
		}
	}
	switch v, ok := find(m, f.tag); {
	case ok && (f.required || f.named || !v.Empty()):
		w.Attribute(v)
	case f.required:
		w.Empty(f.tag, f.vr)
	}
}

// find returns the value of an attribute of the match, or else of what it belongs to.
func find(m *qr.Match, t dataset.Tag) (dataset.Value, bool) {
	for ; m != nil; m = m.Parent() {
		if v, ok := m.Set().Value(t); ok {
			return v, true
		}
	}
	return dataset.Value{}, false
}

// ancestor returns the match of the given level that m is or belongs to; nil if m is of a higher level, or has the attributes itself.
func (a *Answer) ancestor(m *qr.Match, level qr.Level) *qr.Match {
	for n := depth(a.level) - depth(level); m != nil && n > 0; n-- {
		m = m.Parent()
	}
	if depth(level) > depth(a.level) {
		return nil
	}
	return m
}

// writeModalities writes Modalities in Study if they are known: viewers lose their list of studies over an empty value.
func (a *Answer) writeModalities(w *JSONWriter, m *qr.Match) {
	if study := a.ancestor(m, qr.LevelStudy); study != nil {
		if len(study.Modalities) > 0 {
			w.Text(dataset.ModalitiesInStudy, "CS", study.Modalities...)
		}
		return
	}
	if v, ok := find(m, dataset.ModalitiesInStudy); ok && !v.Empty() {
		w.Attribute(v)
	}
}

// appendRetrieveURL appends the URL under which the study, series or instance can be retrieved.
func (a *Answer) appendRetrieveURL(dst []byte, m *qr.Match) []byte {
	dst = append(dst, a.baseURL...)
	dst = append(append(dst, "/studies/"...), escapeUID(m.StudyInstanceUID)...)
	if a.level != qr.LevelStudy {
		dst = append(append(dst, "/series/"...), escapeUID(m.SeriesInstanceUID)...)
	}
	if a.level == qr.LevelImage {
		dst = append(append(dst, "/instances/"...), escapeUID(m.SOPInstanceUID)...)
	}
	return dst
}

func escapeUID(uid string) string {
	if match.ValidUID(uid) {
		return uid
	}
	return url.PathEscape(uid)
}

// writeAll writes all attributes that the PACS returned.
func (a *Answer) writeAll(w *JSONWriter, m *qr.Match) {
	a.tags = a.tags[:0]
	for i := range a.fields {
		a.tags = append(a.tags, a.fields[i].tag)
	}
	for from := m; from != nil; from = from.Parent() {
		for t := range from.Set().Tags() {
			if !isOwn(t) {
				a.tags = append(a.tags, t)
			}
		}
	}
	slices.SortFunc(a.tags, func(s, t dataset.Tag) int { return cmp.Compare(number(s), number(t)) })
	fields := a.fields
	for _, t := range slices.Compact(a.tags) {
		f := field{tag: t}
		if len(fields) > 0 && fields[0].tag == t {
			f, fields = fields[0], fields[1:]
		}
		f.named = true
		a.write(w, m, &f)
	}
}

// ifKnown are the return attributes that PS3.18 tables 10.6.3-3 to 10.6.3-5 require only if they are known.
var ifKnown = map[uint32]bool{
	0x0008_0056: true, 0x0008_0201: true, 0x0008_103e: true, 0x0028_0008: true, 0x0028_0010: true, 0x0028_0011: true, 0x0028_0100: true,
	0x0040_0244: true, 0x0040_0245: true, 0x0040_0275: true,
}

// returned are the attributes of each level that every answer has.
var returned = func() map[qr.Level][]field {
	levels := map[qr.Level][]field{}
	for _, level := range [...]qr.Level{qr.LevelStudy, qr.LevelSeries, qr.LevelImage} {
		for _, a := range qr.SearchAttributes(level) {
			if a.Default {
				f := field{tag: a.Path[0], vr: a.VR, required: !ifKnown[number(a.Path[0])]}
				if len(a.Path) > 1 {
					f.vr = "SQ"
				}
				levels[level] = append(levels[level], f)
			}
		}
	}
	return levels
}()

// typicalFields is more than the attributes of most answers to searches that name none.
const typicalFields = 48

// fieldsOf returns the attributes of an answer in ascending order. The attributes of a study are in the answer if the search is over
// all studies, and those of a series if it is over all series (PS3.18 section 10.6.3.3). The UIDs always are, because viewers need them.
func fieldsOf(s *qr.Search) []field {
	fields := make([]field, 0, typicalFields+len(s.Keys)+len(s.Include))
	fields = append(fields, returned[s.Level]...)
	fields = append(fields, field{tag: retrieveURL, required: true}, field{tag: dataset.StudyInstanceUID, required: true})
	if s.Level != qr.LevelStudy {
		fields = append(fields, field{tag: dataset.SeriesInstanceUID, required: true})
		if s.StudyInstanceUID == "" {
			fields = append(fields, returned[qr.LevelStudy]...)
		}
	}
	if s.Level == qr.LevelImage && s.SeriesInstanceUID == "" {
		fields = append(fields, returned[qr.LevelSeries]...)
	}
	for i := range s.Keys {
		fields = append(fields, field{tag: s.Keys[i].Path[0], named: true})
	}
	for _, path := range s.Include {
		fields = append(fields, field{tag: path[0], named: true})
	}
	if len(s.Modalities) > 0 {
		fields = append(fields, field{tag: dataset.ModalitiesInStudy})
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(number(a.tag), number(b.tag)) })
	n := 0
	for _, f := range fields {
		if n > 0 && fields[n-1].tag == f.tag {
			fields[n-1].named = fields[n-1].named || f.named
			continue
		}
		fields[n] = f
		n++
	}
	return fields[:n]
}

// Integer writes an attribute with one integer as its value, in a VR that is text.
func (w *JSONWriter) Integer(t dataset.Tag, n int) {
	w.beginAttribute(t, "IS")
	w.b = append(w.b, `,"Value":[`...)
	w.b = append(strconv.AppendInt(w.b, int64(n), 10), ']')
	w.endAttribute()
}

// WarningHeader returns a field of the header Warning (PS3.18 section 8.4.1.1): RFC 9111 obsoletes it, and PS3.18 uses it.
func WarningHeader(text string) string {
	b := make([]byte, 0, len(text)+32)
	b = append(b, `299 dicom-qr-gateway "`...)
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

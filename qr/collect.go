package qr

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// collector checks every match of the C-FIND against the plan. It does not rely on the PACS having applied any key.
type collector struct {
	tally
	plan  *plan
	found []*candidate
	free  []candidate // the unused rest of the last slab
	slabs []*[slabSize]candidate
	// index maps a Study Instance UID to its position in found; nil while searching found is cheaper.
	index map[string]int
	// otherPatients holds the Study Instance UIDs that were listed for another patient.
	otherPatients map[string]struct{}

	owed, taken int // bytes of memory that were not counted yet, and that were

	identity   identityCheck
	modalities []modalitiesValue // values of Modalities in Study that were decoded before
	list       []string          // reused by readModalities
}

// restart drops every match, and keeps the count of refused forms.
func (c *collector) restart() {
	refused := c.counts[optionalKeysRefused]
	c.close()
	*c = collector{plan: c.plan}
	c.counts[optionalKeysRefused] = refused
}

// indexFrom is the number of studies from which an index is faster than a search.
const indexFrom = 32

// addMatch adds a match at STUDY level. An identifier with the final success that names neither a patient nor a study is no
// match.
func (c *collector) addMatch(m *dicomnet.Match) {
	if m.Final && m.String(dataset.PatientID) == "" && m.String(dataset.StudyInstanceUID) == "" {
		return
	}
	c.add(m.Set)
}

// add checks one match, its patient first, and keeps its study.
func (c *collector) add(set *dataset.Set) {
	patientID, uid := single(set, dataset.PatientID), single(set, dataset.StudyInstanceUID)
	switch {
	case c.plan.isPatient(patientID):
	case patientID == "":
		c.drop(set, withoutPatientID)
		return
	default:
		c.drop(set, otherPatient)
		c.distrust(uid)
		return
	}
	if !validUID(uid) {
		c.drop(set, withoutStudyUID)
		return
	}
	if _, ok := c.plan.wanted[uid]; !ok && c.plan.wanted != nil {
		return
	}
	study := c.read(set, patientID, uid)
	by := issuersOf(set)
	if c.plan.issuer != "" && !by.have(c.plan.issuer) {
		c.dropIssuer(study, by)
		return
	}
	if !c.plan.anyPatient() {
		c.identity.check(study, by, &c.counts)
	}
	text := set.Warnings()
	if study.cut {
		text |= dataset.TextCut
	}
	if study.malformed || study.StudyDate != "" && study.date == 0 {
		text |= dataset.ValueMalformed
	}
	c.counts.addText(text)
	if at := c.find(uid); at >= 0 {
		if c.plan.anyPatient() && !sameText(c.found[at].PatientID, norm.NFC.String(patientID)) {
			c.distrust(uid)
		}
		c.counts[duplicate]++
		before := c.found[at].textLength()
		c.found[at].merge(study)
		c.owed += c.found[at].textLength() - before
		return
	}
	if c.found == nil {
		c.found = make([]*candidate, 0, usualStudies)
	}
	c.found, c.free = append(c.found, study), c.free[1:]
	c.owed += perStudy + study.textLength()
	if c.index != nil {
		c.index[uid] = len(c.found) - 1
	}
}

const (
	// perStudy is the memory of a study beside its text: the candidate, the study of the result and their indexes.
	perStudy = 640
	// perUID is the memory of a Study Instance UID in a set.
	perUID = 160
)

// usualStudies is more than most patients have.
const usualStudies = 16

// slabSize is how many candidates are allocated together, so that none moves when their number grows.
const slabSize = 64

// slabs are reused: they are most of the memory that a long answer takes.
var slabs = sync.Pool{New: func() any { return new([slabSize]candidate) }}

// close returns the slabs to their pool. What pick returned stays valid.
func (c *collector) close() {
	for _, slab := range c.slabs {
		clear(slab[:])
		slabs.Put(slab)
	}
	c.found, c.free, c.slabs = nil, nil, nil
}

// read decodes what the answer needs from a match and keeps nothing of the match. The candidate is the first of free, and the
// next call overwrites it unless add keeps it.
func (c *collector) read(set *dataset.Set, patientID, studyInstanceUID string) *candidate {
	if len(c.free) == 0 {
		slab := slabs.Get().(*[slabSize]candidate)
		c.slabs, c.free = append(c.slabs, slab), slab[:]
	}
	study := &c.free[0]
	*study = candidate{Study: Study{PatientID: patientID, StudyInstanceUID: studyInstanceUID}}
	study.read(set)
	m := c.readModalities(set)
	study.ModalitiesInStudy, study.modalitiesDoubtful = m.list, m.doubtful
	study.malformed = study.malformed || m.malformed
	return study
}

// modalitiesValue is an encoded Modalities in Study and its decoded list, which studies share.
type modalitiesValue struct {
	raw                 string
	list                []string
	malformed, doubtful bool // see candidate
}

// maxKeptModalities exceeds the number of different values among the studies of a patient.
const maxKeptModalities = 16

// readModalities decodes Modalities in Study.
func (c *collector) readModalities(set *dataset.Set) modalitiesValue {
	raw, isCS := set.CodeString(dataset.ModalitiesInStudy) // the same bytes may mean something else in another VR
	if isCS {
		for i := range c.modalities {
			if kept := &c.modalities[i]; kept.raw == string(raw) {
				return *kept
			}
		}
	}
	c.list = set.AppendStrings(c.list[:0], dataset.ModalitiesInStudy)
	c.list = addModalities(c.list[:0], c.list)
	list := append(make([]string, 0, len(c.list)), c.list...) // without spare capacity: studies share it, and merge appends
	value := modalitiesValue{
		list:      list,
		malformed: slices.ContainsFunc(list, func(m string) bool { return !isCodeString(m) }),
		doubtful:  slices.ContainsFunc(list, func(m string) bool { return !isModality(m) }),
	}
	// A value with a warning is decoded each time so that each is counted; other text depends on the character set.
	if len(c.modalities) < maxKeptModalities && isCS && set.Warnings() == 0 && inCSRepertoire(raw) {
		value.raw = string(raw)
		c.modalities = append(c.modalities, value)
	}
	return value
}

// inCSRepertoire reports whether raw consists of characters of code strings and backslashes (PS3.5 section 6.2).
func inCSRepertoire(raw []byte) bool {
	for _, b := range raw {
		if !isCSCharacter(b) && b != '\\' {
			return false
		}
	}
	return true
}

func isCSCharacter(b byte) bool {
	return b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == ' ' || b == '_'
}

// isCodeString reports whether s is a code string (PS3.5 section 6.2, CS). Lower case is accepted, because some PACS write it.
func isCodeString(s string) bool {
	const maxCS = 16
	for i := range len(s) {
		if b := s[i]; !isCSCharacter(b) && (b < 'a' || b > 'z') {
			return false
		}
	}
	return len(s) <= maxCS
}

// isModality reports whether s may be one modality: a code string without a space inside, as every modality of the standard is.
func isModality(s string) bool { return isCodeString(s) && !strings.Contains(s, " ") }

// distrust notes the Study Instance UID of a match of another patient.
func (c *collector) distrust(uid string) {
	if _, known := c.otherPatients[uid]; known || !validUID(uid) {
		return
	}
	if c.otherPatients == nil {
		c.otherPatients = map[string]struct{}{}
	}
	c.otherPatients[uid] = struct{}{}
	c.owed += perUID
}

// isShared reports whether the study was listed for another patient too, and counts it: a C-MOVE of the study would move the
// instances of the other patient as well.
func (c *collector) isShared(uid string) bool {
	_, shared := c.otherPatients[uid]
	if shared {
		c.counts[sharedStudyUID]++
	}
	return shared
}

func (c *collector) find(uid string) int {
	if c.index == nil && len(c.found) >= indexFrom {
		c.index = make(map[string]int, 1024)
		for i := range c.found {
			c.index[c.found[i].StudyInstanceUID] = i
		}
	}
	if c.index != nil {
		if at, ok := c.index[uid]; ok {
			return at
		}
		return -1
	}
	for i := range c.found {
		if c.found[i].StudyInstanceUID == uid {
			return i
		}
	}
	return -1
}

// remaining returns the studies that pass every filter except modalities and max_results, newest first. It is called after
// the last match, since a duplicate may have what the first match lacks.
func (c *collector) remaining() []*candidate {
	kept := c.found[:0]
	for _, study := range c.found {
		if c.keep(study) {
			kept = append(kept, study)
		}
	}
	c.found, c.index = nil, nil
	newestFirst(kept)
	for _, study := range kept {
		if c.plan.anyPatient() && !sameText(study.PatientID, norm.NFC.String(kept[0].PatientID)) {
			c.counts[severalPatients]++
		}
	}
	return kept
}

func (c *collector) keep(s *candidate) bool {
	if c.isShared(s.StudyInstanceUID) {
		return false
	}
	if c.plan.accession != "" && !hasValue(s.AccessionNumber, c.plan.accession) {
		if s.accessionAbsent {
			c.counts[withoutAccession]++
		}
		return false
	}
	if c.plan.dated() && s.date == 0 {
		c.counts[undated]++
		return false
	}
	return c.plan.includesDate(s)
}

// includesDate reports whether the study, or one of its dates if it has several, is of a date that is asked for.
func (p *plan) includesDate(s *candidate) bool {
	includes := func(day int) bool { return day >= p.earliest && (p.latest == 0 || day <= p.latest) }
	if !p.dated() || includes(s.date) {
		return true
	}
	for value := range strings.SplitSeq(s.StudyDate, `\`) {
		if day, ok := parseDate(trim(value)); ok && includes(day) {
			return true
		}
	}
	return false
}

// hasValue reports whether text is the wanted value, which is in Unicode NFC, or has it as one of several: some PACS put several values into an
// attribute that has one.
func hasValue(text, wanted string) bool {
	if sameText(text, wanted) {
		return true
	}
	for value := range strings.SplitSeq(text, `\`) {
		if sameText(trim(value), wanted) {
			return true
		}
	}
	return false
}

// hasModality reports whether one of the modalities is wanted. It ignores case: code strings have no lower case, but some
// PACS write it.
func (p *plan) hasModality(modalities []string) bool {
	for _, m := range modalities {
		for _, wanted := range p.modalities {
			if strings.EqualFold(m, wanted) {
				return true
			}
		}
	}
	return false
}

// single returns the value of an attribute of VM 1; "" if it is absent or has more than one value that is not empty.
func single(set *dataset.Set, t dataset.Tag) string {
	value, ok := set.Single(t)
	if ok {
		return trim(value)
	}
	for _, v := range set.Strings(t) {
		if v = trim(v); v == "" {
			continue
		}
		if value != "" {
			return ""
		}
		value = v
	}
	return value
}

const perDay = 1 << 37 // exceeds every result of parseTime; 27 bits are left for the date

// newestFirst sorts by date and time, undated studies last. Studies of the same time are in the order of their Study Instance
// UIDs, so that an archive always gives the same order.
func newestFirst(list []*candidate) {
	for _, study := range list {
		if study.date != 0 {
			first, _, _ := strings.Cut(study.StudyTime, `\`)
			study.time = uint64(study.date)*perDay + uint64(parseTime(trim(first)))
		}
	}
	slices.SortFunc(list, func(a, b *candidate) int {
		if a.time != b.time {
			return cmp.Compare(b.time, a.time)
		}
		return strings.Compare(a.StudyInstanceUID, b.StudyInstanceUID)
	})
}

package qr

import (
	"bytes"
	"strings"
	"sync"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// collector holds every match of the C-FIND against the plan. The PACS is not
// trusted to have applied any key.
type collector struct {
	plan  *plan
	tally tally
	found []*candidate
	room  []candidate // for the next ones, so that none is moved when their number grows
	rooms []*[roomSize]candidate
	// index tells where in found a study is; nil while a look through found is cheaper.
	index map[string]int
	// others are the Study Instance UIDs that were listed under another patient.
	others map[string]struct{}
	// lost is why a match could not be read; nil where all could.
	lost error

	modalities []modalitiesValue // values of Modalities in Study that were read, and what they say
	list       []string          // where that is put together
}

// indexFrom is the number of studies from which on an index pays.
const indexFrom = 32

// add judges one match: whose it is first of all.
func (c *collector) add(set *dataset.Set) {
	patientID, uid := single(set, tag.PatientID), single(set, tag.StudyInstanceUID)
	switch patientID {
	case c.plan.patientID:
	case "":
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
	text := set.Warnings()
	if study.StudyDate != "" && study.date == 0 {
		text |= dataset.ValueMalformed
	}
	c.tally.text(text)
	if at := c.find(uid); at >= 0 {
		c.tally[duplicate]++
		c.found[at].merge(study)
		return
	}
	c.found, c.room = append(c.found, study), c.room[1:]
	if c.index != nil {
		c.index[uid] = len(c.found) - 1
	}
}

const roomSize = 64

// emptyRooms are used again: they are most of the memory that a long answer takes.
var emptyRooms = sync.Pool{New: func() any { return new([roomSize]candidate) }}

// close gives the rooms back. What pick has picked stays valid.
func (c *collector) close() {
	for _, room := range c.rooms {
		clear(room[:])
		emptyRooms.Put(room)
	}
	c.found, c.room, c.rooms = nil, nil, nil
}

// read takes out of a match what the answer needs; nothing of the match is kept. The study has its place in room, and
// another one takes that unless add keeps it.
func (c *collector) read(set *dataset.Set, patientID, studyInstanceUID string) *candidate {
	if len(c.room) == 0 {
		room := emptyRooms.Get().(*[roomSize]candidate)
		c.rooms, c.room = append(c.rooms, room), room[:]
	}
	study := &c.room[0]
	*study = candidate{Study: Study{PatientID: patientID, StudyInstanceUID: studyInstanceUID}}
	study.read(set)
	study.ModalitiesInStudy = c.readModalities(set)
	return study
}

// modalitiesValue is one of Modalities in Study as it came, and the list in it, which studies share.
type modalitiesValue struct {
	raw  string
	list []string
}

// maxKeptModalities is more than a patient's studies differ in.
const maxKeptModalities = 16

func (c *collector) readModalities(set *dataset.Set) []string {
	raw, _ := set.Bytes(tag.ModalitiesInStudy)
	codes := set.HasVR(tag.ModalitiesInStudy, "CS") // or else the same bytes may mean something else
	if codes {
		for i := range c.modalities {
			if kept := &c.modalities[i]; kept.raw == string(raw) {
				return kept.list
			}
		}
	}
	c.list = set.AppendStrings(c.list[:0], tag.ModalitiesInStudy)
	c.list = addModalities(c.list[:0], c.list)
	list := append(make([]string, 0, len(c.list)), c.list...)
	// What deserves a warning shall get it each time, and other text depends on the character set.
	if len(c.modalities) < maxKeptModalities && codes && set.Warnings() == 0 && areCodes(raw) {
		c.modalities = append(c.modalities, modalitiesValue{string(raw), list})
	}
	return list
}

// areCodes reports whether raw is of the characters that code strings have (PS3.5 section 6.2).
func areCodes(raw []byte) bool {
	for _, b := range raw {
		if (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != ' ' && b != '_' && b != '\\' {
			return false
		}
	}
	return true
}

// distrust keeps the Study Instance UID of another patient's match.
func (c *collector) distrust(uid string) {
	if !validUID(uid) {
		return
	}
	if c.others == nil {
		c.others = map[string]struct{}{}
	}
	c.others[uid] = struct{}{}
}

// shared tells of a study that another patient has too, and counts it: a C-MOVE of the study would move the other
// patient's instances as well.
func (c *collector) shared(uid string) bool {
	_, shared := c.others[uid]
	if shared {
		c.tally[sharedStudyUID]++
	}
	return shared
}

// lose counts a match that could not be read.
func (c *collector) lose(why error) {
	c.tally[undecodable]++
	c.lost = why
}

// drop counts a match that is not kept. What its text suffered is told as well, because it may be why.
func (c *collector) drop(set *dataset.Set, why fact) {
	c.tally[why]++
	c.tally.text(set.Warnings())
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

// left are the studies that no filter but modalities and max_results drops,
// newest first. It waits for the last match, since a duplicate may know what the
// first one does not.
func (c *collector) left() []*candidate {
	kept := c.found[:0]
	for _, study := range c.found {
		if c.keep(study) {
			kept = append(kept, study)
		}
	}
	c.found, c.index = nil, nil
	newestFirst(kept)
	return kept
}

func (c *collector) keep(s *candidate) bool {
	if c.shared(s.StudyInstanceUID) {
		return false
	}
	if c.plan.accession != "" && s.AccessionNumber != c.plan.accession {
		if s.accessionAbsent {
			c.tally[withoutAccession]++
		}
		return false
	}
	if c.plan.dated() {
		switch {
		case s.date == 0:
			c.tally[undated]++
			return false
		case s.date < c.plan.earliest, c.plan.latest != 0 && s.date > c.plan.latest:
			return false
		}
	}
	return true
}

// hasModality reports whether one of the modalities is asked for. Code strings have no lower case, so that a peer which
// writes one means the same.
func (p *plan) hasModality(modalities []string) bool {
	for _, m := range modalities {
		for _, asked := range p.modalities {
			if strings.EqualFold(m, asked) {
				return true
			}
		}
	}
	return false
}

// single is the value of an attribute that has one; "" where it is absent or, which no such attribute may be, a list
// with more than one value in it. Values that say nothing do not make a list.
func single(set *dataset.Set, t tag.Tag) string {
	if !isList(set, t) {
		return trim(set.String(t))
	}
	value := ""
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

// isList reports whether the attribute may have more than one value: without a byte that can be a backslash it has not, in any
// character set.
func isList(set *dataset.Set, t tag.Tag) bool {
	raw, _ := set.Bytes(t)
	return bytes.IndexByte(raw, '\\') >= 0
}

package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"dicom-qr-gateway/test/load/wire"
)

// The beginnings of the Patient IDs that have studies; the number of studies follows. The responses for the first are sent in one
// write. For the second each PDU is sent separately, as common PACS do. The studies of the third have the attributes that DICOMweb
// returns too.
const (
	atOnce   = "BENCH-"
	pduByPDU = "PDUS-"
	web      = "WEB-"
	// instances is in place of a prefix in the recording of the instances of a series: as many as their patient has studies.
	instances = ""
)

// studyRoot begins the Study Instance UIDs. The number of studies of the patient and that of the study follow.
const studyRoot = "2.25.1504132986372085743109117645529."

// maxStudies limits the studies of a patient, and so the memory of a recording.
const maxStudies = 100_000

// patient returns the number of studies of a patient, and the prefix, which decides how the responses are sent.
func patient(patientID string) (studies int, prefix string) {
	for _, prefix := range []string{atOnce, pduByPDU, web} {
		if digits, ok := strings.CutPrefix(patientID, prefix); ok {
			return number(digits), prefix
		}
	}
	return 0, atOnce
}

// instancesOf returns the number of instances of a study, which all its series have.
func instancesOf(studyInstanceUID string) int {
	if n, _ := images(studyInstanceUID); n > 0 {
		return n
	}
	numbers, ok := strings.CutPrefix(studyInstanceUID, studyRoot)
	digits, _, _ := strings.Cut(numbers, ".")
	if !ok {
		return 0
	}
	return number(digits)
}

func number(digits string) int {
	if n, err := strconv.Atoi(digits); err == nil && n >= 0 && n <= maxStudies {
		return n
	}
	return 0
}

// recording identifies the recorded responses for a patient in a transfer syntax. A sender takes one of several copies, because
// message ID and context ID are written into it.
type recording struct {
	prefix   string
	studies  int
	explicit bool
	study    string // of instances
	level    string // the level of the query for these
}

// answer is a copy of all responses to a C-FIND, encoded, with the IDs of its last use.
type answer struct {
	bytes                []byte
	messageID            uint16
	contextID            byte
	messageIDs, contexts []int // their offsets
}

var answers sync.Map // of *sync.Pool, by recording

// take returns an answer with these IDs. After it is sent, put returns it to the pool.
func (r recording) take(messageID uint16, contextID byte) *answer {
	pool, ok := answers.Load(r)
	if !ok {
		pool, _ = answers.LoadOrStore(r, &sync.Pool{New: func() any { return r.record() }})
	}
	a := pool.(*sync.Pool).Get().(*answer)
	if a.messageID != messageID {
		a.messageID = messageID
		for _, at := range a.messageIDs {
			binary.LittleEndian.PutUint16(a.bytes[at:], messageID)
		}
	}
	if a.contextID != contextID {
		a.contextID = contextID
		for _, at := range a.contexts {
			a.bytes[at] = contextID
		}
	}
	return a
}

func (r recording) put(a *answer) {
	if pool, ok := answers.Load(r); ok {
		pool.(*sync.Pool).Put(a)
	}
}

func (r recording) record() *answer {
	a := &answer{}
	match := r.match
	if r.prefix == instances {
		match = r.instance
	}
	for i := range r.studies {
		a.command(wire.Pending, wire.HasDataSet)
		a.pdv(wire.Last, match(i))
	}
	a.command(wire.Success, wire.NoDataSet)
	return a
}

// command adds a command set in a separate PDU. The status is at its end, where the floor reads it.
func (a *answer) command(status, dataSetType uint16) {
	beforeID := slices.Concat(
		wire.CommandElement(0x0002, wire.Even(wire.StudyRootFind, 0)),
		wire.CommandElement(0x0100, wire.Uint16(wire.CFindRSP)),
	)
	set := wire.CommandSet(beforeID,
		wire.CommandElement(0x0120, wire.Uint16(0)),
		wire.CommandElement(0x0800, wire.Uint16(dataSetType)),
		wire.CommandElement(0x0900, wire.Uint16(status)),
	)
	a.pdv(wire.Command|wire.Last, set)
	const groupLength, elementHeader = 12, 8
	a.messageIDs = append(a.messageIDs, len(a.bytes)-len(set)+groupLength+len(beforeID)+elementHeader)
}

func (a *answer) pdv(control byte, fragment []byte) {
	a.contexts = append(a.contexts, len(a.bytes)+wire.HeaderLength+4)
	a.bytes = append(a.bytes, wire.PDV(0, control, fragment)...)
}

// match returns the identifier of study i, in Latin-1: all attributes that the gateway asks for, with typical values.
func (r recording) match(i int) []byte {
	var b identifier
	modality := [...]string{"CT", "MR", "US", "CR"}[i%4]
	add := func(group, element uint16, vr, value string) { b.add(r.explicit, group, element, vr, value) }
	extra := func(group, element uint16, vr, value string) {
		if r.prefix == web {
			add(group, element, vr, value)
		}
	}
	add(0x0008, 0x0005, "CS", "ISO_IR 100")
	add(0x0008, 0x0020, "DA", fmt.Sprintf("%04d%02d%02d", 2010+i%15, 1+i%12, 1+i%28))
	add(0x0008, 0x0030, "TM", fmt.Sprintf("%02d%02d%02d", i%24, i%60, i*7%60))
	add(0x0008, 0x0050, "SH", fmt.Sprintf("ACC-%06d", i))
	add(0x0008, 0x0052, "CS", "STUDY")
	add(0x0008, 0x0054, "AE", "PACS")
	extra(0x0008, 0x0056, "CS", "ONLINE")
	add(0x0008, 0x0061, "CS", modality+`\SR`)
	add(0x0008, 0x0080, "LO", "General Hospital")
	add(0x0008, 0x0090, "PN", "Referrer^Rita^^Dr.")
	add(0x0008, 0x1030, "LO", modality+" Thorax/Abdomen")
	extra(0x0008, 0x1048, "PN", "Record^Rob")
	add(0x0008, 0x1050, "PN", "Performer^Paul")
	extra(0x0008, 0x1060, "PN", "Reader^Ruth")
	extra(0x0008, 0x1080, "LO", "Cough")
	add(0x0010, 0x0010, "PN", "M\xfcller^J\xfcrgen")
	add(0x0010, 0x0020, "LO", r.prefix+strconv.Itoa(r.studies))
	add(0x0010, 0x0030, "DA", "19700101")
	extra(0x0010, 0x0040, "CS", "M")
	extra(0x0010, 0x1010, "AS", "054Y")
	extra(0x0010, 0x1030, "DS", "81.5")
	extra(0x0010, 0x2180, "SH", "Carpenter")
	extra(0x0010, 0x21b0, "LT", "Smoker")
	add(0x0020, 0x000d, "UI", fmt.Sprintf("%s%d.%d", studyRoot, r.studies, i+1))
	extra(0x0020, 0x0010, "SH", strconv.Itoa(i+1))
	extra(0x0020, 0x1206, "IS", "4")
	extra(0x0020, 0x1208, "IS", "812")
	return b
}

// instance returns the identifier of instance i of a series.
func (r recording) instance(i int) []byte {
	var b identifier
	add := func(group, element uint16, vr, value string) { b.add(r.explicit, group, element, vr, value) }
	study := r.study
	add(0x0008, 0x0005, "CS", "ISO_IR 100")
	if r.level == "IMAGE" {
		add(0x0008, 0x0016, "UI", "1.2.840.10008.5.1.4.1.1.2")
		add(0x0008, 0x0018, "UI", fmt.Sprintf("%s.1.%d", study, i+1))
	}
	add(0x0008, 0x0052, "CS", r.level)
	add(0x0008, 0x0054, "AE", "PACS")
	add(0x0008, 0x0056, "CS", "ONLINE")
	if r.level == "SERIES" {
		add(0x0008, 0x0060, "CS", "CT")
	}
	add(0x0020, 0x000d, "UI", study)
	if r.level == "STUDY" {
		return b
	}
	add(0x0020, 0x000e, "UI", study+".1")
	if r.level == "SERIES" {
		add(0x0020, 0x0011, "IS", "1")
		return b
	}
	add(0x0020, 0x0013, "IS", strconv.Itoa(i+1))
	add(0x0028, 0x0008, "IS", "1")
	add(0x0028, 0x0010, "US", "\x00\x02")
	add(0x0028, 0x0011, "US", "\x00\x02")
	add(0x0028, 0x0100, "US", "\x10\x00")
	return b
}

// identifier is an encoded data set.
type identifier []byte

func (b *identifier) add(explicit bool, group, element uint16, vr, value string) {
	pad := byte(' ')
	if vr == "UI" {
		pad = 0
	}
	if !explicit {
		vr = ""
	}
	*b = append(*b, wire.Element(group, element, vr, wire.Even(value, pad))...)
}

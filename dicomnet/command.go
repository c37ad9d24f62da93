package dicomnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// CommandField identifies the DIMSE message of a command set (PS3.7 annex E.1).
type CommandField uint16

// DIMSE messages that this package implements or names.
const (
	CStoreRQ  CommandField = 0x0001
	CStoreRSP CommandField = 0x8001
	CGetRQ    CommandField = 0x0010
	CGetRSP   CommandField = 0x8010
	CFindRQ   CommandField = 0x0020
	CFindRSP  CommandField = 0x8020
	CMoveRQ   CommandField = 0x0021
	CMoveRSP  CommandField = 0x8021
	CEchoRQ   CommandField = 0x0030
	CEchoRSP  CommandField = 0x8030
	CCancelRQ CommandField = 0x0FFF
)

// CommandSet is a DIMSE command set (PS3.7 section 6.3 and annex E) with the elements that C-ECHO,
// C-FIND, C-MOVE, C-STORE and C-CANCEL use. Pointers are nil if the element is absent.
type CommandSet struct {
	AffectedSOPClassUID       string
	CommandField              CommandField
	MessageID                 uint16
	MessageIDBeingRespondedTo uint16
	MoveDestination           string
	Priority                  uint16
	HasDataSet                bool // Command Data Set Type is not 0101H
	Status                    Status
	Detail                    StatusDetail
	AffectedSOPInstanceUID    string
	Remaining, Completed      *uint16
	Failed, Warning           *uint16
	MoveOriginatorAETitle     string
	MoveOriginatorMessageID   uint16
}

// response reports whether the message is a response.
func (f CommandField) response() bool { return f&0x8000 != 0 }

// String returns the standard's name of the message.
func (f CommandField) String() string {
	if name, ok := commandNames[f]; ok {
		return name
	}
	return fmt.Sprintf("command %04X", uint16(f))
}

var commandNames = map[CommandField]string{
	CStoreRQ: "C-STORE-RQ", CStoreRSP: "C-STORE-RSP", CGetRQ: "C-GET-RQ", CGetRSP: "C-GET-RSP",
	CFindRQ: "C-FIND-RQ", CFindRSP: "C-FIND-RSP", CMoveRQ: "C-MOVE-RQ", CMoveRSP: "C-MOVE-RSP",
	CEchoRQ: "C-ECHO-RQ", CEchoRSP: "C-ECHO-RSP", CCancelRQ: "C-CANCEL-RQ",
}

// Element numbers of group 0000 (PS3.7 annex E.1).
const (
	elGroupLength               = 0x0000
	elAffectedSOPClassUID       = 0x0002
	elCommandField              = 0x0100
	elMessageID                 = 0x0110
	elMessageIDBeingRespondedTo = 0x0120
	elMoveDestination           = 0x0600
	elPriority                  = 0x0700
	elCommandDataSetType        = 0x0800
	elStatus                    = 0x0900
	elOffendingElement          = 0x0901
	elErrorComment              = 0x0902
	elErrorID                   = 0x0903
	elAffectedSOPInstanceUID    = 0x1000
	elRemaining                 = 0x1020
	elCompleted                 = 0x1021
	elFailed                    = 0x1022
	elWarning                   = 0x1023
	elMoveOriginatorAETitle     = 0x1030
	elMoveOriginatorMessageID   = 0x1031
)

// noDataSet is the Command Data Set Type of a message without a data set. Any other value means
// that a data set follows.
const noDataSet = 0x0101

// Append appends the encoded command set to b: Implicit VR Little Endian, elements in ascending
// order, group length first (PS3.7 section 6.3.1). CommandField determines which elements it
// writes.
func (c *CommandSet) Append(b []byte) []byte {
	b = appendCommandHeader(b, elGroupLength, 4)
	b = append(b, 0, 0, 0, 0)
	start := len(b)
	b = appendCommandString(b, elAffectedSOPClassUID, c.AffectedSOPClassUID, 0)
	b = appendCommandUint16(b, elCommandField, uint16(c.CommandField))
	if c.CommandField.response() || c.CommandField == CCancelRQ {
		b = appendCommandUint16(b, elMessageIDBeingRespondedTo, c.MessageIDBeingRespondedTo)
	} else {
		b = appendCommandUint16(b, elMessageID, c.MessageID)
	}
	b = appendCommandString(b, elMoveDestination, c.MoveDestination, ' ')
	switch c.CommandField {
	case CStoreRQ, CGetRQ, CFindRQ, CMoveRQ:
		b = appendCommandUint16(b, elPriority, c.Priority)
	}
	dataSetType := uint16(noDataSet)
	if c.HasDataSet {
		dataSetType = 0
	}
	b = appendCommandUint16(b, elCommandDataSetType, dataSetType)
	if c.CommandField.response() {
		b = appendCommandUint16(b, elStatus, uint16(c.Status))
		b = appendOffendingElements(b, c.Detail.OffendingElements)
		b = appendCommandString(b, elErrorComment, c.Detail.ErrorComment, ' ')
		if c.Detail.ErrorID != 0 {
			b = appendCommandUint16(b, elErrorID, c.Detail.ErrorID)
		}
	}
	b = appendCommandString(b, elAffectedSOPInstanceUID, c.AffectedSOPInstanceUID, 0)
	b = appendCounter(b, elRemaining, c.Remaining)
	b = appendCounter(b, elCompleted, c.Completed)
	b = appendCounter(b, elFailed, c.Failed)
	b = appendCounter(b, elWarning, c.Warning)
	if c.MoveOriginatorAETitle != "" {
		b = appendCommandString(b, elMoveOriginatorAETitle, c.MoveOriginatorAETitle, ' ')
		b = appendCommandUint16(b, elMoveOriginatorMessageID, c.MoveOriginatorMessageID)
	}
	binary.LittleEndian.PutUint32(b[start-4:], uint32(len(b)-start))
	return b
}

func appendCommandHeader(b []byte, element uint16, length int) []byte {
	b = append(b, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, element)
	return binary.LittleEndian.AppendUint32(b, uint32(length))
}

func appendCommandUint16(b []byte, element, v uint16) []byte {
	return binary.LittleEndian.AppendUint16(appendCommandHeader(b, element, 2), v)
}

func appendCounter(b []byte, element uint16, v *uint16) []byte {
	if v == nil {
		return b
	}
	return appendCommandUint16(b, element, *v)
}

func appendCommandString(b []byte, element uint16, s string, pad byte) []byte {
	if s == "" {
		return b
	}
	b = appendCommandHeader(b, element, len(s)+len(s)%2)
	b = append(b, s...)
	if len(s)%2 == 1 {
		b = append(b, pad)
	}
	return b
}

func appendOffendingElements(b []byte, tags []uint32) []byte {
	if len(tags) == 0 {
		return b
	}
	b = appendCommandHeader(b, elOffendingElement, 4*len(tags))
	for _, t := range tags {
		b = binary.LittleEndian.AppendUint16(b, uint16(t>>16))
		b = binary.LittleEndian.AppendUint16(b, uint16(t))
	}
	return b
}

// DecodeCommandSet decodes a complete command set. It skips unknown elements and relies neither on
// the order of elements nor on the group length. A command set without an element that its message
// requires is an error. The result does not refer to b.
func DecodeCommandSet(b []byte) (CommandSet, error) {
	var c CommandSet
	var field, dataSetType, status, id, respondedTo optionalUint16
	for len(b) > 0 {
		if len(b) < 8 {
			return c, errors.New("command set ends inside an element")
		}
		group := binary.LittleEndian.Uint16(b)
		element := binary.LittleEndian.Uint16(b[2:])
		n := binary.LittleEndian.Uint32(b[4:])
		if uint64(n) > uint64(len(b)-8) {
			return c, fmt.Errorf("command element (%04X,%04X) claims %d bytes, %d left", group, element, n, len(b)-8)
		}
		v := b[8 : 8+n]
		b = b[8+n:]
		if group != 0 {
			continue
		}
		switch element {
		case elAffectedSOPClassUID:
			c.AffectedSOPClassUID = sopClassUID(v)
		case elCommandField:
			field = commandUint16(v)
		case elMessageID:
			id = commandUint16(v)
		case elMessageIDBeingRespondedTo:
			respondedTo = commandUint16(v)
		case elMoveDestination:
			c.MoveDestination = commandString(v)
		case elPriority:
			c.Priority = commandUint16(v).value
		case elCommandDataSetType:
			dataSetType = commandUint16(v)
		case elStatus:
			status = commandUint16(v)
		case elOffendingElement:
			c.Detail.OffendingElements = offendingElements(v)
		case elErrorComment:
			c.Detail.ErrorComment = sanitise(v)
		case elErrorID:
			c.Detail.ErrorID = commandUint16(v).value
		case elAffectedSOPInstanceUID:
			c.AffectedSOPInstanceUID = commandString(v)
		case elRemaining:
			c.Remaining = commandUint16(v).pointer()
		case elCompleted:
			c.Completed = commandUint16(v).pointer()
		case elFailed:
			c.Failed = commandUint16(v).pointer()
		case elWarning:
			c.Warning = commandUint16(v).pointer()
		case elMoveOriginatorAETitle:
			c.MoveOriginatorAETitle = commandString(v)
		case elMoveOriginatorMessageID:
			c.MoveOriginatorMessageID = commandUint16(v).value
		}
	}
	if !field.present {
		return c, errors.New("command set without a command field")
	}
	c.CommandField = CommandField(field.value)
	c.MessageID, c.MessageIDBeingRespondedTo = id.value, respondedTo.value
	c.HasDataSet = dataSetType.present && dataSetType.value != noDataSet
	c.Status = Status(status.value)
	switch {
	case c.CommandField.response() && !status.present:
		return c, fmt.Errorf("%s without a status", c.CommandField)
	case (c.CommandField.response() || c.CommandField == CCancelRQ) && !respondedTo.present:
		return c, fmt.Errorf("%s without the message ID being responded to", c.CommandField)
	case !c.CommandField.response() && c.CommandField != CCancelRQ && !id.present:
		return c, fmt.Errorf("%s without a message ID", c.CommandField)
	}
	return c, nil
}

// optionalUint16 is the value of a US element that may be absent.
type optionalUint16 struct {
	value   uint16
	present bool
}

func (o optionalUint16) pointer() *uint16 {
	if !o.present {
		return nil
	}
	return &o.value
}

// commandUint16 returns the first value of a US element, because some peers send more than one. An
// element of any other length counts as absent.
func commandUint16(v []byte) optionalUint16 {
	if len(v) < 2 || len(v)%2 != 0 {
		return optionalUint16{}
	}
	return optionalUint16{binary.LittleEndian.Uint16(v), true}
}

// sopClassUID returns the UID in v. It does not allocate for the UIDs that every response repeats.
func sopClassUID(v []byte) string {
	v = bytes.Trim(v, "\x00 ")
	for _, known := range [...]string{StudyRoot.Find, StudyRoot.Move} {
		if string(v) == known {
			return known
		}
	}
	return string(v)
}

func commandString(v []byte) string { return strings.Trim(string(v), "\x00 ") }

// maxOffendingElements bounds a list that is only logged.
const maxOffendingElements = 16

func offendingElements(v []byte) []uint32 {
	var tags []uint32
	for ; len(v) >= 4 && len(tags) < maxOffendingElements; v = v[4:] {
		tags = append(tags, uint32(binary.LittleEndian.Uint16(v))<<16|uint32(binary.LittleEndian.Uint16(v[2:])))
	}
	return tags
}

// sanitise makes free text of a peer safe for a log line: it keeps at most 64 characters and
// replaces all that are not printable ASCII.
func sanitise(v []byte) string {
	v = v[:min(len(v), 64)]
	clean := make([]byte, len(v))
	for i, c := range v {
		if c < 0x20 || c > 0x7e {
			c = '.'
		}
		clean[i] = c
	}
	return strings.Trim(string(clean), ". ")
}

package dicomnet

import "fmt"

// CommandField tells which DIMSE message a command set is (PS3.7 annex E.1).
type CommandField uint16

// The messages of this package.
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

// CommandSet is a DIMSE command set (PS3.7 section 6.3 and annex E): the
// elements that C-ECHO, C-FIND, C-MOVE, C-STORE and C-CANCEL use. Pointers are
// nil where the element is absent.
type CommandSet struct {
	AffectedSOPClassUID       string
	CommandField              CommandField
	MessageID                 uint16
	MessageIDBeingRespondedTo uint16
	MoveDestination           string
	Priority                  uint16
	HasDataSet                bool // CommandDataSetType is anything but 0101H
	Status                    Status
	Detail                    StatusDetail
	AffectedSOPInstanceUID    string
	Remaining, Completed      *uint16
	Failed, Warning           *uint16
	MoveOriginatorAETitle     string
	MoveOriginatorMessageID   uint16
}

// response reports whether the message answers another.
func (f CommandField) response() bool { return f&0x8000 != 0 }

// String is the standard's name of the message.
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

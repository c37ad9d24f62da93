package dicomnet

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

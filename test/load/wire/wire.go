// Package wire encodes DICOM messages for the recorded PACS and the floor. It shares no code with the gateway, so that the two ends
// of a measurement cannot have the same fault, and needs only the standard library.
package wire

import (
	"encoding/binary"
	"slices"
)

// PDU types (PS3.8 section 9.3).
const (
	AssociateRQ byte = 0x01
	AssociateAC byte = 0x02
	PDataTF     byte = 0x04
	ReleaseRQ   byte = 0x05
	ReleaseRP   byte = 0x06
)

// HeaderLength is the length of a PDU's type, reserved byte and length field.
const HeaderLength = 6

// Item types of A-ASSOCIATE-RQ and -AC (PS3.8 sections 9.3.2 and 9.3.3).
const (
	ItemApplicationContext byte = 0x10
	ItemContextRQ          byte = 0x20
	ItemContextAC          byte = 0x21
	ItemAbstractSyntax     byte = 0x30
	ItemTransferSyntax     byte = 0x40
	ItemUser               byte = 0x50
	ItemMaxLength          byte = 0x51
	ItemImplementationUID  byte = 0x52
	ItemRoleSelection      byte = 0x54
)

// UIDs (PS3.6 annex A).
const (
	ApplicationContext   = "1.2.840.10008.3.1.1.1"
	StudyRootFind        = "1.2.840.10008.5.1.4.1.2.2.1"
	StudyRootGet         = "1.2.840.10008.5.1.4.1.2.2.3"
	CTImageStorage       = "1.2.840.10008.5.1.4.1.1.2"
	ImplicitLittleEndian = "1.2.840.10008.1.2"
	ExplicitLittleEndian = "1.2.840.10008.1.2.1"
	ImplementationUID    = "2.25.150413298637208574310911764552906031821"
)

// Command fields, and values of Command Data Set Type and Status (PS3.7 annex E, PS3.4 section C.4.1.1.4).
const (
	CStoreRQ  uint16 = 0x0001
	CStoreRSP uint16 = 0x8001
	CGetRQ    uint16 = 0x0010
	CGetRSP   uint16 = 0x8010
	CFindRQ   uint16 = 0x0020
	CFindRSP  uint16 = 0x8020
	CCancelRQ uint16 = 0x0fff

	HasDataSet uint16 = 0x0001
	NoDataSet  uint16 = 0x0101

	Success  uint16 = 0x0000
	Canceled uint16 = 0xfe00
	Pending  uint16 = 0xff00
)

// Bits of the message control header of a PDV (PS3.8 annex E.2).
const (
	Command byte = 1
	Last    byte = 2
)

// PDU returns a PDU.
func PDU(kind byte, body ...[]byte) []byte {
	joined := slices.Concat(body...)
	b := binary.BigEndian.AppendUint32([]byte{kind, 0}, uint32(len(joined)))
	return append(b, joined...)
}

// Item returns an item or sub-item of an association PDU.
func Item(kind byte, body ...[]byte) []byte {
	joined := slices.Concat(body...)
	b := binary.BigEndian.AppendUint16([]byte{kind, 0}, uint16(len(joined)))
	return append(b, joined...)
}

// PDV returns a P-DATA-TF with one PDV, whose fragment is data.
func PDV(contextID, control byte, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)+2))
	return PDU(PDataTF, append(b, contextID, control), data)
}

// CommandElement returns an element of a command set, group 0000.
func CommandElement(element uint16, value []byte) []byte {
	return Element(0, element, "", value)
}

// Uint16 returns the value of an element of VR US.
func Uint16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }

// CommandSet returns a command set: the group length and the elements.
func CommandSet(elements ...[]byte) []byte {
	joined := slices.Concat(elements...)
	return append(CommandElement(0, binary.LittleEndian.AppendUint32(nil, uint32(len(joined)))), joined...)
}

// Element returns an element of a data set in Explicit VR Little Endian, or in Implicit VR if vr is empty. The VR must be one with
// a length field of two bytes.
func Element(group, element uint16, vr string, value []byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, group)
	b = binary.LittleEndian.AppendUint16(b, element)
	if vr == "" {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	} else {
		b = binary.LittleEndian.AppendUint16(append(b, vr...), uint16(len(value)))
	}
	return append(b, value...)
}

// Even returns s padded to even length. PS3.5 section 6.2 requires NUL for UIDs and a space for other text.
func Even(s string, pad byte) []byte {
	b := []byte(s)
	if len(b)%2 == 1 {
		b = append(b, pad)
	}
	return b
}

// RoleSelection returns an SCP/SCU Role Selection sub-item that proposes the SCP role only (PS3.7 annex D.3.3.4).
func RoleSelection(sopClass string) []byte {
	uid := binary.BigEndian.AppendUint16(nil, uint16(len(sopClass)))
	return Item(ItemRoleSelection, append(append(uid, sopClass...), 0, 1))
}

// LongElement returns the header of an element in Explicit VR Little Endian whose VR has a length field of four bytes.
func LongElement(group, element uint16, vr string, length uint32) []byte {
	b := binary.LittleEndian.AppendUint16(nil, group)
	b = binary.LittleEndian.AppendUint16(b, element)
	return binary.LittleEndian.AppendUint32(append(append(b, vr...), 0, 0), length)
}

// Find returns the value of an element in a data set in which each element has a defined length, or nil.
func Find(b []byte, explicit bool, group, element uint16) []byte {
	const short, long = 8, 12
	for len(b) >= short {
		header, n := short, uint64(binary.LittleEndian.Uint32(b[4:]))
		switch {
		case !explicit:
		case slices.Contains([]string{"SQ", "UN", "OB", "OW", "UT", "UC", "UR"}, string(b[4:6])) && len(b) >= long:
			header, n = long, uint64(binary.LittleEndian.Uint32(b[8:]))
		default:
			n = uint64(binary.LittleEndian.Uint16(b[6:]))
		}
		if n > uint64(len(b)-header) {
			return nil
		}
		if binary.LittleEndian.Uint16(b) == group && binary.LittleEndian.Uint16(b[2:]) == element {
			return b[header : uint64(header)+n]
		}
		b = b[uint64(header)+n:]
	}
	return nil
}

// Package part10 writes what a DICOM file has before its data set (PS3.10 section 7.1).
package part10

import (
	"encoding/binary"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Implementation identification, written into files and sent in the negotiation of associations (PS3.7 sections D.3.3.2 and
// D.3.3.3). The UID is derived from a UUID (PS3.5 annex B.2).
const (
	ImplementationClassUID    = "2.25.206416139246915317604928330127446101543"
	ImplementationVersionName = "DICOM_QR_GW_1"
)

// Meta describes a data set in a file: the values of the file meta information that depend on it (PS3.10 table 7.1-1).
type Meta struct {
	SOPClassUID, SOPInstanceUID string
	// TransferSyntax is that of the data set.
	TransferSyntax dataset.TransferSyntax
	// SourceAETitle is the application entity that wrote the file. SendingAETitle and ReceivingAETitle are those of the association
	// on which the data set arrived. Each is left out if it is empty.
	SourceAETitle, SendingAETitle, ReceivingAETitle string
}

// Lengths of values (PS3.5 section 6.2).
const (
	maxUID     = 64
	maxAETitle = 16
)

// Append appends the preamble, the prefix DICM and the file meta information in Explicit VR Little Endian. A data set in
// TransferSyntax that follows makes the DICOM file complete. Values are cut to the length that their VR allows.
func (m *Meta) Append(b []byte) []byte {
	b = append(b, make([]byte, 128)...)
	b = append(b, "DICM"...)
	b = appendHeader(b, 0x0000, "UL", 4)
	b = append(b, 0, 0, 0, 0)
	start := len(b)
	b = append(b, 2, 0, 0x01, 0, 'O', 'B', 0, 0, 2, 0, 0, 0, 0, 1) // (0002,0001) File Meta Information Version
	b = appendUID(b, 0x0002, m.SOPClassUID)
	b = appendUID(b, 0x0003, m.SOPInstanceUID)
	b = appendUID(b, 0x0010, string(m.TransferSyntax))
	b = appendUID(b, 0x0012, ImplementationClassUID)
	b = appendText(b, 0x0013, "SH", ImplementationVersionName, ' ')
	b = appendAETitle(b, 0x0016, m.SourceAETitle)
	b = appendAETitle(b, 0x0017, m.SendingAETitle)
	b = appendAETitle(b, 0x0018, m.ReceivingAETitle)
	binary.LittleEndian.PutUint32(b[start-4:], uint32(len(b)-start))
	return b
}

func appendUID(b []byte, element uint16, uid string) []byte {
	return appendText(b, element, "UI", uid[:min(len(uid), maxUID)], 0)
}

func appendAETitle(b []byte, element uint16, title string) []byte {
	if title == "" {
		return b
	}
	return appendText(b, element, "AE", title[:min(len(title), maxAETitle)], ' ')
}

// appendText appends an element of group 0002 with a value that is padded to an even length.
func appendText(b []byte, element uint16, vr, value string, pad byte) []byte {
	b = appendHeader(b, element, vr, len(value)+len(value)%2)
	b = append(b, value...)
	if len(value)%2 != 0 {
		b = append(b, pad)
	}
	return b
}

func appendHeader(b []byte, element uint16, vr string, length int) []byte {
	b = binary.LittleEndian.AppendUint16(append(b, 2, 0), element)
	return binary.LittleEndian.AppendUint16(append(b, vr...), uint16(length))
}

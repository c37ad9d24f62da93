package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"dicom-qr-gateway/test/load/wire"
)

// imageRoot begins the Study Instance UIDs of studies with images. The number of images and the bytes of their pixels follow.
const imageRoot = "2.25.1504132986372085743109117645530."

// images returns the number of images of a study and the length of their pixel data.
func images(studyInstanceUID string) (n, size int) {
	numbers, ok := strings.CutPrefix(studyInstanceUID, imageRoot)
	digits, more, two := strings.Cut(numbers, ".")
	if !ok || !two {
		return 0, 0
	}
	size, err := strconv.Atoi(more)
	if err != nil || size < 2 || size > 4_000_000_000 {
		return 0, 0
	}
	return number(digits), size &^ 1
}

// noise is the pixel data of all images, repeated. It does not consist of zeros, which some programs treat in another way.
var noise = func() []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}()

// get sends the images of a study, one after the other, and the final response.
func (a *association) get(contextID byte, messageID uint16, study string) error {
	n, size := images(study)
	status := wire.Success
	if a.storage == 0 {
		n, status = 0, 0xa702
	}
	for i := range n {
		canceled, err := a.store(uint16(i), study, i+1, size)
		if err != nil {
			return err
		}
		if canceled {
			n, status = i+1, wire.Canceled
			break
		}
	}
	_, err := a.conn.Write(wire.PDV(contextID, wire.Command|wire.Last, wire.CommandSet(
		wire.CommandElement(0x0002, wire.Even(wire.StudyRootGet, 0)),
		wire.CommandElement(0x0100, wire.Uint16(wire.CGetRSP)),
		wire.CommandElement(0x0120, wire.Uint16(messageID)),
		wire.CommandElement(0x0800, wire.Uint16(wire.NoDataSet)),
		wire.CommandElement(0x0900, wire.Uint16(status)),
		wire.CommandElement(0x1021, wire.Uint16(uint16(n))),
		wire.CommandElement(0x1022, wire.Uint16(0)),
		wire.CommandElement(0x1023, wire.Uint16(0)),
	)))
	return err
}

// store sends an image and waits for the response. It returns true if the C-GET has been canceled.
func (a *association) store(messageID uint16, study string, image, size int) (canceled bool, err error) {
	uid := fmt.Sprintf("%s.1.%d", study, image)
	command := wire.PDV(a.storage, wire.Command|wire.Last, wire.CommandSet(
		wire.CommandElement(0x0002, wire.Even(wire.CTImageStorage, 0)),
		wire.CommandElement(0x0100, wire.Uint16(wire.CStoreRQ)),
		wire.CommandElement(0x0110, wire.Uint16(messageID)),
		wire.CommandElement(0x0700, wire.Uint16(0)),
		wire.CommandElement(0x0800, wire.Uint16(wire.HasDataSet)),
		wire.CommandElement(0x1000, wire.Even(uid, 0)),
	))
	if _, err := a.conn.Write(append(command, wire.PDV(a.storage, 0, beforePixels(study, uid, image, size))...)); err != nil {
		return false, err
	}
	const pdvHeader = 6
	most := min(len(noise), max(a.maxLength, 4096)-pdvHeader) &^ 1
	var header [wire.HeaderLength + pdvHeader]byte
	for left := size; left > 0; {
		n := min(left, most)
		left -= n
		header[0] = wire.PDataTF
		binary.BigEndian.PutUint32(header[2:], uint32(n+pdvHeader))
		binary.BigEndian.PutUint32(header[wire.HeaderLength:], uint32(n+2))
		header[wire.HeaderLength+4], header[wire.HeaderLength+5] = a.storage, 0
		if left == 0 {
			header[wire.HeaderLength+5] = wire.Last
		}
		if _, err := (&net.Buffers{header[:], noise[:n]}).WriteTo(a.conn); err != nil {
			return false, err
		}
	}
	return a.stored()
}

// stored waits for the response of a C-STORE.
func (a *association) stored() (canceled bool, err error) {
	for {
		kind, body, err := a.next()
		if err != nil {
			return canceled, err
		}
		const pdvHeader = 6
		if kind != wire.PDataTF || len(body) < pdvHeader {
			return canceled, errUnexpected
		}
		field := wire.Find(body[pdvHeader:], false, 0, 0x0100)
		if len(field) != 2 {
			return canceled, errUnexpected
		}
		switch binary.LittleEndian.Uint16(field) {
		case wire.CStoreRSP:
			return canceled, nil
		case wire.CCancelRQ:
			canceled = true
		default:
			return canceled, errUnexpected
		}
	}
}

// beforePixels returns a CT image up to the value of pixel data.
func beforePixels(study, uid string, image, size int) []byte {
	const columns = 512
	rows := min(max(size/2/columns, 1), 65535)
	text := func(group, element uint16, vr, value string) []byte {
		pad := byte(' ')
		if vr == "UI" {
			pad = 0
		}
		return wire.Element(group, element, vr, wire.Even(value, pad))
	}
	us := func(element, value uint16) []byte {
		return wire.Element(0x0028, element, "US", wire.Uint16(value))
	}
	return slices.Concat(
		text(0x0008, 0x0005, "CS", "ISO_IR 100"),
		text(0x0008, 0x0016, "UI", wire.CTImageStorage),
		text(0x0008, 0x0018, "UI", uid),
		text(0x0008, 0x0020, "DA", "20260102"),
		text(0x0008, 0x0060, "CS", "CT"),
		text(0x0010, 0x0010, "PN", "Synthetic^Patient"),
		text(0x0010, 0x0020, "LO", "BENCH"),
		text(0x0020, 0x000d, "UI", study),
		text(0x0020, 0x000e, "UI", study+".1"),
		text(0x0020, 0x0013, "IS", strconv.Itoa(image)),
		us(0x0002, 1),
		text(0x0028, 0x0004, "CS", "MONOCHROME2"),
		us(0x0010, uint16(rows)),
		us(0x0011, columns),
		us(0x0100, 16),
		us(0x0101, 16),
		us(0x0102, 15),
		us(0x0103, 0),
		wire.LongElement(0x7fe0, 0x0010, "OW", uint32(size)),
	)
}

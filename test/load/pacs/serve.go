package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"

	"dicom-qr-gateway/test/load/wire"
)

// maxPDU limits the PDUs that are read.
const maxPDU = 1 << 20

var errUnexpected = errors.New("unexpected PDU")

// association is the acceptor's side of an association.
type association struct {
	conn     net.Conn
	reader   *bufio.Reader
	explicit map[byte]bool // by context ID: whether Explicit VR was accepted

	command, identifier []byte // of the current request
	storage             byte   // context of CT Image Storage in Explicit VR Little Endian, 0 if none
	maxLength           int    // of the PDUs that the requestor receives
	body                []byte
}

// serve serves a connection until its end.
func serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	a := &association{conn: conn, reader: bufio.NewReaderSize(conn, 4<<10), explicit: map[byte]bool{}}
	for {
		kind, body, err := a.next()
		if err != nil {
			return
		}
		switch kind {
		case wire.AssociateRQ:
			err = a.accept(body)
		case wire.PDataTF:
			err = a.data(body)
		case wire.ReleaseRQ:
			// The side that closes first keeps the connection for a minute (TIME_WAIT). If the other side did, it would run out of
			// ports.
			_, _ = conn.Write(wire.PDU(wire.ReleaseRP, make([]byte, 4)))
			return
		default:
			err = errUnexpected
		}
		if err != nil {
			return
		}
	}
}

// next returns the next PDU; its body is valid until the next call.
func (a *association) next() (kind byte, body []byte, err error) {
	var header [wire.HeaderLength]byte
	if _, err := io.ReadFull(a.reader, header[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(header[2:]))
	if n > maxPDU {
		return 0, nil, errUnexpected
	}
	if n > cap(a.body) {
		a.body = make([]byte, n)
	}
	_, err = io.ReadFull(a.reader, a.body[:n])
	return header[0], a.body[:n], err
}

// items calls each for each item in b.
func items(b []byte, each func(kind byte, body []byte)) {
	for len(b) >= 4 {
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return
		}
		each(b[0], b[4:n])
		b = b[n:]
	}
}

// accept accepts each presentation context with a supported transfer syntax, the first of those proposed.
func (a *association) accept(rq []byte) error {
	const fixed = 68
	if len(rq) < fixed {
		return errUnexpected
	}
	var contexts []byte
	var roles []byte
	items(rq[fixed:], func(kind byte, body []byte) {
		if kind == wire.ItemUser {
			a.maxLength, roles = user(body)
		}
		if kind != wire.ItemContextRQ || len(body) < 4 {
			return
		}
		id, chosen, abstract := body[0], "", ""
		items(body[4:], func(kind byte, body []byte) {
			uid := strings.TrimRight(string(body), "\x00")
			if kind == wire.ItemAbstractSyntax {
				abstract = uid
			}
			if kind == wire.ItemTransferSyntax && chosen == "" && (uid == wire.ImplicitLittleEndian || uid == wire.ExplicitLittleEndian) {
				chosen = uid
			}
		})
		const accepted, transferSyntaxesNotSupported = 0, 4
		result := byte(accepted)
		if chosen == "" {
			result, chosen = transferSyntaxesNotSupported, wire.ImplicitLittleEndian
		}
		a.explicit[id] = chosen == wire.ExplicitLittleEndian
		if abstract == wire.CTImageStorage && a.explicit[id] && a.storage == 0 {
			a.storage = id
		}
		contexts = append(contexts, wire.Item(wire.ItemContextAC, []byte{id, 0, result, 0}, wire.Item(wire.ItemTransferSyntax, []byte(chosen)))...)
	})
	_, err := a.conn.Write(wire.PDU(wire.AssociateAC, rq[:fixed],
		wire.Item(wire.ItemApplicationContext, []byte(wire.ApplicationContext)),
		contexts,
		wire.Item(wire.ItemUser,
			wire.Item(wire.ItemMaxLength, []byte{0, 0, 0x40, 0}),
			wire.Item(wire.ItemImplementationUID, []byte(wire.ImplementationUID)),
			roles),
	))
	return err
}

// user returns the maximum length and the role selections of the user information.
func user(item []byte) (maxLength int, roles []byte) {
	items(item, func(kind byte, body []byte) {
		switch {
		case kind == wire.ItemMaxLength && len(body) == 4:
			maxLength = int(binary.BigEndian.Uint32(body))
		case kind == wire.ItemRoleSelection:
			roles = append(roles, wire.Item(kind, body)...)
		}
	})
	return maxLength, roles
}

// data handles the PDVs of a PDU and responds when the identifier is complete.
func (a *association) data(body []byte) error {
	const header = 6
	for len(body) >= header {
		n := 4 + int(binary.BigEndian.Uint32(body))
		if n < header || n > len(body) {
			return errUnexpected
		}
		contextID, control, fragment := body[4], body[5], body[header:n]
		body = body[n:]
		if control&wire.Command != 0 {
			a.command = append(a.command, fragment...)
			continue
		}
		a.identifier = append(a.identifier, fragment...)
		if control&wire.Last == 0 {
			continue
		}
		if err := a.answer(contextID); err != nil {
			return err
		}
		a.command, a.identifier = a.command[:0], a.identifier[:0]
	}
	return nil
}

func (a *association) answer(contextID byte) error {
	explicit := a.explicit[contextID]
	field, messageID := wire.Find(a.command, false, 0, 0x0100), wire.Find(a.command, false, 0, 0x0110)
	if len(field) != 2 || len(messageID) != 2 {
		return errUnexpected
	}
	key := func(group, element uint16) string {
		return strings.Trim(string(wire.Find(a.identifier, explicit, group, element)), " \x00")
	}
	switch binary.LittleEndian.Uint16(field) {
	case wire.CFindRQ:
	case wire.CGetRQ:
		return a.get(contextID, binary.LittleEndian.Uint16(messageID), key(0x0020, 0x000d))
	default:
		return errUnexpected
	}
	n, prefix := patient(key(0x0010, 0x0020))
	r := recording{prefix: prefix, studies: n, explicit: explicit}
	level, study := key(0x0008, 0x0052), key(0x0020, 0x000d)
	if level == "IMAGE" {
		r.prefix, r.level, r.study, r.studies = instances, level, study, instancesOf(study)
	} else if n, _ := images(study); n > 0 {
		r.prefix, r.level, r.study, r.studies = instances, level, study, 1
	}
	answer := r.take(binary.LittleEndian.Uint16(messageID), contextID)
	defer r.put(answer)
	rest, size := answer.bytes, len(answer.bytes)
	for len(rest) > 0 {
		if prefix == pduByPDU {
			size = wire.HeaderLength + int(binary.BigEndian.Uint32(rest[2:]))
		}
		if _, err := a.conn.Write(rest[:size]); err != nil {
			return err
		}
		rest = rest[size:]
	}
	return nil
}

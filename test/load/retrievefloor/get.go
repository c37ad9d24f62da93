package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"dicom-qr-gateway/test/load/wire"
)

// The presentation contexts.
const (
	getContext     = 1
	storageContext = 3
)

var errUnexpected = errors.New("unexpected PDU")

type association struct {
	conn     net.Conn
	reader   *bufio.Reader
	command  []byte // that is being received
	response []byte // to the C-STORE whose data set is being received
}

// associate opens an association with C-GET and CT Image Storage, for which it is the SCP.
func associate(ctx context.Context, pacs, called string) (*association, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", pacs)
	if err != nil {
		return nil, err
	}
	a := &association{conn: conn, reader: bufio.NewReaderSize(acknowledging(conn), 256<<10)}
	fixed := make([]byte, 68)
	fixed[1] = 1 // protocol version
	copy(fixed[4:36], "                FLOOR           ")
	copy(fixed[4:20], called)
	proposal := func(id byte, abstract, syntax string) []byte {
		return wire.Item(wire.ItemContextRQ, []byte{id, 0, 0, 0},
			wire.Item(wire.ItemAbstractSyntax, []byte(abstract)),
			wire.Item(wire.ItemTransferSyntax, []byte(syntax)))
	}
	_, err = conn.Write(wire.PDU(wire.AssociateRQ, fixed,
		wire.Item(wire.ItemApplicationContext, []byte(wire.ApplicationContext)),
		proposal(getContext, wire.StudyRootGet, wire.ImplicitLittleEndian),
		proposal(storageContext, wire.CTImageStorage, wire.ExplicitLittleEndian),
		wire.Item(wire.ItemUser,
			wire.Item(wire.ItemMaxLength, []byte{0, 2, 0, 0}),
			wire.Item(wire.ItemImplementationUID, []byte(wire.ImplementationUID)),
			wire.RoleSelection(wire.CTImageStorage))))
	if err == nil {
		var kind byte
		var n int
		if kind, n, err = a.header(); err == nil && kind != wire.AssociateAC {
			err = errors.New("association not accepted")
		} else if err == nil {
			_, err = a.reader.Discard(n)
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return a, nil
}

// get retrieves a study and writes its data sets to w, one behind the other.
func (a *association) get(w io.Writer, study string) error {
	_, err := a.conn.Write(append(wire.PDV(getContext, wire.Command|wire.Last, wire.CommandSet(
		wire.CommandElement(0x0002, wire.Even(wire.StudyRootGet, 0)),
		wire.CommandElement(0x0100, wire.Uint16(wire.CGetRQ)),
		wire.CommandElement(0x0110, wire.Uint16(1)),
		wire.CommandElement(0x0700, wire.Uint16(0)),
		wire.CommandElement(0x0800, wire.Uint16(wire.HasDataSet)),
	)), wire.PDV(getContext, wire.Last, append(
		wire.Element(0x0008, 0x0052, "", []byte("STUDY ")),
		wire.Element(0x0020, 0x000d, "", wire.Even(study, 0))...))...))
	if err != nil {
		return err
	}
	for {
		kind, left, err := a.header()
		if err != nil {
			return err
		}
		if kind != wire.PDataTF {
			return errUnexpected
		}
		for left > 0 {
			n, done, err := a.pdv(w, left)
			if done || err != nil {
				return err
			}
			left -= n
		}
	}
}

// pdv handles a PDV of a PDU of which left bytes are left. It returns its length, and true for the final response.
func (a *association) pdv(w io.Writer, left int) (length int, done bool, err error) {
	const pdvHeader = 6
	header, err := a.reader.Peek(pdvHeader)
	if err != nil {
		return 0, false, err
	}
	n, control := int(binary.BigEndian.Uint32(header))-2, header[5]
	if length = pdvHeader + n; n < 0 || length > left {
		return 0, false, errUnexpected
	}
	_, _ = a.reader.Discard(pdvHeader)
	last := control&wire.Last != 0
	if control&wire.Command == 0 {
		if err = a.copy(w, n); err == nil && last {
			_, err = a.conn.Write(a.response)
		}
		return length, false, err
	}
	fragment := make([]byte, n)
	if _, err := io.ReadFull(a.reader, fragment); err != nil {
		return 0, false, err
	}
	if a.command = append(a.command, fragment...); !last {
		return length, false, nil
	}
	done, response, err := handle(a.command)
	if a.command = a.command[:0]; response != nil {
		a.response = response
	}
	return length, done, err
}

// handle returns the response to a C-STORE-RQ, or whether a C-GET-RSP is the final one. It fails if that is not success.
func handle(command []byte) (done bool, response []byte, err error) {
	value := func(element uint16) uint16 {
		if b := wire.Find(command, false, 0, element); len(b) == 2 {
			return binary.LittleEndian.Uint16(b)
		}
		return 0
	}
	switch field := value(0x0100); {
	case field == wire.CStoreRQ:
		return false, wire.PDV(storageContext, wire.Command|wire.Last, wire.CommandSet(
			wire.CommandElement(0x0002, wire.Even(wire.CTImageStorage, 0)),
			wire.CommandElement(0x0100, wire.Uint16(wire.CStoreRSP)),
			wire.CommandElement(0x0120, wire.Uint16(value(0x0110))),
			wire.CommandElement(0x0800, wire.Uint16(wire.NoDataSet)),
			wire.CommandElement(0x0900, wire.Uint16(wire.Success)),
			wire.CommandElement(0x1000, wire.Find(command, false, 0, 0x1000)),
		)), nil
	case field != wire.CGetRSP:
		return false, nil, errUnexpected
	case value(0x0900) == wire.Pending:
		return false, nil, nil
	case value(0x0900) == wire.Success:
		return true, nil, nil
	}
	return false, nil, errors.New("C-GET failed")
}

// header reads the header of a PDU and returns its type and the length of its body.
func (a *association) header() (kind byte, n int, err error) {
	header, err := a.reader.Peek(wire.HeaderLength)
	if err != nil {
		return 0, 0, err
	}
	kind, n = header[0], int(binary.BigEndian.Uint32(header[2:]))
	_, err = a.reader.Discard(wire.HeaderLength)
	return kind, n, err
}

// copy writes the next n bytes to w from where they were received.
func (a *association) copy(w io.Writer, n int) error {
	for n > 0 {
		if _, err := a.reader.Peek(1); err != nil {
			return err
		}
		part, _ := a.reader.Peek(min(n, a.reader.Buffered()))
		if _, err := w.Write(part); err != nil {
			return err
		}
		_, _ = a.reader.Discard(len(part))
		n -= len(part)
	}
	return nil
}

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync"

	"dicom-qr-gateway/test/load/wire"
)

const contextID = 1

// What is the same in all requests.
var (
	associateRQ = recordAssociateRQ()
	releaseRQ   = wire.PDU(wire.ReleaseRQ, make([]byte, 4))
	findCommand = wire.PDV(contextID, wire.Command|wire.Last, wire.CommandSet(
		wire.CommandElement(0x0002, wire.Even(wire.StudyRootFind, 0)),
		wire.CommandElement(0x0100, wire.Uint16(wire.CFindRQ)),
		wire.CommandElement(0x0110, wire.Uint16(1)),
		wire.CommandElement(0x0700, wire.Uint16(0)),
		wire.CommandElement(0x0800, wire.Uint16(wire.HasDataSet)),
	))
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}
)

func recordAssociateRQ() []byte {
	fixed := make([]byte, 68)
	fixed[1] = 1 // protocol version
	copy(fixed[4:], "PACS            FLOOR           ")
	return wire.PDU(wire.AssociateRQ, fixed,
		wire.Item(wire.ItemApplicationContext, []byte(wire.ApplicationContext)),
		wire.Item(wire.ItemContextRQ, []byte{contextID, 0, 0, 0},
			wire.Item(wire.ItemAbstractSyntax, []byte(wire.StudyRootFind)),
			wire.Item(wire.ItemTransferSyntax, []byte(wire.ImplicitLittleEndian))),
		wire.Item(wire.ItemUser,
			wire.Item(wire.ItemMaxLength, []byte{0, 0, 0x40, 0}),
			wire.Item(wire.ItemImplementationUID, []byte(wire.ImplementationUID))),
	)
}

// findRQ returns the C-FIND-RQ for a patient, command and identifier.
func findRQ(patientID string) []byte {
	return slices.Concat(findCommand, wire.PDV(contextID, wire.Last, slices.Concat(
		wire.Element(0x0008, 0x0020, "", nil),
		wire.Element(0x0008, 0x0030, "", nil),
		wire.Element(0x0008, 0x0050, "", nil),
		wire.Element(0x0008, 0x0052, "", []byte("STUDY ")),
		wire.Element(0x0010, 0x0020, "", wire.Even(patientID, ' ')),
		wire.Element(0x0020, 0x000d, "", nil),
	)))
}

// floor sends queries to the PACS. idle holds the associations that can be reused.
type floor struct {
	pacs  string
	reuse bool
	idle  chan *association
}

type association struct {
	net.Conn
	reader *bufio.Reader
}

// find runs a C-FIND.
func (f *floor) find(patientID string) error {
	a, err := f.associate()
	if err != nil {
		return err
	}
	if err := a.find(patientID); err != nil {
		a.end()
		return err
	}
	if f.reuse {
		select {
		case f.idle <- a:
			return nil
		default:
		}
	}
	go a.release()
	return nil
}

func (f *floor) associate() (*association, error) {
	select {
	case a := <-f.idle:
		return a, nil
	default:
	}
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", f.pacs) // a context that can be cancelled costs time
	if err != nil {
		return nil, err
	}
	a := &association{Conn: conn, reader: readers.Get().(*bufio.Reader)}
	a.reader.Reset(conn)
	if _, err = conn.Write(associateRQ); err == nil {
		var kind byte
		if kind, _, err = a.next(); err == nil && kind != wire.AssociateAC {
			err = errors.New("association not accepted")
		}
	}
	if err != nil {
		a.end()
		return nil, err
	}
	return a, nil
}

func (a *association) find(patientID string) error {
	if _, err := a.Write(findRQ(patientID)); err != nil {
		return err
	}
	for {
		kind, body, err := a.next()
		switch {
		case err != nil:
			return err
		case kind != wire.PDataTF || len(body) < 8:
			return errors.New("no P-DATA-TF")
		case final(body):
			return nil
		}
	}
}

// final reports whether a PDU is the final response of a C-FIND. The PACS here sends each command set in a PDU, with the status at
// its end.
func final(body []byte) bool {
	return body[5]&wire.Command != 0 && binary.LittleEndian.Uint16(body[len(body)-2:]) == wire.Success
}

// next returns the next PDU; its body is valid until the next call. All PDUs are smaller than the buffer.
func (a *association) next() (kind byte, body []byte, err error) {
	header, err := a.reader.Peek(wire.HeaderLength)
	if err != nil {
		return 0, nil, err
	}
	kind = header[0]
	n := wire.HeaderLength + int(binary.BigEndian.Uint32(header[2:]))
	whole, err := a.reader.Peek(n)
	if err != nil {
		return 0, nil, err
	}
	_, err = a.reader.Discard(n)
	return kind, whole[wire.HeaderLength:], err
}

// release ends the association after the answer.
func (a *association) release() {
	if _, err := a.Write(releaseRQ); err == nil {
		_, _, _ = a.next()
	}
	a.end()
}

func (a *association) end() {
	_ = a.Close()
	readers.Put(a.reader)
}

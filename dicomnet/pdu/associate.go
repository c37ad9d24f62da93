package pdu

import (
	"encoding/binary"
	"strings"
)

// ApplicationContext is the DICOM application context name (PS3.7 annex A).
const ApplicationContext = "1.2.840.10008.3.1.1.1"

// Item types of PS3.8 sections 9.3.2 and 9.3.3.
const (
	itemApplicationContext = 0x10
	itemPresentationRQ     = 0x20
	itemPresentationAC     = 0x21
	itemAbstractSyntax     = 0x30
	itemTransferSyntax     = 0x40
	itemUserInformation    = 0x50
)

// fixedFieldsLength is the length of the fields before the items of A-ASSOCIATE-RQ and -AC:
// version, two reserved bytes, two AE titles and 32 reserved bytes.
const fixedFieldsLength = 68

// AssociateRQ is the A-ASSOCIATE-RQ PDU (PS3.8 section 9.3.2).
type AssociateRQ struct {
	ProtocolVersion               uint16 // bit 0 is version 1; 0 is sent as 1
	CalledAETitle, CallingAETitle string // without padding
	ApplicationContext            string // empty is sent as ApplicationContext
	Contexts                      []ContextRQ
	User                          UserInformation
}

// ContextRQ is a proposed presentation context (PS3.8 section 9.3.2.2).
type ContextRQ struct {
	ID               byte // odd
	AbstractSyntax   string
	TransferSyntaxes []string
}

// AssociateAC is the A-ASSOCIATE-AC PDU (PS3.8 section 9.3.3).
type AssociateAC struct {
	ProtocolVersion               uint16
	CalledAETitle, CallingAETitle string // echo the request; not significant
	ApplicationContext            string
	Contexts                      []ContextAC
	User                          UserInformation
}

// ContextAC is the acceptor's result for a presentation context (PS3.8 section 9.3.3.2).
// TransferSyntaxes is significant only if Result is 0, and should then hold exactly one transfer
// syntax. Decode keeps all of those received with Result 0 and none with another Result.
type ContextAC struct {
	ID, Result       byte
	TransferSyntaxes []string
}

// Type returns TypeAssociateRQ.
func (*AssociateRQ) Type() Type { return TypeAssociateRQ }

// Type returns TypeAssociateAC.
func (*AssociateAC) Type() Type { return TypeAssociateAC }

// Append appends the encoded PDU to b. It truncates AE titles to 16 characters.
func (p *AssociateRQ) Append(b []byte) []byte {
	b, start := beginPDU(b, TypeAssociateRQ)
	b = appendFixedFields(b, p.ProtocolVersion, p.CalledAETitle, p.CallingAETitle, p.ApplicationContext)
	for _, pc := range p.Contexts {
		b = appendItem(b, itemPresentationRQ, func(b []byte) []byte {
			b = append(b, pc.ID, 0, 0, 0)
			b = appendString(b, itemAbstractSyntax, pc.AbstractSyntax)
			for _, ts := range pc.TransferSyntaxes {
				b = appendString(b, itemTransferSyntax, ts)
			}
			return b
		})
	}
	return endPDU(appendItem(b, itemUserInformation, p.User.append), start)
}

// Append appends the encoded PDU to b. It truncates AE titles to 16 characters.
func (p *AssociateAC) Append(b []byte) []byte {
	b, start := beginPDU(b, TypeAssociateAC)
	b = appendFixedFields(b, p.ProtocolVersion, p.CalledAETitle, p.CallingAETitle, p.ApplicationContext)
	for _, pc := range p.Contexts {
		b = appendItem(b, itemPresentationAC, func(b []byte) []byte {
			b = append(b, pc.ID, 0, pc.Result, 0)
			for _, ts := range pc.TransferSyntaxes {
				b = appendString(b, itemTransferSyntax, ts)
			}
			return b
		})
	}
	return endPDU(appendItem(b, itemUserInformation, p.User.append), start)
}

// appendFixedFields appends the fields before the items and the application context item.
func appendFixedFields(b []byte, version uint16, called, calling, application string) []byte {
	if version == 0 {
		version = 1
	}
	if application == "" {
		application = ApplicationContext
	}
	b = append(binary.BigEndian.AppendUint16(b, version), 0, 0)
	b = appendAETitle(appendAETitle(b, called), calling)
	b = append(b, make([]byte, 32)...)
	return appendString(b, itemApplicationContext, application)
}

// appendAETitle appends title, truncated or padded with spaces to 16 characters.
func appendAETitle(b []byte, title string) []byte {
	const spaces = "                "
	title = title[:min(len(title), len(spaces))]
	return append(append(b, title...), spaces[len(title):]...)
}

func decodeAssociateRQ(body []byte) (*AssociateRQ, error) {
	p := &AssociateRQ{}
	c := cursor{b: body, items: new(int)}
	p.ProtocolVersion, p.CalledAETitle, p.CallingAETitle = c.fixedFields()
	for kind, item, more := c.item(); more; kind, item, more = c.item() {
		switch kind {
		case itemApplicationContext:
			p.ApplicationContext = item.uid()
		case itemPresentationRQ:
			pc := ContextRQ{ID: item.byte("presentation context ID")}
			item.take(3, "presentation context item")
			pc.AbstractSyntax, pc.TransferSyntaxes = item.syntaxes()
			p.Contexts = append(p.Contexts, pc)
		case itemUserInformation:
			p.User.decode(&item)
		}
		c.copyErr(&item)
	}
	if c.err != nil {
		return nil, c.err
	}
	return p, nil
}

func decodeAssociateAC(body []byte) (*AssociateAC, error) {
	p := &AssociateAC{}
	c := cursor{b: body, items: new(int)}
	p.ProtocolVersion, p.CalledAETitle, p.CallingAETitle = c.fixedFields()
	for kind, item, more := c.item(); more; kind, item, more = c.item() {
		switch kind {
		case itemApplicationContext:
			p.ApplicationContext = item.uid()
		case itemPresentationAC:
			pc := ContextAC{ID: item.byte("presentation context ID")}
			item.take(1, "presentation context item")
			pc.Result = item.byte("presentation context result")
			item.take(1, "presentation context item")
			// Some peers omit the transfer syntax of a rejected context or send junk in it (Onis,
			// Siemens). It is not significant there.
			if pc.Result == 0 {
				_, pc.TransferSyntaxes = item.syntaxes()
			}
			p.Contexts = append(p.Contexts, pc)
		case itemUserInformation:
			p.User.decode(&item)
		}
		c.copyErr(&item)
	}
	if c.err != nil {
		return nil, c.err
	}
	return p, nil
}

// fixedFields reads the fields before the items.
func (c *cursor) fixedFields() (version uint16, called, calling string) {
	if len(c.b) < fixedFieldsLength {
		c.failf("A-ASSOCIATE body of %d bytes, want at least %d", len(c.b), fixedFieldsLength)
		return 0, "", ""
	}
	version = c.uint16("protocol version")
	c.take(2, "reserved")
	called = aeTitle(c.take(16, "called AE title"))
	calling = aeTitle(c.take(16, "calling AE title"))
	c.take(32, "reserved")
	return version, called, calling
}

// aeTitle removes the padding of an AE title. Some peers pad with NULs instead of spaces.
func aeTitle(b []byte) string { return strings.Trim(string(b), "\x00 ") }

// syntaxes reads the sub-items of a presentation context item.
func (c *cursor) syntaxes() (abstract string, transfer []string) {
	for kind, item, more := c.item(); more; kind, item, more = c.item() {
		switch kind {
		case itemAbstractSyntax:
			abstract = item.uid()
		case itemTransferSyntax:
			transfer = append(transfer, item.uid())
		}
	}
	return abstract, transfer
}

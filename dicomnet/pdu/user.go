package pdu

import "encoding/binary"

// Sub-item types of the user information item (PS3.7 annex D.3.3, PS3.8 annex D).
const (
	subMaximumLength         = 0x51
	subImplementationClass   = 0x52
	subAsynchronousWindow    = 0x53
	subRoleSelection         = 0x54
	subImplementationVersion = 0x55
	subExtendedNegotiation   = 0x56
	subUserIdentityRQ        = 0x58
	subUserIdentityAC        = 0x59
)

// UserInformation is the user information item (PS3.8 section 9.3.2.3).
type UserInformation struct {
	// MaxLength is the longest P-DATA-TF body the sender takes; 0 states no limit
	// (PS3.8 annex D.1). It is always sent.
	MaxLength uint32
	// ImplementationClassUID and ImplementationVersionName are as received: a peer
	// may have put any bytes there.
	ImplementationClassUID, ImplementationVersionName string
	// AsynchronousWindow is nil where absent, which means one operation each way.
	AsynchronousWindow *AsynchronousWindow
	Roles              []RoleSelection
	Extended           []ExtendedNegotiation
	// Identity is what the requestor says of its user; IdentityResponse what the
	// acceptor answers (nil: none). Neither may be logged.
	Identity         *UserIdentity
	IdentityResponse []byte
}

// AsynchronousWindow is PS3.7 section D.3.3.3; 0 means unlimited.
type AsynchronousWindow struct{ Invoked, Performed uint16 }

// RoleSelection is PS3.7 section D.3.3.4.
type RoleSelection struct {
	SOPClassUID string
	SCU, SCP    bool
}

// ExtendedNegotiation is PS3.7 section D.3.3.5; Info is as the service class
// defines it (for C-FIND and C-MOVE: PS3.4 section C.5.1.1).
type ExtendedNegotiation struct {
	SOPClassUID string
	Info        []byte
}

// UserIdentity is PS3.7 section D.3.3.7.
type UserIdentity struct {
	Kind                      byte // 1 user, 2 user and passcode, 3 Kerberos, 4 SAML, 5 JWT
	PositiveResponseRequested bool
	Primary, Secondary        []byte
}

func (u *UserInformation) append(b []byte) []byte {
	b = append(b, subMaximumLength, 0, 0, 4)
	b = binary.BigEndian.AppendUint32(b, u.MaxLength)
	if u.ImplementationClassUID != "" {
		b = appendString(b, subImplementationClass, u.ImplementationClassUID)
	}
	if w := u.AsynchronousWindow; w != nil {
		b = append(b, subAsynchronousWindow, 0, 0, 4)
		b = binary.BigEndian.AppendUint16(b, w.Invoked)
		b = binary.BigEndian.AppendUint16(b, w.Performed)
	}
	for _, r := range u.Roles {
		b = appendItem(b, subRoleSelection, func(b []byte) []byte {
			b = appendCounted(b, []byte(r.SOPClassUID))
			return append(b, bit(r.SCU), bit(r.SCP))
		})
	}
	if u.ImplementationVersionName != "" {
		b = appendString(b, subImplementationVersion, u.ImplementationVersionName)
	}
	for _, x := range u.Extended {
		b = appendItem(b, subExtendedNegotiation, func(b []byte) []byte {
			return append(appendCounted(b, []byte(x.SOPClassUID)), x.Info...)
		})
	}
	if id := u.Identity; id != nil {
		b = appendItem(b, subUserIdentityRQ, func(b []byte) []byte {
			b = append(b, id.Kind, bit(id.PositiveResponseRequested))
			return appendCounted(appendCounted(b, id.Primary), id.Secondary)
		})
	}
	if u.IdentityResponse != nil {
		b = appendItem(b, subUserIdentityAC, func(b []byte) []byte { return appendCounted(b, u.IdentityResponse) })
	}
	return b
}

// decode reads the sub-items. A sub-item that is too short for what it should
// hold makes the whole PDU invalid; one of unknown type is skipped.
func (u *UserInformation) decode(c *cursor) {
	for kind, item, more := c.item(); more; kind, item, more = c.item() {
		switch kind {
		case subMaximumLength:
			u.MaxLength = item.uint32("maximum length")
		case subImplementationClass:
			u.ImplementationClassUID = item.uid()
		case subAsynchronousWindow:
			u.AsynchronousWindow = &AsynchronousWindow{
				Invoked:   item.uint16("asynchronous operations window"),
				Performed: item.uint16("asynchronous operations window"),
			}
		case subRoleSelection:
			r := RoleSelection{SOPClassUID: item.countedUID("role selection")}
			r.SCU, r.SCP = item.byte("SCU role") != 0, item.byte("SCP role") != 0
			u.Roles = append(u.Roles, r)
		case subImplementationVersion:
			u.ImplementationVersionName = item.uid()
		case subExtendedNegotiation:
			x := ExtendedNegotiation{SOPClassUID: item.countedUID("extended negotiation")}
			x.Info = append(x.Info, item.b...)
			u.Extended = append(u.Extended, x)
		case subUserIdentityRQ:
			u.Identity = &UserIdentity{
				Kind:                      item.byte("user identity type"),
				PositiveResponseRequested: item.byte("positive response requested") != 0,
				Primary:                   item.counted("user identity"),
				Secondary:                 item.counted("user identity"),
			}
		case subUserIdentityAC:
			u.IdentityResponse = item.counted("user identity response")
		}
		c.inherit(&item)
	}
}

func (c *cursor) counted(what string) []byte {
	n := int(c.uint16(what))
	return append([]byte{}, c.take(n, what)...)
}

func (c *cursor) countedUID(what string) string {
	inner := cursor{b: c.take(int(c.uint16(what)), what)}
	return inner.uid()
}

func appendCounted(b, v []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
}

func bit(v bool) byte {
	if v {
		return 1
	}
	return 0
}

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
	// MaxLength is the longest P-DATA-TF body that the sender accepts; 0 means no limit (PS3.8
	// annex D.1). It is always sent.
	MaxLength uint32
	// ImplementationClassUID and ImplementationVersionName are as received: a peer may put any
	// bytes into them.
	ImplementationClassUID, ImplementationVersionName string
	// AsynchronousWindow is nil if absent, which means one operation in each direction.
	AsynchronousWindow *AsynchronousWindow
	Roles              []RoleSelection
	Extended           []ExtendedNegotiation
	// Identity is the requestor's user identity. IdentityResponse is the acceptor's response to it,
	// nil if there is none. Neither may be logged.
	Identity         *UserIdentity
	IdentityResponse []byte
}

// AsynchronousWindow is the asynchronous operations window (PS3.7 section D.3.3.3); 0 means
// unlimited.
type AsynchronousWindow struct{ Invoked, Performed uint16 }

// RoleSelection is the SCP/SCU role selection for a SOP class (PS3.7 section D.3.3.4).
type RoleSelection struct {
	SOPClassUID string
	SCU, SCP    bool
}

// ExtendedNegotiation is the SOP class extended negotiation (PS3.7 section D.3.3.5). The service
// class defines the content of Info (for C-FIND and C-MOVE: PS3.4 section C.5.1.1).
type ExtendedNegotiation struct {
	SOPClassUID string
	Info        []byte
}

// UserIdentity is the user identity of the requestor (PS3.7 section D.3.3.7).
type UserIdentity struct {
	Kind                      byte // 1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JWT
	PositiveResponseRequested bool
	Primary, Secondary        []byte
}

// append appends the sub-items.
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
			b = appendLengthPrefixed(b, []byte(r.SOPClassUID))
			return append(b, boolByte(r.SCU), boolByte(r.SCP))
		})
	}
	if u.ImplementationVersionName != "" {
		b = appendString(b, subImplementationVersion, u.ImplementationVersionName)
	}
	for _, x := range u.Extended {
		b = appendItem(b, subExtendedNegotiation, func(b []byte) []byte {
			return append(appendLengthPrefixed(b, []byte(x.SOPClassUID)), x.Info...)
		})
	}
	if id := u.Identity; id != nil {
		b = appendItem(b, subUserIdentityRQ, func(b []byte) []byte {
			b = append(b, id.Kind, boolByte(id.PositiveResponseRequested))
			return appendLengthPrefixed(appendLengthPrefixed(b, id.Primary), id.Secondary)
		})
	}
	if u.IdentityResponse != nil {
		b = appendItem(b, subUserIdentityAC, func(b []byte) []byte { return appendLengthPrefixed(b, u.IdentityResponse) })
	}
	return b
}

// decode reads the sub-items. A sub-item that is too short for its fields makes the whole PDU
// invalid; a sub-item of unknown type is skipped.
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
			r := RoleSelection{SOPClassUID: item.lengthPrefixedUID("role selection")}
			r.SCU, r.SCP = item.byte("SCU role") != 0, item.byte("SCP role") != 0
			u.Roles = append(u.Roles, r)
		case subImplementationVersion:
			u.ImplementationVersionName = item.uid()
		case subExtendedNegotiation:
			x := ExtendedNegotiation{SOPClassUID: item.lengthPrefixedUID("extended negotiation")}
			x.Info = append(x.Info, item.b...)
			u.Extended = append(u.Extended, x)
		case subUserIdentityRQ:
			u.Identity = &UserIdentity{
				Kind:                      item.byte("user identity type"),
				PositiveResponseRequested: item.byte("positive response requested") != 0,
				Primary:                   item.lengthPrefixed("user identity"),
				Secondary:                 item.lengthPrefixed("user identity"),
			}
		case subUserIdentityAC:
			u.IdentityResponse = item.lengthPrefixed("user identity response")
		}
		c.copyErr(&item)
	}
}

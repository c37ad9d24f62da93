package audit

import (
	"slices"
	"strconv"
)

// Sender is a peer that opens an association to the storage SCP.
type Sender struct {
	PACS                          string // its name in PACS_FILE; "" if it is not known
	Address                       string // IP address
	CalledAETitle, CallingAETitle string // as the peer sent them
}

// AssociationRejected records an association to the storage SCP that was rejected (PS3.15 section A.5.3.11). omitted is how many more
// were rejected or refused since the last record, without records of their own.
func (t *Trail) AssociationRejected(s *Sender, reason string, omitted int) error {
	return t.sender(s, NodeAuthentication, reason, omitted)
}

// InstanceRefused records that a peer sent an instance that the storage SCP refused, the first one of its association
// (section A.5.3.11).
func (t *Trail) InstanceRefused(s *Sender, reason string, omitted int) error {
	return t.sender(s, UseOfRestricted, reason, omitted)
}

func (t *Trail) sender(s *Sender, kind Code, reason string, omitted int) error {
	if t == nil {
		return nil
	}
	r := t.record("", SecurityAlert, Execute, Result{MinorFailure, reason})
	r.Event.TypeCodes = []Code{kind}
	r.Participants = []Participant{t.gateway(s.CalledAETitle, RoleDestination), {
		UserID: s.Address, AlternativeUserID: AETitles(s.CallingAETitle), UserName: s.PACS, Roles: []Code{RoleSource},
		AccessPointID: s.Address, AccessPointType: IPAddress,
	}}
	object := Object{
		ID: s.CalledAETitle, IDTypeCode: NodeID, TypeCode: SystemObject, TypeCodeRole: RoleSecurity, Name: "Storage SCP",
		Details: []Detail{{Type: AlertDescription, Value: []byte(reason)}},
	}
	if omitted > 0 {
		object.Details = append(object.Details, Detail{Type: OmittedAlerts, Value: strconv.AppendInt(nil, int64(omitted), 10)})
	}
	r.Objects = slices.Values([]Object{object})
	return t.log.Write(r)
}

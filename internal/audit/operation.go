package audit

import (
	"iter"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"dicom-qr-gateway/internal/principal"
)

// Operation holds what all records of one operation at a PACS have in common.
type Operation struct {
	Caller         principal.Principal
	PACS           Node
	CallingAETitle string
	PatientID      string // "" if the operation does not concern a patient
	Job            *Job   // nil: the operation belongs to a request
}

// Node is a PACS.
type Node struct {
	Name    string // in PACS_FILE; "" for an address that the caller brought
	Host    string // as the caller or PACS_FILE names it
	Port    int
	AETitle string
}

// Query is a C-FIND as it was sent. If nothing was sent, only SOPClassUID is set.
type Query struct {
	SOPClassUID    string
	TransferSyntax string
	Identifier     []byte // the bytes that were sent
}

// Study is a study in a record. A sequence of studies is as that of [Record]: what it yields must not change, and the Details are
// valid until the next study is asked for.
type Study struct {
	UID, Description, AccessionNumber, PatientName string
	Details                                        []Detail
}

// Result says how an event ended. Description is the code that the caller also got; "" if it says nothing more.
type Result struct {
	Outcome     Outcome
	Description string
}

// record returns a record with the elements that all records have.
func (t *Trail) record(correlationID string, id Code, action string, result Result) *Record {
	return &Record{
		Event: Event{
			ID: id, ActionCode: action, DateTime: time.Now().UTC().Round(time.Millisecond),
			OutcomeIndicator: result.Outcome, OutcomeDescription: result.Description,
		},
		Source:        Source{ID: t.host, TypeCodes: []Code{ApplicationServer}},
		CorrelationID: correlationID,
	}
}

// alert returns a Security Alert about a subject, of which ID and IDTypeCode are set, and other objects. Section A.5.3.11 requires
// that the caller is not the requestor.
func (t *Trail) alert(by principal.Principal, kind Code, subject Object, reason string, others ...Object) *Record {
	r := t.record(by.CorrelationID, SecurityAlert, Execute, Result{MinorFailure, reason})
	r.Event.TypeCodes = []Code{kind}
	who := caller(by)
	who.IsRequestor = false
	r.Participants = []Participant{t.self, who}
	subject.TypeCode, subject.TypeCodeRole = SystemObject, RoleSecurity
	subject.Details = []Detail{{Type: AlertDescription, Value: []byte(reason)}}
	r.Objects = slices.Values(append([]Object{subject}, others...))
	return r
}

func (t *Trail) queryParticipants(o *Operation) []Participant {
	return []Participant{t.gateway(o.CallingAETitle, RoleSource), o.PACS.participant(RoleDestination), caller(o.Caller)}
}

// transferParticipants returns the participants of sections A.5.3.3 and A.5.3.7: the sender, the receiver, and the others
// involved. Only the PACS knows the address of the destination. Without one, the receiver is the caller.
func (t *Trail) transferParticipants(o *Operation, destination string) []Participant {
	if destination == "" {
		receiver := caller(o.Caller)
		receiver.Roles = []Code{RoleDestination}
		return []Participant{o.PACS.participant(RoleSource), receiver, t.gateway(o.CallingAETitle, RoleApplication)}
	}
	return []Participant{
		o.PACS.participant(RoleSource),
		{UserID: destination, AlternativeUserID: AETitles(destination), Roles: []Code{RoleDestination}},
		t.gateway(o.CallingAETitle, RoleApplication),
		caller(o.Caller),
	}
}

// caller returns the participant that sent the request.
func caller(p principal.Principal) Participant {
	return Participant{
		UserID: p.Name(), AlternativeUserID: p.Credentials(), IsRequestor: true,
		AccessPointID: p.Address, AccessPointType: accessPointType(p.Address),
	}
}

// gateway returns this process under its AE title, in a role.
func (t *Trail) gateway(aeTitle string, role Code) Participant {
	p := t.self
	p.AlternativeUserID = AETitles(aeTitle)
	p.Roles = []Code{role}
	return p
}

// address returns host:port, or the name of a PACS that is not configured.
func (n *Node) address() string {
	if n.Host == "" {
		return n.Name
	}
	return net.JoinHostPort(n.Host, strconv.Itoa(n.Port))
}

func (n *Node) participant(role Code) Participant {
	return Participant{
		UserID: n.address(), AlternativeUserID: AETitles(n.AETitle), UserName: n.Name, Roles: []Code{role},
		AccessPointID: n.Host, AccessPointType: accessPointType(n.Host),
	}
}

func accessPointType(host string) AccessPointType {
	if host == "" {
		return ""
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return MachineName
	}
	return IPAddress
}

// patient returns the object of the patient, with the name in the first study.
func patient(id string, studies iter.Seq[Study]) Object {
	o := Object{ID: id, TypeCode: Person, TypeCodeRole: RolePatient, IDTypeCode: PatientNumber}
	if studies == nil {
		return o
	}
	for s := range studies {
		o.Name = s.PatientName
		break
	}
	return o
}

// queryObjects returns the query, the patient and the studies.
func queryObjects(q *Query, patientID string, studies iter.Seq[Study]) iter.Seq[Object] {
	query, person := q.object(), patient(patientID, studies)
	return func(yield func(Object) bool) {
		if yield(query) && yield(person) {
			yieldStudies(studies, yield)
		}
	}
}

// transferObjects returns the studies, and the patient if it is known.
func transferObjects(studies iter.Seq[Study], patientID string) iter.Seq[Object] {
	person := patient(patientID, studies)
	return func(yield func(Object) bool) {
		if yieldStudies(studies, yield) && patientID != "" {
			yield(person)
		}
	}
}

// yieldStudies yields one object for each study, and returns whether more are wanted.
func yieldStudies(studies iter.Seq[Study], yield func(Object) bool) bool {
	if studies == nil {
		return true
	}
	var (
		accession   [1]Accession // of the current study
		description = Description{Accessions: accession[:]}
	)
	for s := range studies {
		o := Object{
			ID: s.UID, TypeCode: SystemObject, TypeCodeRole: RoleReport, IDTypeCode: StudyInstanceUID,
			Name: s.Description, Details: s.Details,
		}
		if o.Name == "" {
			o.Name = "Study" // the schema requires a name or a query
		}
		if s.AccessionNumber != "" {
			accession[0].Number = s.AccessionNumber
			o.Description = &description
		}
		if !yield(o) {
			return false
		}
	}
	return true
}

// object returns the SOP class that was queried, with the query (section A.5.3.10). If nothing was sent there is no query, and
// the object has the name that the schema then requires.
func (q *Query) object() Object {
	o := Object{ID: q.SOPClassUID, TypeCode: SystemObject, TypeCodeRole: RoleReport, IDTypeCode: SOPClassUID}
	if len(q.Identifier) == 0 {
		o.Name = "C-FIND"
		return o
	}
	o.Query = q.Identifier
	o.Details = []Detail{{Type: TransferSyntax, Value: []byte(q.TransferSyntax)}}
	return o
}

package audit

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxPart limits one write to the sink. Most records are far shorter.
	maxPart = 64 << 10
	// typicalLength is the length of a record beyond which a buffer for a whole part is allocated at once.
	typicalLength = 16 << 10
)

// encoder writes a record as one line of JSON, with the bytes of encoding/json without escaped HTML, whose tags the types have.
type encoder struct {
	b []byte // not passed on yet; at most maxPart bytes
	// pass takes the bytes that are in the way of more, and at the end the rest. Its error ends the encoding.
	pass func(part []byte) error
	err  error
}

// line writes r and a line break.
func (e *encoder) line(r *Record) {
	e.text(`{"EventIdentification":`)
	e.event(&r.Event)
	e.text(`,"ActiveParticipant":`)
	array(e, r.Participants, (*encoder).participant)
	e.text(`,"AuditSourceIdentification":`)
	e.member(`{"AuditSourceID":`, r.Source.ID)
	e.text(`,"AuditSourceTypeCode":`)
	array(e, r.Source.TypeCodes, (*encoder).code)
	e.text("}")
	if r.Objects != nil {
		e.objects(r)
	}
	e.optional(`,"correlation_id":`, r.CorrelationID)
	e.text("}\n")
}

func (e *encoder) objects(r *Record) {
	before := `,"ParticipantObjectIdentification":[`
	for o := range r.Objects {
		e.text(before)
		before = ","
		e.object(&o)
		if e.err != nil {
			return
		}
	}
	if before == "," {
		e.text("]")
	}
}

func (e *encoder) event(v *Event) {
	e.text(`{"EventID":`)
	e.code(&v.ID)
	e.member(`,"EventActionCode":`, v.ActionCode)
	e.text(`,"EventDateTime":"`)
	var text [len(time.RFC3339Nano)]byte
	e.bytes(v.DateTime.AppendFormat(text[:0], time.RFC3339Nano))
	e.member(`","EventOutcomeIndicator":`, string(v.OutcomeIndicator))
	if len(v.TypeCodes) > 0 {
		e.text(`,"EventTypeCode":`)
		array(e, v.TypeCodes, (*encoder).code)
	}
	e.optional(`,"EventOutcomeDescription":`, v.OutcomeDescription)
	e.text("}")
}

func (e *encoder) code(v *Code) {
	e.member(`{"csd-code":`, v.Code)
	e.optional(`,"codeSystemName":`, v.System)
	e.optional(`,"originalText":`, v.OriginalText)
	e.text("}")
}

func (e *encoder) participant(v *Participant) {
	e.member(`{"UserID":`, v.UserID)
	e.optional(`,"AlternativeUserID":`, v.AlternativeUserID)
	e.optional(`,"UserName":`, v.UserName)
	if v.IsRequestor {
		e.text(`,"UserIsRequestor":true`)
	} else {
		e.text(`,"UserIsRequestor":false`)
	}
	if len(v.Roles) > 0 {
		e.text(`,"RoleIDCode":`)
		array(e, v.Roles, (*encoder).code)
	}
	e.optional(`,"NetworkAccessPointID":`, v.AccessPointID)
	e.optional(`,"NetworkAccessPointTypeCode":`, string(v.AccessPointType))
	e.text("}")
}

func (e *encoder) object(v *Object) {
	e.member(`{"ParticipantObjectID":`, v.ID)
	e.member(`,"ParticipantObjectTypeCode":`, v.TypeCode)
	e.member(`,"ParticipantObjectTypeCodeRole":`, v.TypeCodeRole)
	e.text(`,"ParticipantObjectIDTypeCode":`)
	e.code(&v.IDTypeCode)
	e.optional(`,"ParticipantObjectName":`, v.Name)
	if len(v.Query) > 0 {
		e.text(`,"ParticipantObjectQuery":`)
		e.base64(v.Query)
	}
	if len(v.Details) > 0 {
		e.text(`,"ParticipantObjectDetail":`)
		array(e, v.Details, (*encoder).detail)
	}
	if v.Description != nil {
		e.text(`,"ParticipantObjectDescription":{`)
		if len(v.Description.Accessions) > 0 {
			e.text(`"Accession":`)
			array(e, v.Description.Accessions, (*encoder).accession)
		}
		e.text("}")
	}
	e.text("}")
}

func (e *encoder) detail(v *Detail) {
	e.member(`{"type":`, v.Type)
	e.text(`,"value":`)
	e.base64(v.Value)
	e.text("}")
}

func (e *encoder) accession(v *Accession) {
	e.member(`{"Number":`, v.Number)
	e.text("}")
}

// array writes values; null for nil.
func array[T any](e *encoder, values []T, element func(*encoder, *T)) {
	if values == nil {
		e.text("null")
		return
	}
	e.text("[")
	for i := range values {
		if i > 0 {
			e.text(",")
		}
		element(e, &values[i])
	}
	e.text("]")
}

// optional writes a member, unless value is empty. name includes what precedes the value.
func (e *encoder) optional(name, value string) {
	if value != "" {
		e.member(name, value)
	}
}

func (e *encoder) member(name, value string) {
	e.text(name)
	e.string(value)
}

// string writes s in quotes.
func (e *encoder) string(s string) {
	e.text(`"`)
	start := 0
	for i := 0; i < len(s); {
		if verbatim[s[i]] {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if escape := escapeOf(r, size); escape != "" {
			e.text(s[start:i])
			e.text(escape)
			start = i + size
		}
		i += size
	}
	e.text(s[start:])
	e.text(`"`)
}

// verbatim marks the bytes that need no escape whatever is next to them.
var verbatim = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = !strings.ContainsRune(`"\`, c)
	}
	return table
}()

// controls holds the escapes of the control characters.
var controls = func() (table [' ']string) {
	const digits = "0123456789abcdef"
	for c := range table {
		table[c] = `\u00` + digits[c>>4:c>>4+1] + digits[c&15:c&15+1]
	}
	table['\b'], table['\f'], table['\n'], table['\r'], table['\t'] = `\b`, `\f`, `\n`, `\r`, `\t`
	return table
}()

// escapeOf returns the escape of a character that takes size bytes; "" if it needs none.
func escapeOf(r rune, size int) string {
	switch {
	case r < ' ':
		return controls[r]
	case r == '"':
		return `\"`
	case r == '\\':
		return `\\`
	case r == '\u2028':
		return `\u2028`
	case r == '\u2029':
		return `\u2029`
	case r == utf8.RuneError && size == 1:
		return `\ufffd`
	}
	return ""
}

// base64 writes b in quotes; null for nil.
func (e *encoder) base64(b []byte) {
	if b == nil {
		e.text("null")
		return
	}
	const step = 192 // a multiple of three, so that only the last piece is padded
	var piece [step / 3 * 4]byte
	e.text(`"`)
	for len(b) > 0 {
		n := min(step, len(b))
		e.bytes(base64.StdEncoding.AppendEncode(piece[:0], b[:n]))
		b = b[n:]
	}
	e.text(`"`)
}

// text writes s as it is.
func (e *encoder) text(s string) {
	for len(s) > maxPart-len(e.b) {
		n := maxPart - len(e.b)
		e.b = append(e.b, s[:n]...)
		s = s[n:]
		e.flush()
	}
	if n := len(e.b) + len(s); n > cap(e.b) && n > typicalLength {
		e.b = slices.Grow(e.b, maxPart-len(e.b))
	}
	e.b = append(e.b, s...)
}

// bytes is text for a few bytes.
func (e *encoder) bytes(b []byte) {
	if len(b) > maxPart-len(e.b) {
		e.text(string(b))
		return
	}
	e.b = append(e.b, b...)
}

// flush passes on what is written. After an error it drops it.
func (e *encoder) flush() {
	if e.err == nil && len(e.b) > 0 {
		e.err = e.pass(e.b)
	}
	e.b = e.b[:0]
}

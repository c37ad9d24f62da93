package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"dicom-qr-gateway/gen/api"
)

var byteOrderMark = []byte("\ufeff")

// maxDepth is far deeper than any request of the contract.
const maxDepth = 16

// parseJSON reads exactly one JSON value in UTF-8 into maps, slices, strings, booleans and numbers. A number is a json.Number,
// without a fraction or an exponent if it is an integer in double precision (RFC 8259 section 6). A duplicate name is a fault, because JSON does not define which of the
// values counts.
//
// It ignores a byte order mark, which editors and scripts on Windows write (RFC 8259 section 8.1 lets a parser do so).
func parseJSON(body []byte) (any, []api.Fault) {
	value, faults, _ := parseLimited(body, limits{})
	return value, faults
}

// limits bound what a body becomes in memory. Zero: no limit beside the length of the body.
type limits struct {
	items   int // of an array
	members int // of an object
	values  int // of the whole body
	faults  int // that are kept
}

// parseLimited is parseJSON for a body that may be long. more is the number of faults that were not kept.
func parseLimited(body []byte, l limits) (value any, faults []api.Fault, more int) {
	if !utf8.Valid(body) {
		return nil, []api.Fault{{Detail: "is not valid UTF-8"}}, 0
	}
	sent := len(body)
	body = bytes.TrimPrefix(body, byteOrderMark)
	if !json.Valid(body) {
		if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, new(any))); ok {
			return nil, []api.Fault{{Detail: fmt.Sprintf("is not one valid JSON value: fault at byte %d", syntax.Offset+int64(sent-len(body)))}}, 0
		}
		return nil, []api.Fault{{Detail: "is not one valid JSON value"}}, 0
	}
	p := jsonParser{rest: string(body), limits: l}
	value, err := p.value(0)
	if err != nil {
		over, _ := errors.AsType[*limitError](err)
		return nil, []api.Fault{api.Fault(*over)}, 0
	}
	return value, p.faults, p.more
}

// limitError is the fault of a body that exceeds a limit.
type limitError api.Fault

func (e *limitError) Error() string { return e.Detail }

// jsonParser parses valid JSON; it does not check the syntax. Strings without escapes are parts of the body.
type jsonParser struct {
	rest   string
	limits limits
	path   []step // to the value that is being parsed
	values int
	faults []api.Fault
	more   int // faults that are not kept
}

// step leads from an object or an array to one of its values.
type step struct {
	name  string // of a member; "" with index
	index int    // of an item; -1: a member
}

// pointer returns where the value that is being parsed is (RFC 6901).
func (p *jsonParser) pointer() string {
	var b strings.Builder
	for _, s := range p.path {
		b.WriteByte('/')
		if s.index < 0 {
			b.WriteString(escapePointer(s.name))
		} else {
			b.WriteString(strconv.Itoa(s.index))
		}
	}
	return b.String()
}

func (p *jsonParser) fault(f api.Fault) {
	if p.limits.faults > 0 && len(p.faults) == p.limits.faults {
		p.more++
		return
	}
	p.faults = append(p.faults, f)
}

// peek returns the next byte that is not white space.
func (p *jsonParser) peek() byte {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	return p.rest[0]
}

// skip consumes the next byte if it is c.
func (p *jsonParser) skip(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *jsonParser) value(depth int) (any, error) {
	if p.values++; p.limits.values > 0 && p.values > p.limits.values {
		return nil, &limitError{Detail: fmt.Sprintf("has more than %d values", p.limits.values)}
	}
	switch c := p.peek(); c {
	case '"':
		return p.string(), nil
	case '{', '[':
		if depth == maxDepth {
			return nil, &limitError{Detail: "is nested too deeply"}
		}
		p.rest = p.rest[1:]
		if c == '{' {
			return p.object(depth + 1)
		}
		return p.array(depth + 1)
	}
	switch word := p.word(); word {
	case "null":
		return nil, nil //nolint:nilnil // null is a value
	case "true", "false":
		return word == "true", nil
	default:
		return integral(json.Number(word)), nil
	}
}

// word consumes a literal or a number.
func (p *jsonParser) word() string {
	n := strings.IndexAny(p.rest, " \t\r\n,]}")
	if n < 0 {
		n = len(p.rest)
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word
}

func (p *jsonParser) string() string {
	n := 1
	for ; p.rest[n] != '"'; n++ {
		if p.rest[n] == '\\' {
			n++
		}
	}
	quoted := p.rest[:n+1]
	p.rest = p.rest[n+1:]
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1:n]
	}
	var s string
	_ = json.Unmarshal([]byte(quoted), &s) // s is a valid JSON string
	return s
}

func (p *jsonParser) object(depth int) (map[string]any, error) {
	members := map[string]any{}
	for !p.skip('}') {
		p.skip(',')
		p.peek()
		name := p.string()
		p.skip(':')
		if p.limits.members > 0 && len(members) == p.limits.members {
			return nil, &limitError{Pointer: p.pointer(), Detail: fmt.Sprintf("has more than %d fields", p.limits.members)}
		}
		p.path = append(p.path, step{name, -1})
		if _, twice := members[name]; twice {
			p.fault(api.Fault{Pointer: p.pointer(), Detail: "is given more than once"})
		}
		var err error
		if members[name], err = p.value(depth); err != nil {
			return nil, err
		}
		p.path = p.path[:len(p.path)-1]
	}
	return members, nil
}

func (p *jsonParser) array(depth int) ([]any, error) {
	items := []any{}
	for !p.skip(']') {
		if p.limits.items > 0 && len(items) == p.limits.items {
			return nil, &limitError{Pointer: p.pointer(), Detail: fmt.Sprintf("must be an array of at most %d items", p.limits.items)}
		}
		p.skip(',')
		p.path = append(p.path, step{"", len(items)})
		item, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		p.path = p.path[:len(p.path)-1]
		items = append(items, item)
	}
	return items, nil
}

// integral rewrites an integer such as 104.0 or 1e3, which JSON Schema accepts, as Go's decoders accept it.
func integral(n json.Number) json.Number {
	if !strings.ContainsAny(string(n), ".eE") {
		return n
	}
	f, err := n.Float64()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return n
	}
	return json.Number(strconv.FormatInt(int64(f), 10))
}

const maxPointerName = 64

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// escapePointer returns the reference token (RFC 6901) for the name of a member. Longer names than maxPointerName are truncated.
func escapePointer(name string) string {
	if utf8.RuneCountInString(name) > maxPointerName {
		name = string([]rune(name)[:maxPointerName]) + "…"
	}
	return pointerEscaper.Replace(name)
}

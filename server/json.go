package server

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

// maxDepth is far more than any request of the contract has.
const maxDepth = 16

// parseJSON reads exactly one JSON value in UTF-8 into maps, slices, strings,
// booleans and numbers, the latter as json.Number without a fraction or exponent
// where they are integers. Names that are given twice are faults: which of the
// values counts is anyone's guess.
func parseJSON(body []byte) (any, []api.Fault) {
	if !utf8.Valid(body) {
		return nil, []api.Fault{{Detail: "is not valid UTF-8"}}
	}
	// The decoder below takes one token after the other and leaves what follows the
	// value; this looks at the whole.
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, []api.Fault{{Detail: fmt.Sprintf("is not one valid JSON value: fault at byte %d", syntax.Offset)}}
		}
		return nil, []api.Fault{{Detail: "is not one valid JSON value"}}
	}
	p := jsonParser{decoder: json.NewDecoder(bytes.NewReader(body))}
	p.decoder.UseNumber()
	value, err := p.value("", 0)
	if err != nil {
		return nil, []api.Fault{{Detail: "is nested too deeply"}}
	}
	return value, p.faults
}

var errTooDeep = errors.New("nested too deeply")

type jsonParser struct {
	decoder *json.Decoder
	faults  []api.Fault
}

func (p *jsonParser) value(pointer string, depth int) (any, error) {
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Number:
		return integral(token), nil
	case json.Delim:
		if depth == maxDepth {
			return nil, errTooDeep
		}
		if token == '{' {
			return p.object(pointer, depth+1)
		}
		return p.array(pointer, depth+1)
	}
	return token, nil
}

func (p *jsonParser) object(pointer string, depth int) (map[string]any, error) {
	members := map[string]any{}
	for p.decoder.More() {
		token, err := p.decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		at := pointer + "/" + escapePointer(name)
		if _, twice := members[name]; twice {
			p.faults = append(p.faults, api.Fault{Pointer: at, Detail: "is given more than once"})
		}
		if members[name], err = p.value(at, depth); err != nil {
			return nil, err
		}
	}
	_, err := p.decoder.Token()
	return members, err
}

func (p *jsonParser) array(pointer string, depth int) ([]any, error) {
	items := []any{}
	for p.decoder.More() {
		item, err := p.value(pointer+"/"+strconv.Itoa(len(items)), depth)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := p.decoder.Token()
	return items, err
}

// integral writes an integer such as 104.0 or 1e3, which is one by JSON Schema,
// in the only way that Go takes for one.
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

// escapePointer makes a reference token (RFC 6901) of a member's name. A name
// that nobody would write is cut short.
func escapePointer(name string) string {
	if utf8.RuneCountInString(name) > maxPointerName {
		name = string([]rune(name)[:maxPointerName]) + "…"
	}
	return pointerEscaper.Replace(name)
}

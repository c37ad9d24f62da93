package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// pacsFault is what is wrong in a line of PACS_FILE.
type pacsFault struct {
	line   int
	reason string
}

// maxPACSFaults is how many faults of one file are reported.
const maxPACSFaults = 100

// pacsFaults collects the faults of one file. They repeat names of fields, but no value.
type pacsFaults struct{ all []pacsFault }

func (f *pacsFaults) add(line int, reason string) {
	f.all = append(f.all, pacsFault{max(line, 1), reason})
}

// lines returns the faults as path:line: reason, in the order of the lines.
func (f *pacsFaults) lines(path string) []string {
	slices.SortStableFunc(f.all, func(a, b pacsFault) int { return a.line - b.line })
	var lines []string
	for i, fault := range f.all {
		if i == maxPACSFaults {
			return append(lines, fmt.Sprintf("%s: %d more faults", path, len(f.all)-maxPACSFaults))
		}
		lines = append(lines, fmt.Sprintf("%s:%d: %s", path, fault.line, fault.reason))
	}
	return lines
}

const (
	// maxPACSFile is far more than a file of maxPACS entries.
	maxPACSFile  = 1 << 20
	maxPACSDepth = 32
)

// parseYAML returns the root of the only document. A fault of the syntax is added to faults, and the root is nil then.
func parseYAML(contents []byte, faults *pacsFaults) *yaml.Node {
	if len(contents) > maxPACSFile {
		faults.add(1, "the file is larger than 1 MiB")
		return nil
	}
	// The parser recurses; its own limit of 10,000 levels takes much memory.
	if line := tooDeep(contents); line > 0 {
		faults.add(line, "is nested too deeply")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(contents))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		faults.add(1, "the file is empty")
		return nil
	case err != nil:
		faults.add(syntaxFault(err))
		return nil
	}
	var further yaml.Node
	switch err := decoder.Decode(&further); {
	case errors.Is(err, io.EOF):
	case err != nil:
		faults.add(syntaxFault(err))
		return nil
	default:
		faults.add(further.Line, "is a second YAML document, want one")
		return nil
	}
	return document.Content[0]
}

// tooDeep returns the first line with more brackets, or with more indentation, than any valid file has; 0 if there is none.
func tooDeep(contents []byte) int {
	const deep = 1000
	line, open, indent := 1, 0, 0
	leading := true
	for _, c := range contents {
		switch c {
		case '\n':
			line, indent, leading = line+1, 0, true
			continue
		case '[', '{':
			open++
		case ']', '}':
			open = max(open-1, 0)
		case ' ', '-', '?', '\t':
			if leading {
				indent++
			}
		default:
			leading = false
		}
		if open > deep || indent > deep {
			return line
		}
	}
	return 0
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// syntaxFault returns the line and the reason of an error of the YAML parser.
func syntaxFault(err error) (line int, reason string) {
	reason = strings.TrimPrefix(err.Error(), "yaml: ")
	if found := yamlLine.FindStringSubmatch(reason); found != nil {
		line, _ = strconv.Atoi(found[1])
		reason = reason[len(found[0]):]
	}
	return line, "is not valid YAML: " + reason
}

// yamlValue is a value of the file with its name, such as main.timeouts.move, and the line of that name.
type yamlValue struct {
	node   *yaml.Node
	line   int // zero: that of the node
	name   string
	faults *pacsFaults
	depth  int
}

// fail adds a fault of the value.
func (v yamlValue) fail(reason string) {
	if v.name != "" {
		reason = v.name + ": " + reason
	}
	v.faults.add(cmp.Or(v.line, v.node.Line), reason)
}

// member returns a value inside v.
func (v yamlValue) member(at, node *yaml.Node, name string) yamlValue {
	if v.name != "" {
		name = v.name + "." + name
	}
	return yamlValue{node: node, line: at.Line, name: name, faults: v.faults, depth: v.depth + 1}
}

// usable reports whether the value is of the kind, and not an alias.
func (v yamlValue) usable(kind yaml.Kind, want string) bool {
	switch {
	case v.node.Kind == yaml.AliasNode || v.node.Anchor != "":
		v.fail("anchors and aliases are not supported")
	case v.depth > maxPACSDepth:
		v.fail("is nested too deeply")
	case v.node.Kind != kind:
		v.fail(want)
	default:
		return true
	}
	return false
}

// each calls f for each member of a mapping, in the order of the file, and reports names that are given more than once.
func (v yamlValue) each(want string, f func(key string, at *yaml.Node, member yamlValue)) bool {
	if !v.usable(yaml.MappingNode, want) {
		return false
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		at, value := v.node.Content[i], v.node.Content[i+1]
		key := v.member(at, at, "")
		key.name = v.name
		if !key.usable(yaml.ScalarNode, "want names as the keys of this mapping") {
			continue
		}
		if line, twice := lines[at.Value]; twice {
			key.fail(fmt.Sprintf("%s is given more than once, first in line %d", printableName(at.Value), line))
			continue
		}
		lines[at.Value] = at.Line
		f(at.Value, at, v.member(at, value, printableName(at.Value)))
	}
	return true
}

// fields calls the function of each field that a mapping has, and reports other members.
func (v yamlValue) fields(known map[string]func(yamlValue), required ...string) {
	given := map[string]bool{}
	ok := v.each("want a mapping", func(key string, at *yaml.Node, member yamlValue) {
		read := known[key]
		if read == nil {
			reason := "is not a field"
			if meant := nearestField(key, known); meant != "" {
				reason += ", did you mean " + meant + "?"
			}
			member.node = at
			member.fail(reason)
			return
		}
		given[key] = true
		read(member)
	})
	for _, name := range required {
		if ok && !given[name] {
			v.fail(name + " is required")
		}
	}
}

func nearestField(key string, known map[string]func(yamlValue)) string {
	best, least := "", len(key)/3+1
	for name := range known {
		if d := edits(strings.ToUpper(key), strings.ToUpper(name)); d < least || d == least && best != "" && name < best {
			best, least = name, d
		}
	}
	return best
}

// printableName returns a name of the file as it can be logged.
func printableName(name string) string {
	const longest = 64
	if r := []rune(name); len(r) > longest {
		name = string(r[:longest]) + "…"
	}
	if strconv.CanBackquote(name) && name != "" && !strings.ContainsAny(name, " .:\t") {
		return name
	}
	return strconv.Quote(name)
}

// scalar returns the text of a value of one of the YAML types. hint is added for a number or a boolean that should be text.
func (v yamlValue) scalar(want string, types ...string) (string, bool) {
	if !v.usable(yaml.ScalarNode, want) {
		return "", false
	}
	if !slices.Contains(types, v.node.ShortTag()) {
		v.fail(want)
		return "", false
	}
	return v.node.Value, true
}

// text returns a text for which valid holds.
func (v yamlValue) text(want string, valid func(string) bool) string {
	if v.node.Kind == yaml.ScalarNode && slices.Contains([]string{"!!int", "!!float", "!!bool", "!!timestamp"}, v.node.ShortTag()) {
		want += ", in quotes if it looks like a number, a date or a boolean"
	}
	s, ok := v.scalar(want, "!!str")
	if ok && !valid(s) {
		v.fail(want)
		return ""
	}
	return s
}

// boolean returns true or false.
func (v yamlValue) boolean() bool {
	const want = "want true or false"
	var b bool
	if _, ok := v.scalar(want, "!!bool"); ok && v.node.Decode(&b) != nil {
		v.fail(want)
	}
	return b
}

// integer returns a number from least to most.
func (v yamlValue) integer(least, most int) int {
	want := fmt.Sprintf("want an integer from %d to %d", least, most)
	if _, ok := v.scalar(want, "!!int"); !ok {
		return 0
	}
	var n int
	if err := v.node.Decode(&n); err != nil || n < least || n > most {
		v.fail(want)
		return 0
	}
	return n
}

// seconds returns a duration, as the settings have it.
func (v yamlValue) seconds(positive bool) time.Duration {
	want := fmt.Sprintf("want seconds, 0 to %d, or a duration such as 500ms or 1m30s", maxSeconds)
	if positive {
		want = fmt.Sprintf("want more than 0 seconds, up to %d, or a duration such as 500ms or 1m30s", maxSeconds)
	}
	text, ok := v.scalar(want, "!!int", "!!float", "!!str")
	if !ok {
		return 0
	}
	var s Seconds
	if err := s.UnmarshalText([]byte(text)); err != nil || positive && s <= 0 {
		v.fail(want)
		return 0
	}
	return s.Duration()
}

// choice returns one of the words.
func (v yamlValue) choice(words ...string) string {
	return v.text("want "+strings.Join(words[:len(words)-1], ", ")+" or "+words[len(words)-1],
		func(s string) bool { return slices.Contains(words, s) })
}

// list returns the texts of a sequence, from 1 to most, without duplicates.
func (v yamlValue) list(most int, want string, valid func(string) bool) []string {
	if !v.usable(yaml.SequenceNode, fmt.Sprintf("want a list of 1 to %d", most)) {
		return nil
	}
	if n := len(v.node.Content); n < 1 || n > most {
		v.fail(fmt.Sprintf("want a list of 1 to %d", most))
		return nil
	}
	var all []string
	for _, node := range v.node.Content {
		item := yamlValue{node: node, name: v.name, faults: v.faults, depth: v.depth + 1}
		before := len(v.faults.all)
		text := item.text(want, valid)
		switch {
		case len(v.faults.all) > before:
		case slices.Contains(all, text):
			item.fail("is in the list more than once")
		default:
			all = append(all, text)
		}
	}
	return all
}

// textWithout returns a mapping as YAML text in the block style, without one of its members.
func (v yamlValue) textWithout(name string) string {
	if v.node.Kind != yaml.MappingNode {
		return ""
	}
	mapping := yaml.Node{Kind: yaml.MappingNode, Tag: v.node.Tag}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if v.node.Content[i].Value != name {
			mapping.Content = append(mapping.Content, v.node.Content[i], v.node.Content[i+1])
		}
	}
	var b strings.Builder
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(&mapping), encoder.Close()); err != nil {
		return ""
	}
	return b.String()
}

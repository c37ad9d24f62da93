package config

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// reportMisspelled reports each variable that is set and whose name is near that of a setting: without it, a typo in
// PACS_ALLOWLIST would open the gateway silently.
func reportMisspelled(variables map[string]string, report func(name, reason string)) {
	settings := Settings()
	known := map[string]bool{}
	for _, setting := range settings {
		known[setting.Name] = true
	}
	for name, value := range variables {
		if value == "" || known[name] || setByOthers.MatchString(name) {
			continue
		}
		best, distance := "", 0
		for _, setting := range settings {
			// At equal distance the first name wins: the order of the settings is fixed.
			if d, near := distanceOf(name, setting.Name); near && (best == "" || d < distance) {
				best, distance = setting.Name, d
			}
		}
		if best != "" {
			if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) {
				name = strconv.Quote(name)
			}
			report(name, "no such setting, did you mean "+best+"?")
		}
	}
}

// setByOthers matches names that are never misspelled settings: variables of OpenTelemetry, of Go and of OpenSSL, and those that
// Kubernetes and links of Docker add for services of any name, such as AUDIT_LOG_PORT_80_TCP_ADDR.
var setByOthers = regexp.MustCompile(`^(OTEL_|KUBERNETES_|SSL_|GO[A-Z])|_SERVICE_(HOST|PORT(_.+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?$`)

// minNear is the length without separators from which a setting is compared with other names. TZ is shorter.
const minNear = 6

// distanceOf returns how far a name is from that of a setting, and whether it is near. It is near if
//
//   - without separators, and in capitals, it is the same or differs by one edit: a letter wrong, missing, added or exchanged
//     with its neighbour (two edits from 15 letters on),
//   - it has as many words, and each is equal or similar to its counterpart,
//   - it is the setting with a word about the kind of its value at the end, or a setting of four words without FILE.
func distanceOf(name, setting string) (distance int, near bool) {
	words, wanted := wordsOf(name), wordsOf(setting)
	joined, target := strings.Join(words, ""), strings.Join(wanted, "")
	if len(target) < minNear || len(joined) > 2*len(target) {
		return 0, false
	}
	distance = edits(joined, target)
	const long = 15
	if distance <= 1 || distance == 2 && len(target) >= long {
		return distance, true
	}
	if word, longer := strings.CutPrefix(joined, target); longer && valueWords[word] {
		return distance, true
	}
	if len(wanted) > 3 && joined+"FILE" == target {
		return distance, true
	}
	return distance, similarWords(words, wanted)
}

// valueWords are what people add to a name: the unit of a duration, or that the value is a path.
var valueWords = map[string]bool{
	"S": true, "SEC": true, "SECS": true, "SECOND": true, "SECONDS": true, "MS": true, "FILE": true, "PATH": true,
}

func wordsOf(name string) []string {
	return strings.FieldsFunc(strings.ToUpper(name), func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') })
}

// similarWords reports whether each word is equal or similar to its counterpart. Two words that are similar by more than a
// letter make another name: TRUST_PROXY belongs to other programs.
func similarWords(words, wanted []string) bool {
	if len(words) != len(wanted) {
		return false
	}
	inflected := 0
	for i, word := range words {
		want := wanted[i]
		typos := edits(word, want)
		switch {
		case word == want:
		case typos == 1 && min(len(word), len(want)) > 3:
		case typos == 2 && min(len(word), len(want)) > 8 && word[0] == want[0]:
		case related(word, want), want == "ADDR" && edits(word, "ADDRESS") <= 2:
			inflected++
		default:
			return false
		}
	}
	return inflected <= 1
}

// related reports whether one word is an abbreviation or another form of the other, such as ADDRESS and ADDR, or PROXY and PROXIES.
func related(a, b string) bool {
	const least = 4
	short, long := singular(a), singular(b)
	if len(short) > len(long) {
		short, long = long, short
	}
	return len(short) >= least && strings.HasPrefix(long, short)
}

func singular(word string) string {
	if stem, ok := strings.CutSuffix(word, "IES"); ok {
		return stem + "Y"
	}
	return strings.TrimSuffix(word, "S")
}

// edits returns the number of letters that are wrong, missing, added, or exchanged with their neighbour (optimal string alignment
// distance).
func edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			wrong := 1
			if a[i] == b[j] {
				wrong = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+wrong)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

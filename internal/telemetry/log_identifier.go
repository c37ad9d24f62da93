package telemetry

import (
	"context"
	"fmt"
	"strings"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Limits on what is logged of one identifier: a peer can send any length.
const (
	maxLoggedIdentifier = 4096 // bytes, if it cannot be parsed
	maxLoggedElements   = 100
	maxLoggedValue      = 256 // characters
)

// logIdentifier logs the elements with their names and values, or the bytes if they are not a data set.
func logIdentifier(ctx context.Context, sent bool, ts dataset.TransferSyntax, b []byte) {
	event := zerolog.Ctx(ctx).Debug().
		Str("direction", direction(sent)).
		Str("transfer_syntax", string(ts)).
		Int("length", len(b))
	if set, err := dataset.Parse(b, ts, dataset.Limits{}); err == nil {
		event.Strs("elements", elementsOf(set))
	} else {
		event.AnErr("error", err).Bytes("identifier", b[:min(len(b), maxLoggedIdentifier)])
	}
	event.Msg("identifier, holds patient data")
}

// elementsOf returns a line for each element, such as "(0010,0020) PatientID: 1112223333".
func elementsOf(set *dataset.Set) []string {
	lines := make([]string, 0, min(set.Len(), maxLoggedElements))
	for t := range set.Tags() {
		if len(lines) == maxLoggedElements {
			return append(lines, fmt.Sprintf("and %d more", set.Len()-maxLoggedElements))
		}
		name := dataset.Keyword(t)
		if name != "" {
			name = " " + name
		}
		lines = append(lines, fmt.Sprintf("(%04X,%04X)%s: %s", t.Group, t.Element, name, valueText(set, t)))
	}
	return lines
}

func valueText(set *dataset.Set, t dataset.Tag) string {
	if items := set.Items(t); items != nil {
		return fmt.Sprintf("sequence of %d", len(items))
	}
	text := []rune(strings.Join(set.Strings(t), `\`))
	if len(text) > maxLoggedValue {
		return fmt.Sprintf("%s… (%d characters)", string(text[:maxLoggedValue]), len(text))
	}
	if raw, _ := set.Bytes(t); len(text) == 0 && len(raw) > 0 {
		return fmt.Sprintf("%d bytes", len(raw))
	}
	return string(text)
}

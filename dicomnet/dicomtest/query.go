package dicomtest

import (
	"slices"
	"strings"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// query is the identifier of a C-FIND-RQ or C-MOVE-RQ.
type query struct {
	level     level
	levelName string
	keys      []*dicom.Element
}

// readQuery decodes an identifier and checks what any query needs: the model must have the level, and a key has one value, or a
// sequence one item. Otherwise the status is StatusIdentifierMismatch.
func readQuery(r *dicomnet.Request, root level) (*query, dicomnet.Status) {
	set, err := dataset.Parse(r.Data, r.TransferSyntax, dataset.Limits{})
	if err != nil {
		return nil, dicomnet.StatusUnableToProcess
	}
	ds, err := set.Dataset()
	if err != nil {
		return nil, dicomnet.StatusUnableToProcess
	}
	q := &query{levelName: set.String(tag.QueryRetrieveLevel)}
	var known bool
	if q.level, known = levelNames[q.levelName]; !known || q.level < root {
		return nil, dicomnet.StatusIdentifierMismatch
	}
	for _, e := range ds.Elements {
		if severalValues(e) && e.Tag != tag.SpecificCharacterSet {
			return nil, dicomnet.StatusIdentifierMismatch
		}
		if q.isKey(e) {
			q.keys = append(q.keys, e)
		}
	}
	return q, dicomnet.StatusSuccess
}

// hierarchical checks a query for hierarchical behaviour (PS3.4 sections C.4.1.2.1 and C.4.2.2.1): each level above that of the
// query, from the root on, needs its unique key with a single value. Otherwise the status is StatusIdentifierMismatch.
func (q *query) hierarchical(root level) dicomnet.Status {
	for l := root; l < q.level; l++ {
		if !q.single(uniqueKey[l]) {
			return dicomnet.StatusIdentifierMismatch
		}
	}
	return dicomnet.StatusSuccess
}

// isKey reports whether an element takes part in matching. Those that are not attributes of an entity do not, nor do optional keys
// that are not supported (PS3.4 section C.2.2.1.3): attributes of a lower level, unknown attributes and binary ones.
func (q *query) isKey(e *dicom.Element) bool {
	switch e.Tag {
	case tag.QueryRetrieveLevel, tag.SpecificCharacterSet, tag.RetrieveAETitle:
		return false
	}
	_, err := tag.Find(e.Tag)
	vr := e.RawValueRepresentation
	return err == nil && (texts[vr] || wildcards[vr] || others[vr]) && levelOf(e.Tag) <= q.level
}

// others are the value representations of numbers, and sequences.
var others = map[string]bool{"FD": true, "FL": true, "SL": true, "SQ": true, "SS": true, "UL": true, "US": true}

// texts are the value representations of text in which * and ? are ordinary characters.
var texts = map[string]bool{"AS": true, "DA": true, "DS": true, "DT": true, "IS": true, "TM": true, "UI": true}

func (q *query) key(t tag.Tag) *dicom.Element {
	for _, e := range q.keys {
		if e.Tag == t {
			return e
		}
	}
	return nil
}

// single reports whether the key has exactly one value, without a wildcard.
func (q *query) single(t tag.Tag) bool {
	key := q.key(t)
	return key != nil && len(elementValues(key)) == 1 && !wild(key)
}

// wild reports whether a key has a wildcard.
func wild(key *dicom.Element) bool {
	return slices.ContainsFunc(elementValues(key), func(v string) bool { return strings.ContainsAny(v, "*?") })
}

// drop removes keys.
func (q *query) drop(tags ...tag.Tag) {
	var kept []*dicom.Element
	for _, e := range q.keys {
		if !slices.Contains(tags, e.Tag) {
			kept = append(kept, e)
		}
	}
	q.keys = kept
}

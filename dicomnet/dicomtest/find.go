package dicomtest

import (
	"context"
	"slices"
	"strconv"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
)

// find serves C-FIND (PS3.4 section C.4.1).
func (p *PACS) find(ctx context.Context, r *dicomnet.Request, match func(*dicom.Dataset) error) dicomnet.Status {
	p.begin(dicomnet.StepFind)
	root := rootOf(r.AbstractSyntax)
	q, status := readQuery(r, root)
	if status == dicomnet.StatusSuccess && !p.cfg.Relational {
		status = q.hierarchical(root)
	}
	if status != dicomnet.StatusSuccess {
		return status
	}
	returned := p.apply(q)
	for _, e := range p.archive.search(q) {
		rows := 1
		if p.cfg.RowPerInstance {
			rows = len(e)
		}
		for range rows {
			p.before(ctx, dicomnet.StepFind)
			if ctx.Err() != nil {
				return dicomnet.StatusCancel
			}
			if err := match(p.answer(q, returned, e)); err != nil {
				return dicomnet.StatusUnableToProcess
			}
		}
	}
	p.before(ctx, dicomnet.StepFind)
	return dicomnet.StatusSuccess
}

func (p *PACS) findPending() dicomnet.Status {
	if p.cfg.OptionalKeysWarning {
		return dicomnet.StatusPendingWarning
	}
	return dicomnet.StatusPending
}

// apply changes the query as the configuration says, and returns the keys to return.
func (p *PACS) apply(q *query) (returned []*dicom.Element) {
	if l, known := levelNames[p.cfg.AnswerLevel]; known {
		q.level, q.levelName = l, p.cfg.AnswerLevel
		q.keys = slices.DeleteFunc(q.keys, func(key *dicom.Element) bool { return levelOf(key.Tag) > l })
	}
	q.drop(p.cfg.UnsupportedKeys...)
	if p.cfg.OmitModalitiesInStudy {
		q.drop(tag.ModalitiesInStudy)
	}
	for _, key := range q.keys {
		if !slices.Contains(p.cfg.HiddenKeys, key.Tag) {
			returned = append(returned, key)
		}
	}
	q.drop(p.cfg.IgnoreKeys...)
	return returned
}

// answer returns the identifier of a C-FIND response (PS3.4 section C.4.1.1.3.2): the requested keys, with zero length if the
// entity has no value, the level, the unique key, the Retrieve AE Title and the character set of its text.
func (p *PACS) answer(q *query, returned []*dicom.Element, e entity) *dicom.Dataset {
	var b builder
	if set := e.values(tag.SpecificCharacterSet); len(set) > 0 {
		b.text(tag.SpecificCharacterSet, set...)
	}
	b.text(tag.QueryRetrieveLevel, q.levelName)
	b.text(tag.RetrieveAETitle, p.cfg.AETitle)
	unique := uniqueKey[q.level]
	for _, key := range returned {
		if key.Tag != unique {
			b.answer(key, e)
		}
	}
	if !slices.Contains(p.cfg.HiddenKeys, unique) {
		b.text(unique, e.values(unique)...)
	}
	return &dicom.Dataset{Elements: b.elements}
}

// answer adds the requested attribute of an entity, with values of the type that the library requires for its tag.
func (b *builder) answer(key *dicom.Element, e entity) {
	if key.RawValueRepresentation == "SQ" {
		b.add(key.Tag, matchingItems(key, e[0].elements[key.Tag]))
		return
	}
	values := e.values(key.Tag)
	switch key.Value.GetValue().(type) {
	case []int:
		numbers := []int{}
		for _, v := range values {
			if n, err := strconv.Atoi(v); err == nil {
				numbers = append(numbers, n)
			}
		}
		b.numbers(key.Tag, numbers...)
	case []float64:
		numbers := []float64{}
		for _, v := range values {
			if n, err := strconv.ParseFloat(v, 64); err == nil {
				numbers = append(numbers, n)
			}
		}
		b.add(key.Tag, numbers)
	default:
		b.text(key.Tag, values...)
	}
}

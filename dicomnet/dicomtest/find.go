package dicomtest

import (
	"context"
	"strconv"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
)

// find serves C-FIND (PS3.4 section C.4.1).
func (p *PACS) find(ctx context.Context, r *dicomnet.Request, match func(*dicom.Dataset) error) dicomnet.Status {
	p.begin(dicomnet.StepFind)
	q, status := readQuery(r, rootOf(r.AbstractSyntax))
	if status != dicomnet.StatusSuccess {
		return status
	}
	if p.cfg.OmitModalitiesInStudy {
		q.drop(tag.ModalitiesInStudy)
	}
	returned := q.keys
	for _, t := range p.cfg.IgnoreKeys {
		q.drop(t)
	}
	for _, e := range p.archive.search(q) {
		p.before(ctx, dicomnet.StepFind)
		if ctx.Err() != nil {
			return dicomnet.StatusCancel
		}
		if err := match(p.answer(q, returned, e)); err != nil {
			return dicomnet.StatusUnableToProcess
		}
	}
	p.before(ctx, dicomnet.StepFind)
	return dicomnet.StatusSuccess
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
			b.answer(key, e.values(key.Tag))
		}
	}
	b.text(unique, e.values(unique)...)
	return &dicom.Dataset{Elements: b.elements}
}

// answer adds an attribute with values of the type that the library requires for its tag.
func (b *builder) answer(key *dicom.Element, values []string) {
	if numbers, ok := integers(key, values); ok {
		b.numbers(key.Tag, numbers...)
		return
	}
	b.text(key.Tag, values...)
}

func integers(key *dicom.Element, values []string) ([]int, bool) {
	if key.ValueRepresentation != tag.VRUInt16List && key.ValueRepresentation != tag.VRUInt32List {
		return nil, false
	}
	numbers := []int{}
	for _, v := range values {
		if n, err := strconv.Atoi(v); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers, true
}

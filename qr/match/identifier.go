package match

import (
	"slices"
	"sync/atomic"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Identifier returns the identifier of a C-FIND request (PS3.4 section C.4.1.1.3.1): Specific Character Set ISO_IR 192, since PACS
// convert their answers to the character set of the request and some silently damage what does not fit; Query/Retrieve Level; the
// keys with their values; and the attributes of include without a value. The level is PATIENT, STUDY, SERIES or IMAGE. The unique keys of
// the levels above are keys like others.
//
// A sequence has one item with the attributes that keys and include name in it. A sequence that is itself the end of a path is
// empty, which asks for all of it. A key that is not sent with its values, see [NewKey], is sent without; so is one of VR UN.
//
// The error is a *ValueError: two keys have the same path, or a private attribute comes without a key for its private creator
// beside it (PS3.5 section 7.8.1).
func Identifier(level string, keys []Key, include []Path) (*dataset.Dataset, error) {
	root := node{below: make([]node, 0, len(keys)+len(include))}
	for i := range keys {
		k := &keys[i]
		n, err := root.leaf(k.Path)
		switch {
		case err != nil:
			return nil, err
		case n.isKey:
			return nil, k.fault("is given twice")
		}
		n.isKey, n.vr = true, k.VR
		if k.VR != "UN" {
			n.values = k.sent()
		}
	}
	for _, path := range include {
		if _, err := root.leaf(path); err != nil {
			return nil, err
		}
	}
	if err := root.checkCreators(nil); err != nil {
		return nil, err
	}
	elements := make([]*dataset.Element, 0, len(root.below)+2)
	elements = append(elements, characterSet, dataset.Text(dataset.QueryRetrieveLevel, level))
	elements, err := root.appendElements(elements)
	if err != nil {
		return nil, err
	}
	return &dataset.Dataset{Elements: elements}, nil
}

// characterSet is part of every identifier. Encoding does not change an Element.
var characterSet = dataset.Text(dataset.SpecificCharacterSet, "ISO_IR 192")

// node is an attribute of an identifier. below are the attributes of the item of a sequence.
type node struct {
	tag    dataset.Tag
	vr     string
	values []string
	isKey  bool
	below  []node
}

// leaf returns the node at the end of a path, made if need be. It is valid until the next call.
func (n *node) leaf(path Path) (*node, error) {
	if reason := checkPath(path); reason != "" {
		return nil, &ValueError{Path: path, Reason: reason}
	}
	for i, t := range path {
		j := 0
		for j < len(n.below) && n.below[j].tag != t {
			j++
		}
		if j == len(n.below) {
			n.below = append(n.below, node{tag: t})
		}
		if n = &n.below[j]; i < len(path)-1 {
			n.vr = "SQ"
		}
	}
	return n, nil
}

// appendElements appends the elements below n. It leaves out what every identifier has.
func (n *node) appendElements(elements []*dataset.Element) ([]*dataset.Element, error) {
	for i := range n.below {
		b := &n.below[i]
		switch {
		case b.tag == dataset.SpecificCharacterSet || b.tag == dataset.QueryRetrieveLevel:
			continue
		case len(b.below) > 0:
			item, err := b.appendElements(nil)
			if err != nil {
				return nil, err
			}
			elements = append(elements, dataset.Sequence(b.tag, item))
			continue
		}
		e, err := b.element()
		if err != nil {
			return nil, &ValueError{Path: Path{b.tag}, VR: b.vr, Reason: "cannot be sent"}
		}
		elements = append(elements, e)
	}
	return elements, nil
}

// element returns the element of an attribute. Those without a value and with the VR of the dictionary are the same in every
// identifier.
func (n *node) element() (*dataset.Element, error) {
	if len(n.values) > 0 || isPrivate(n.tag) || n.vr != "" && n.vr != dataset.DictionaryVR(n.tag) {
		return dataset.NewElement(n.tag, n.vr, n.values...)
	}
	slot := &universalElements[(uint32(n.tag.Group)*31+uint32(n.tag.Element))%uint32(len(universalElements))]
	if e := slot.Load(); e != nil && e.Tag == n.tag {
		return e, nil
	}
	e, err := dataset.NewElement(n.tag, "")
	if err == nil {
		slot.Store(e)
	}
	return e, err
}

// universalElements caches elements without a value, one in each slot.
var universalElements [256]atomic.Pointer[dataset.Element]

// checkCreators checks that each private attribute below n, whose path is path, has its creator beside it.
func (n *node) checkCreators(path Path) error {
	for i := range n.below {
		b := &n.below[i]
		if isPrivate(b.tag) && b.tag.Element > 0xff {
			creator := dataset.Tag{Group: b.tag.Group, Element: b.tag.Element >> 8}
			named := slices.ContainsFunc(n.below, func(c node) bool { return c.tag == creator && len(c.values) == 1 })
			if !named {
				return &ValueError{Path: append(slices.Clone(path), b.tag), VR: b.vr, Reason: "is private and needs its private creator as a key"}
			}
		}
		if len(b.below) > 0 {
			if err := b.checkCreators(append(slices.Clone(path), b.tag)); err != nil {
				return err
			}
		}
	}
	return nil
}

package match

import (
	"slices"

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
	var root node
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
	elements, err := root.elements()
	if err != nil {
		return nil, err
	}
	own := []*dataset.Element{
		dataset.Text(dataset.SpecificCharacterSet, "ISO_IR 192"), dataset.Text(dataset.QueryRetrieveLevel, level),
	}
	return &dataset.Dataset{Elements: append(own, elements...)}, nil
}

// node is an attribute of an identifier. below are the attributes of the item of a sequence.
type node struct {
	tag    dataset.Tag
	vr     string
	values []string
	isKey  bool
	below  []*node
}

// leaf returns the node at the end of a path, made if need be.
func (n *node) leaf(path Path) (*node, error) {
	if _, err := newKey(path, ""); err != nil {
		return nil, err
	}
	for i, t := range path {
		j := slices.IndexFunc(n.below, func(b *node) bool { return b.tag == t })
		if j < 0 {
			j = len(n.below)
			n.below = append(n.below, &node{tag: t})
		}
		if n = n.below[j]; i < len(path)-1 {
			n.vr = "SQ"
		}
	}
	return n, nil
}

// elements returns the elements below n. It leaves out what every identifier has.
func (n *node) elements() ([]*dataset.Element, error) {
	elements := make([]*dataset.Element, 0, len(n.below)+2)
	for _, b := range n.below {
		switch {
		case b.tag == dataset.SpecificCharacterSet || b.tag == dataset.QueryRetrieveLevel:
			continue
		case len(b.below) > 0:
			item, err := b.elements()
			if err != nil {
				return nil, err
			}
			elements = append(elements, dataset.Sequence(b.tag, item))
			continue
		}
		e, err := dataset.NewElement(b.tag, b.vr, b.values...)
		if err != nil {
			return nil, &ValueError{Path: Path{b.tag}, VR: b.vr, Reason: "cannot be sent"}
		}
		elements = append(elements, e)
	}
	return elements, nil
}

// checkCreators checks that each private attribute below n, whose path is path, has its creator beside it.
func (n *node) checkCreators(path Path) error {
	for _, b := range n.below {
		at := append(slices.Clone(path), b.tag)
		if isPrivate(b.tag) && b.tag.Element > 0xff {
			creator := dataset.Tag{Group: b.tag.Group, Element: b.tag.Element >> 8}
			named := slices.ContainsFunc(n.below, func(c *node) bool { return c.tag == creator && len(c.values) == 1 })
			if !named {
				return &ValueError{Path: at, VR: b.vr, Reason: "is private and needs its private creator as a key"}
			}
		}
		if err := b.checkCreators(at); err != nil {
			return err
		}
	}
	return nil
}

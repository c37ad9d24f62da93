package match

import "dicom-qr-gateway/dicomnet/dataset"

// Key is one matching key. [NewKey] and [NewEmptyKey] make keys; a value in one that is made otherwise cannot be judged.
type Key struct {
	Path   Path
	VR     string   // of the attribute at the end of the path
	Values []string // as they are sent; none for universal matching
	Fuzzy  bool     // see [NewKey]

	test test
	// any means that Values are alternatives, which are not sent.
	any bool
}

// test judges one attribute that is present.
type test interface {
	judge(v dataset.Value, at place) Verdict
}

// NewKey returns the key that an attribute has one of the values. The matching type follows from VR and values (PS3.4 section
// C.2.2.2): universal without a value, with an empty one or with "*"; single value; wildcard; range; list of UIDs, which may also be
// one value with backslashes. Several values of a VR other than UI match if one of them does; [Identifier] sends such a key without
// a value, since PACS disagree about it. vr "" stands for the VR of the dictionary. Outer spaces of a value have no meaning.
//
// A key of UI, CS, AE, UR, AS or of an identifying attribute (Patient ID and its issuer, codes) matches exactly, any other text
// without regard to letter case and accents, and numbers by value. A date, a time or a date-time matches if the value may be in the
// range, since either may be less precise.
//
// fuzzy applies to PN: a name matches also if each word of the key begins a word of the name, in any order. What is sent does
// not depend on it.
//
// The error is a *ValueError.
func NewKey(path Path, vr string, values []string, fuzzy bool) (Key, error) {
	k, err := newKey(path, vr)
	if err != nil {
		return Key{}, err
	}
	k.Fuzzy = fuzzy
	if k.Values, err = k.clean(values); err != nil || len(k.Values) == 0 {
		return k, err
	}
	if k.test, err = k.compile(); err != nil {
		return Key{}, err
	}
	return k, nil
}

// NewEmptyKey returns the key that an attribute is present and empty (PS3.4 section C.2.2.2.7). [Identifier] sends it without a
// value: a PACS supports that matching only if it was negotiated. The error is a *ValueError.
func NewEmptyKey(path Path, vr string) (Key, error) {
	k, err := newKey(path, vr)
	k.test = emptyTest{}
	return k, err
}

// Universal returns the key without its values: it asks for the attribute and matches everything.
func (k Key) Universal() Key { return Key{Path: k.Path, VR: k.VR} }

// IsUniversal reports whether the key matches everything.
func (k Key) IsUniversal() bool { return k.test == nil && len(k.Values) == 0 }

// Judge judges a data set by this key alone. An attribute in a sequence matches if it does in one of the items.
func (k Key) Judge(set *dataset.Set) Verdict {
	if k.IsUniversal() {
		return Matches
	}
	return k.judge(set, set, k.Path)
}

// judge judges set, an item of root or root itself, by what path leads to from there.
func (k *Key) judge(set, root *dataset.Set, path Path) Verdict {
	v, ok := set.Value(path[0])
	if !ok || k.test == nil {
		return Unknown
	}
	if len(path) == 1 {
		return k.test.judge(v, place{set, root})
	}
	best := Differs
	for _, item := range v.Items() {
		switch k.judge(item, root, path[1:]) {
		case Matches:
			return Matches
		case Unknown:
			best = Unknown
		}
	}
	return best
}

// sent returns the values that an identifier has for the key.
func (k *Key) sent() []string {
	if k.any {
		return nil
	}
	return k.Values
}

// emptyTest matches an attribute without a value.
type emptyTest struct{}

func (emptyTest) judge(v dataset.Value, _ place) Verdict {
	if v.Kind() == dataset.KindSequence {
		return verdict(len(v.Items()) == 0)
	}
	return verdict(len(v.Unpadded()) == 0)
}

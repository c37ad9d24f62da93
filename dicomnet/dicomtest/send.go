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
	class, compressed := in.Text(tag.SOPClassUID), in.TransferSyntax()
	for _, c := range assoc.Contexts() {
		if c.AbstractSyntax != class || c.Result != dicomnet.ContextAccepted {
			continue
		}
		if c.TransferSyntax == compressed || compressed == "" && slices.Contains(nativeLittleEndian, c.TransferSyntax) {
			data, err := in.Encode(c.TransferSyntax)
			return dicomnet.StoreRequest{
				SOPClassUID: class, SOPInstanceUID: in.Text(tag.SOPInstanceUID), TransferSyntax: c.TransferSyntax, Data: data,
			}, err
		}
	}
	return dicomnet.StoreRequest{}, fmt.Errorf("the peer does not accept instances of SOP class %s", class)
}

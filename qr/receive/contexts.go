package receive

import (
	"cmp"
	"slices"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// maxStorage is how many presentation contexts an association may propose for storage: 128 identifiers exist (PS3.8 section 9.3.2.2), and
// one is for C-GET. One is kept free.
const maxStorage = 126

// syntaxes returns the transfer syntaxes to propose for a SOP class, the most important first. again is set for instances that did not come
// before, perhaps because of their transfer syntax.
func syntaxes(class string, onlyUncompressed, again bool) []dataset.TransferSyntax {
	kind := video // of a class that is not known: anything
	if known := storageClassByUID[class]; known != nil {
		kind = known.content
	}
	switch {
	case again && kind == noPixels:
		return slices.Concat(uncompressed, obsolete)
	case again && onlyUncompressed:
		return withoutRepetitions(slices.Concat(uncompressed, convertible, common, compressed, moving, obsolete))
	case again:
		return withoutRepetitions(slices.Concat(uncompressed, common, compressed, moving, obsolete))
	case onlyUncompressed || kind == noPixels:
		return uncompressed
	case kind == clip:
		return withoutRepetitions(slices.Concat(uncompressed, common, compressed))
	case kind == video:
		return slices.Concat(uncompressed, moving, compressed)
	default:
		return slices.Concat(uncompressed, compressed)
	}
}

// turn returns the rank of a transfer syntax for instances that did not come before: compressed, uncompressed, obsolete.
func turn(ts dataset.TransferSyntax) int {
	switch {
	case slices.Contains(uncompressed, ts):
		return 1
	case slices.Contains(obsolete, ts):
		return 2
	}
	return 0
}

func withoutRepetitions[T comparable](all []T) []T {
	unique := all[:0]
	for _, v := range all {
		if !slices.Contains(unique, v) {
			unique = append(unique, v)
		}
	}
	return unique
}

// proposal is what an association for C-GET proposes. Each presentation context has one transfer syntax, so that the PACS can use the one
// in which an instance is stored.
type proposal struct {
	classes []string // wanted, the most important first
	// listed is how many of classes, from the first, the PACS says are in the study. The others are guesses.
	listed int
	// others are proposed, with one transfer syntax each, if the classes leave room.
	others           []string
	onlyUncompressed bool
	again            bool
}

// contexts returns the presentation contexts. If not all fit, each class gets its first transfer syntax, then each of those that the PACS
// lists its second one, and so on; the guesses share what is left. Classes beyond maxStorage get none.
func (p *proposal) contexts() []dicomnet.Context {
	classes := p.classes[:min(len(p.classes), maxStorage)]
	lists := make([][]dataset.TransferSyntax, len(classes))
	taken := make([]int, len(classes))
	left := maxStorage
	for i, class := range classes {
		lists[i] = syntaxes(class, p.onlyUncompressed, p.again)
	}
	round := func(of int) (more bool) {
		for i := range of {
			if taken[i] < len(lists[i]) && left > 0 {
				taken[i]++
				left--
				more = true
			}
		}
		return more
	}
	round(len(classes))
	for round(min(p.listed, len(classes))) {
	}
	for round(len(classes)) {
	}
	contexts := make([]dicomnet.Context, 0, maxStorage)
	for i, class := range classes {
		chosen := lists[i][:taken[i]]
		if p.again {
			// Some PACS use only the first context that they accept, and the first attempt had uncompressed ones first.
			slices.SortStableFunc(chosen, func(a, b dataset.TransferSyntax) int { return cmp.Compare(turn(a), turn(b)) })
		}
		for _, ts := range chosen {
			contexts = append(contexts, dicomnet.Context{AbstractSyntax: class, TransferSyntaxes: []dataset.TransferSyntax{ts}})
		}
	}
	for _, class := range p.others {
		if left == 0 {
			break
		}
		if !slices.Contains(classes, class) {
			contexts = append(contexts, dicomnet.Context{AbstractSyntax: class, TransferSyntaxes: uncompressed[:1]})
			left--
		}
	}
	return contexts
}

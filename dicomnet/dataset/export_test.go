package dataset

import (
	"unsafe"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// CacheSlot returns the slot of the element in the value cache of a Parser.
func CacheSlot(t tag.Tag) uint32 { return hashTag(tagNumber(t)) >> 26 }

// KeptSizesAreRight reports whether Keeper.Size counts with the sizes that the compiler uses.
func KeptSizesAreRight() bool {
	return unsafe.Sizeof(entry{}) == entrySize && unsafe.Sizeof(keptSet{}) <= keptSetSize
}

package dataset

import "github.com/suyashkumar/dicom/pkg/tag"

// CacheSlot returns the slot of the element in the value cache of a Parser.
func CacheSlot(t tag.Tag) uint32 { return hashTag(tagNumber(t)) >> 26 }

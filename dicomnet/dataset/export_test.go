package dataset

import "github.com/suyashkumar/dicom/pkg/tag"

// Slot is where Parser keeps the last text of an element.
func Slot(t tag.Tag) uint32 { return spread(number(t)) >> 26 }

package qr

import "dicom-qr-gateway/dicomnet/dataset"

// NewMatch returns the match with the attributes of set, which belongs to parent if that is not nil. The UIDs are those of the
// attributes, or else of the parent.
func NewMatch(set *dataset.Set, parent *Match) *Match {
	m := &Match{
		StudyInstanceUID: set.String(dataset.StudyInstanceUID), SeriesInstanceUID: set.String(dataset.SeriesInstanceUID),
		SOPInstanceUID: set.String(sopInstanceUID), set: set, parent: parent,
	}
	if parent != nil {
		m.StudyInstanceUID = parent.StudyInstanceUID
		if parent.SeriesInstanceUID != "" {
			m.SeriesInstanceUID = parent.SeriesInstanceUID
		}
	}
	return m
}

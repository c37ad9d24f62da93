package dicomtest

import (
	"slices"
	"strconv"
	"sync"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// archive holds at most max instances, in the order in which they were added. It is safe for concurrent use.
type archive struct {
	mu        sync.RWMutex
	max       int
	instances []*Instance
	index     map[string]int // of a SOP Instance UID in instances
}

func newArchive(limit int) *archive { return &archive{max: limit, index: map[string]int{}} }

// add stores an instance; it replaces one with the same SOP Instance UID. It reports false if the archive is full.
func (a *archive) add(in *Instance) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	uid := in.Text(tag.SOPInstanceUID)
	if i, have := a.index[uid]; have {
		// A copy, because readers use the slice without the lock.
		a.instances = slices.Clone(a.instances)
		a.instances[i] = in
		return true
	}
	if len(a.instances) >= a.max {
		return false
	}
	a.index[uid] = len(a.instances)
	a.instances = append(a.instances, in)
	return true
}

func (a *archive) get(sopInstanceUID string) *Instance {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if i, have := a.index[sopInstanceUID]; have {
		return a.instances[i]
	}
	return nil
}

// all returns what is stored now; the caller must not change it.
func (a *archive) all() []*Instance {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.Clip(a.instances)
}

// entity is a patient, study, series or instance: the instances that share its unique key, at least one.
type entity []*Instance

// entities groups instances by the unique key of the level, in order of appearance.
func entities(instances []*Instance, l level) []entity {
	var found []entity
	index := map[string]int{}
	for _, in := range instances {
		key := in.Text(uniqueKey[l])
		i, have := index[key]
		if !have {
			i = len(found)
			index[key] = i
			found = append(found, nil)
		}
		found[i] = append(found[i], in)
	}
	return found
}

// values returns the values of an attribute of the entity, including computed attributes (PS3.4 section C.3: additional
// attributes in identifiers).
func (e entity) values(t tag.Tag) []string {
	switch t {
	case tag.ModalitiesInStudy:
		return e.distinct(tag.Modality)
	case tag.SOPClassesInStudy:
		return e.distinct(tag.SOPClassUID)
	case tag.NumberOfPatientRelatedStudies:
		return count(len(e.distinct(tag.StudyInstanceUID)))
	case tag.NumberOfPatientRelatedSeries, tag.NumberOfStudyRelatedSeries:
		return count(len(e.distinct(tag.SeriesInstanceUID)))
	case tag.NumberOfPatientRelatedInstances, tag.NumberOfStudyRelatedInstances, tag.NumberOfSeriesRelatedInstances:
		return count(len(e))
	}
	return e[0].values(t)
}

func count(n int) []string { return []string{strconv.Itoa(n)} }

func (e entity) distinct(t tag.Tag) []string {
	var values []string
	for _, in := range e {
		values = appendOnce(values, in.Text(t))
	}
	return values
}

// matches reports whether the entity matches all keys of a query.
func (e entity) matches(keys []*dicom.Element) bool {
	for _, key := range keys {
		if key.RawValueRepresentation == "SQ" {
			if !matchesSequence(key, e[0].elements[key.Tag]) {
				return false
			}
		} else if !matches(key, e.values(key.Tag)) {
			return false
		}
	}
	return true
}

// search returns the matches of a query, in order of appearance.
func (a *archive) search(q *query) []entity {
	return slices.DeleteFunc(entities(a.all(), q.level), func(e entity) bool { return !e.matches(q.keys) })
}

package qr

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
)

// Target is a study, one of its series, or one instance. The UIDs of lower levels are "".
type Target struct{ StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID string }

// Level returns the level of the target: LevelStudy, LevelSeries or LevelImage.
func (t Target) Level() Level {
	switch {
	case t.SOPInstanceUID != "":
		return LevelImage
	case t.SeriesInstanceUID != "":
		return LevelSeries
	}
	return LevelStudy
}

// TargetError reports a Target that is not a study, series or instance. Field is the keyword of the UID that is missing or malformed.
// Nothing was sent: some PACS take an empty UID, a wildcard or a list for the whole archive.
type TargetError struct{ Field string }

func (e *TargetError) Error() string { return "invalid target: " + e.Field }

// Check returns a *TargetError unless each UID of the target is valid (PS3.5 section 9.1) and none is missing above its level. It
// accepts components with leading zeros, which archives have.
func (t Target) Check() error {
	for _, part := range [...]struct {
		field, uid string
		needed     bool
	}{
		{"StudyInstanceUID", t.StudyInstanceUID, true},
		{"SeriesInstanceUID", t.SeriesInstanceUID, t.SOPInstanceUID != ""},
		{"SOPInstanceUID", t.SOPInstanceUID, false},
	} {
		if part.uid == "" && !part.needed {
			continue
		}
		if !validUID(part.uid) || slices.Contains(strings.Split(part.uid, "."), "") {
			return &TargetError{Field: part.field}
		}
	}
	return nil
}

// NotFoundError reports that the PACS does not have a Target: it answered every query that could have found it, with no match.
type NotFoundError struct{}

func (e *NotFoundError) Error() string { return "no such study, series or instance" }

// Inventory is what a PACS lists below a Target.
type Inventory struct {
	Target
	// Proven reports that Instances are all that the PACS has. Otherwise it does not answer C-FIND at IMAGE level, or not for this
	// target, or not for one of its series, or a match could not be read or has no UID, and there may be more.
	Proven bool
	// Attributes of the patient and the study as the PACS returned them, in UTF-8; "" for those that it did not.
	PatientID, IssuerOfPatientID, PatientName, PatientBirthDate, PatientSex string
	StudyDate, StudyTime, StudyID, AccessionNumber                          string
	// SOPClasses are the SOP Classes in Study (0008,0062); nil: the PACS does not return them, and is asked for that of each instance.
	SOPClasses []string
	Series     []ListedSeries // in the order of number and UID
	Instances  []ListedInstance
	Warnings   []Warning
}

// ListedSeries is a series of an Inventory.
type ListedSeries struct {
	SeriesInstanceUID, Modality string // Modality "": the PACS does not return it
	Number                      int64  // -1: none
}

// ListedInstance is an instance of an Inventory. They are in the order of series, number and UID.
type ListedInstance struct {
	SOPInstanceUID string
	SOPClassUID    string // "": the PACS does not return it
	Series         int    // index in Inventory.Series
	Number         int64  // -1: none
}

// Inventory asks the PACS what it has of the target: C-FINDs at STUDY and SERIES level, then one at IMAGE level for each series, or one
// for all of them if the profile of the PACS has relational queries. most limits the matches of all of them, in place of
// Options.MaxMatches; zero: no limit. The error is a *TargetError, a *NotFoundError or one of those of Query.
func (g *Gateway) Inventory(ctx context.Context, c Call, p Peer, t Target, most int) (*Inventory, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := g.Bounded(ctx)
	defer cancel()
	o := g.begin(c, p)
	defer o.End(ctx)
	defer o.memory.Settle()
	o.most = most
	o.findModel, o.preferred = dicomnet.StudyRoot, dicomnet.StudyRoot // the Patient ID is not known
	l := &lister{operation: o, profile: p.Profile(), inventory: &Inventory{Target: t, Proven: true}, series: map[string]int{}}
	if err := l.list(ctx); err != nil {
		return nil, err
	}
	l.inventory.Warnings = l.counts.warnings()
	return l.inventory, nil
}

// lister makes one Inventory.
type lister struct {
	*operation
	tally
	profile   pool.Profile
	inventory *Inventory
	series    map[string]int      // index in Inventory.Series, by UID
	instances map[string]struct{} // SOP Instance UIDs that are listed
	matched   int                 // at all levels
}

func (l *lister) list(ctx context.Context) error {
	studyListed, err := l.study(ctx)
	if err != nil {
		return err
	}
	if err := l.seriesOfStudy(ctx); err != nil {
		return err
	}
	i := l.inventory
	if len(i.Series) == 0 {
		// A study without series contradicts itself; a series or an instance that is not in it does not.
		if !studyListed || i.SeriesInstanceUID != "" {
			return l.notFound(ctx)
		}
		i.Proven = false
		return nil
	}
	if l.profile.Known && !l.profile.ImageLevelFind {
		i.Proven = false
		return nil
	}
	return l.images(ctx)
}

// notFound returns a *NotFoundError, or the error of a match that could not be read: it may be the one that is missing.
func (l *lister) notFound(ctx context.Context) error {
	if l.unreadable != nil {
		return pool.Failure(ctx, dicomnet.StepFind, l.unreadable)
	}
	return &NotFoundError{}
}

var (
	patientSex, _ = dataset.LookupKeyword("PatientSex")
	studyID, _    = dataset.LookupKeyword("StudyID")
	// sopClassesInStudy costs Orthanc nothing, but SOP Class UID at IMAGE level half of the time of the query.
	sopClassesInStudy, _ = dataset.LookupKeyword("SOPClassesInStudy")
	sopClassUID          = dataset.Tag{Group: 0x0008, Element: 0x0016}
)

// study reports whether the PACS lists the study, and reads the attributes of its patient.
func (l *lister) study(ctx context.Context) (listed bool, err error) {
	required := []dataset.Tag{
		dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.PatientName, dataset.PatientID, studyID,
	}
	optional := []dataset.Tag{dataset.IssuerOfPatientID, dataset.PatientBirthDate, patientSex, sopClassesInStudy}
	i := l.inventory
	err = l.ask(ctx, LevelStudy, nil, required, optional, func(set *dataset.Set) {
		patientID := trim(set.Text(dataset.PatientID))
		if listed {
			l.counts[repeated]++
			if patientID == i.PatientID || patientID == "" {
				return
			}
			l.counts[sharedUID]++
			if i.PatientID != "" && i.PatientID < patientID {
				return // whatever the order of the matches
			}
		}
		listed = true
		for _, attribute := range [...]struct {
			to *string
			t  dataset.Tag
		}{
			{&i.PatientID, dataset.PatientID},
			{&i.IssuerOfPatientID, dataset.IssuerOfPatientID},
			{&i.PatientName, dataset.PatientName},
			{&i.PatientBirthDate, dataset.PatientBirthDate},
			{&i.PatientSex, patientSex},
			{&i.StudyDate, dataset.StudyDate},
			{&i.StudyTime, dataset.StudyTime},
			{&i.StudyID, studyID},
			{&i.AccessionNumber, dataset.AccessionNumber},
		} {
			*attribute.to = strings.Clone(trim(set.Text(attribute.t)))
		}
		i.SOPClasses = nil
		for _, class := range set.Strings(sopClassesInStudy) {
			if class = trim(class); validUID(class) {
				i.SOPClasses = append(i.SOPClasses, strings.Clone(class))
			}
		}
		l.counts.addText(set.Warnings())
	})
	return listed, err
}

// seriesOfStudy lists the series.
func (l *lister) seriesOfStudy(ctx context.Context) error {
	i := l.inventory
	var unique []*dataset.Element
	if i.SeriesInstanceUID != "" {
		unique = append(unique, dataset.Text(dataset.SeriesInstanceUID, i.SeriesInstanceUID))
	}
	err := l.ask(ctx, LevelSeries, unique, []dataset.Tag{dataset.Modality, seriesNumber, dataset.SeriesInstanceUID}, nil, func(set *dataset.Set) {
		uid := single(set, dataset.SeriesInstanceUID)
		switch _, known := l.series[uid]; {
		case !validUID(uid):
			l.drop(set, withoutUID)
		case i.SeriesInstanceUID != "" && uid != i.SeriesInstanceUID:
			l.drop(set, otherParent)
		case known:
			l.counts[repeated]++
		default:
			l.series[strings.Clone(uid)] = len(i.Series)
			i.Series = append(i.Series, ListedSeries{
				SeriesInstanceUID: strings.Clone(uid), Modality: strings.Clone(single(set, dataset.Modality)), Number: listedNumber(set, seriesNumber),
			})
		}
	})
	slices.SortFunc(i.Series, func(a, b ListedSeries) int {
		return cmp.Or(compareNumbers(a.Number, b.Number), cmp.Compare(a.SeriesInstanceUID, b.SeriesInstanceUID))
	})
	for n := range i.Series {
		l.series[i.Series[n].SeriesInstanceUID] = n
	}
	return err
}

// images lists the instances.
func (l *lister) images(ctx context.Context) error {
	i := l.inventory
	l.instances = map[string]struct{}{}
	asked := i.Series
	if len(i.Series) > 1 && l.profile.Known && l.profile.RelationalQueries {
		asked = []ListedSeries{{}}
	}
	err := l.imagesOf(ctx, asked, i.SOPInstanceUID)
	if err == nil && len(i.Instances) == 0 && asked[0].SeriesInstanceUID == "" {
		err = l.imagesOf(ctx, i.Series, "") // the PACS finds nothing without the UID of a series
	}
	if err == nil && len(i.Instances) == 0 && i.SOPInstanceUID != "" && !l.profile.Known {
		err = l.probeSiblings(ctx)
		if err == nil && len(l.instances) > 0 {
			return l.notFound(ctx)
		}
	}
	switch {
	case refused(err):
		i.Proven = false
		return nil
	case err != nil:
		return err
	case len(i.Instances) == 0 && i.SOPInstanceUID != "" && l.profile.Known:
		return l.notFound(ctx)
	}
	// Each series has instances by definition, so that a PACS that lists none of it does not answer at this level.
	i.Proven = len(i.Instances) > 0 && l.unreadable == nil && l.counts[withoutUID] == 0 && !l.emptySeries()
	slices.SortFunc(i.Instances, func(a, b ListedInstance) int {
		return cmp.Or(cmp.Compare(a.Series, b.Series), compareNumbers(a.Number, b.Number), cmp.Compare(a.SOPInstanceUID, b.SOPInstanceUID))
	})
	return nil
}

// emptySeries reports whether the PACS lists a series without instances.
func (l *lister) emptySeries() bool {
	filled := make([]bool, len(l.inventory.Series))
	for n := range l.inventory.Instances {
		filled[l.inventory.Instances[n].Series] = true
	}
	return slices.Contains(filled, false)
}

// probeSiblings checks whether the PACS answers at IMAGE level for the series of an instance that it does not list.
func (l *lister) probeSiblings(ctx context.Context) error {
	i := l.inventory
	err := l.imagesOf(ctx, i.Series, "")
	i.Instances = nil
	return err
}

// perListed is the memory of an instance in an Inventory, beside the text of its UID.
const perListed = 128

// imagesOf asks for the instances of each series, or for one of them.
func (l *lister) imagesOf(ctx context.Context, series []ListedSeries, sopInstance string) error {
	i := l.inventory
	classes := map[string]string{} // few values, many instances
	var optional []dataset.Tag
	if i.SOPClasses == nil {
		optional = append(optional, sopClassUID)
	}
	for n := range series {
		var unique []*dataset.Element
		if uid := series[n].SeriesInstanceUID; uid != "" {
			unique = append(unique, dataset.Text(dataset.SeriesInstanceUID, uid))
		}
		if sopInstance != "" {
			unique = append(unique, dataset.Text(sopInstanceUID, sopInstance))
		}
		required := []dataset.Tag{sopInstanceUID, instanceNumber, dataset.SeriesInstanceUID}
		err := l.ask(ctx, LevelImage, unique, required, optional, func(set *dataset.Set) {
			uid, of := single(set, sopInstanceUID), single(set, dataset.SeriesInstanceUID)
			if of == "" {
				of = series[n].SeriesInstanceUID
			}
			at, listed := l.series[of]
			switch _, known := l.instances[uid]; {
			case !validUID(uid):
				l.drop(set, withoutUID)
			case !listed || series[n].SeriesInstanceUID != "" && of != series[n].SeriesInstanceUID || sopInstance != "" && uid != sopInstance:
				l.drop(set, otherParent)
			case known:
				l.counts[repeated]++
			default:
				uid = strings.Clone(uid)
				l.take(ctx, perListed+len(uid))
				l.instances[uid] = struct{}{}
				class := single(set, sopClassUID)
				if _, seen := classes[class]; !seen && validUID(class) {
					classes[strings.Clone(class)] = strings.Clone(class)
				}
				i.Instances = append(i.Instances, ListedInstance{uid, classes[class], at, listedNumber(set, instanceNumber)})
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ask runs one C-FIND below the study and calls each for every match of it. A PACS that refuses the query is asked again with the
// required keys alone.
func (l *lister) ask(
	ctx context.Context, level Level, unique []*dataset.Element, required, optional []dataset.Tag, each func(*dataset.Set),
) error {
	err := l.askOnce(ctx, level, unique, slices.Concat(required, optional), each)
	if refused(err) && len(optional) > 0 {
		l.counts[optionalKeysRefused]++
		err = l.askOnce(ctx, level, unique, required, each)
	}
	return err
}

func (l *lister) askOnce(ctx context.Context, level Level, unique []*dataset.Element, returned []dataset.Tag, each func(*dataset.Set)) error {
	i := l.inventory
	if most := l.most; most > 0 && l.matched >= most {
		return &dicomnet.OpError{Step: dicomnet.StepFind, Err: &TooManyMatchesError{Max: most}}
	}
	query := withValues([]*dataset.Element{utf8CharacterSet(), dataset.Text(dataset.QueryRetrieveLevel, string(level))})
	for _, t := range returned {
		query = withValues(query.Elements, dataset.Text(t))
	}
	query = withValues(query.Elements, unique...)
	query = withValues(query.Elements, dataset.Text(dataset.StudyInstanceUID, i.StudyInstanceUID))
	if err := l.requireFind(ctx); err != nil {
		return err
	}
	if l.findModel == dicomnet.PatientRoot && literal(i.PatientID, 64) && i.PatientID != "" && level != LevelStudy {
		query = withValues(query.Elements, dataset.Text(dataset.PatientID, i.PatientID))
	}
	return l.matches(ctx, level, query, &l.tally, func(m dicomnet.Match) {
		l.matched++
		set := m.Set
		study := single(set, dataset.StudyInstanceUID)
		switch answered := set.String(dataset.QueryRetrieveLevel); {
		case m.Final && single(set, searchLevels[level].unique) == "": // the identifier of the final success is no match
		case answered != "" && answered != string(level):
			l.drop(set, otherLevel)
		case study != i.StudyInstanceUID && (level == LevelStudy || study != "" || set.Has(dataset.StudyInstanceUID)):
			l.drop(set, otherParent)
		default:
			each(set)
		}
	})
}

// listedNumber returns the value of an IS attribute, -1 if it has none.
func listedNumber(set *dataset.Set, t dataset.Tag) int64 {
	if n := numberOf(set, t); n != unnumbered {
		return n
	}
	return -1
}

// compareNumbers orders numbers, with those that are missing last.
func compareNumbers(a, b int64) int {
	last := func(n int64) int64 {
		if n == -1 {
			return unnumbered
		}
		return n
	}
	return cmp.Compare(last(a), last(b))
}

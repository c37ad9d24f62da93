package qr

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"slices"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
)

// RetrievalCheck says whether instances can be retrieved from a PACS.
type RetrievalCheck struct {
	Method pool.RetrieveMethod // RetrieveGet or RetrieveMove: what the PACS offers, within what its settings permit
	Get    dicomnet.ContextResult
	// Storage are the answers for common storage SOP classes; one is usable if it is accepted and SCP is set.
	Storage []dicomnet.NegotiatedContext
	// Err is why no association for C-GET was established; nil: one was.
	Err error
}

// Ready reports whether C-GET works: the PACS accepts it, and grants the role of SCP for at least one storage SOP class.
func (c *RetrievalCheck) Ready() bool {
	return c.Err == nil && c.Get == dicomnet.ContextAccepted &&
		slices.ContainsFunc(c.Storage, func(pc dicomnet.NegotiatedContext) bool { return pc.SCP })
}

// examinedStorage are the storage SOP classes of most archives: CT, MR, CR, digital X-ray, ultrasound and secondary capture.
var examinedStorage = []string{
	"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1",
	"1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.7",
}

// Examine is Echo, followed by a check of what retrieval needs, and, if probe is set, by C-FINDs that learn the profile of the PACS; see
// probe. A fault of the check of retrieval is part of its result; one of a C-FIND ends the report with an error.
func (g *Gateway) Examine(ctx context.Context, c Call, p Peer, probe bool) *EchoReport {
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	d := &echoOperation{operation: g.begin(c, p), tls: p.TLS, report: &EchoReport{}}
	defer d.End(ctx)
	if d.run(ctx); d.report.Err != nil {
		return d.report
	}
	d.report.Retrieval = d.examineRetrieval(ctx, p)
	if probe && ctx.Err() == nil {
		profile, err := d.probe(ctx)
		if err != nil {
			d.report.Err = pool.Failure(ctx, dicomnet.StepFind, err)
			return d.report
		}
		d.report.Profile = profile
	}
	return d.report
}

func (d *echoOperation) examineRetrieval(ctx context.Context, p Peer) *RetrievalCheck {
	check := &RetrievalCheck{Method: pool.RetrieveMove, Get: dicomnet.ContextNoReason}
	method := pool.RetrieveAuto
	if p.Settings != nil && p.Settings.Retrieve != "" {
		method = p.Settings.Retrieve
	}
	err := d.OpenToReceive(ctx, examinedStorage, d.preferred.Get)
	var contexts []dicomnet.NegotiatedContext
	if none, ok := errors.AsType[*dicomnet.NoContextError](err); ok {
		contexts = none.Contexts
	} else if err != nil {
		check.Err = err
	} else {
		contexts = d.Association().Contexts()
	}
	if len(contexts) > 0 {
		check.Get, check.Storage = contexts[0].Result, contexts[1:]
	}
	if method == pool.RetrieveGet || method == pool.RetrieveAuto && check.Ready() {
		check.Method = pool.RetrieveGet
	}
	return check
}

// probedStudyKeys are optional attributes at STUDY level that only some PACS match, each with a value that no study has.
var probedStudyKeys = [...]struct{ keyword, value string }{
	{"ModalitiesInStudy", "ZZ"},
	{"SOPClassesInStudy", "1.2.840.10008.1.1"}, // Verification, of which there are no instances
	{"NumberOfStudyRelatedSeries", "999999999"},
	{"NumberOfStudyRelatedInstances", "999999999"},
	{"StudyDescription", "NO STUDY HAS THIS"},
	{"InstitutionName", "NO STUDY HAS THIS"},
	{"PatientBirthDate", "17000101"},
	{"PatientSex", "Z"},
}

// probedDays are how far back a study is looked for, one after the other.
var probedDays = [...]int{30, 365, 3650}

// probe learns the profile. A PACS that does not support something often accepts the query and answers nothing, or everything, so
// that an empty answer proves nothing. Therefore the C-FINDs concern one recent study, of which they ask for UIDs only: what finds this
// study although it must not, or does not find it although it must, is not supported. In an archive without recent studies, and in the
// Patient Root model, which needs a Patient ID, nothing but the IMAGE level is proved.
//
// An error means that the PACS does not answer a C-FIND for one study, or that it did not answer in time.
func (d *echoOperation) probe(ctx context.Context) (*Profile, error) {
	unused := unusedUID()
	p := &Profile{Known: true}
	found, err := d.lookUp(ctx, LevelStudy, dataset.StudyInstanceUID, dataset.Text(dataset.StudyInstanceUID, unused))
	if err != nil {
		return nil, err
	}
	if found != "" {
		return p, nil // such a PACS ignores even unique keys
	}
	sopInstanceUID, _ := dataset.LookupKeyword("SOPInstanceUID")
	if p.ImageLevelFind, err = d.accepts(ctx, LevelImage,
		dataset.Text(dataset.StudyInstanceUID, unused), dataset.Text(dataset.SeriesInstanceUID, unused), dataset.Text(sopInstanceUID)); err != nil {
		return nil, err
	}
	if d.findModel == dicomnet.PatientRoot {
		return p, nil
	}
	study, err := d.recentStudy(ctx)
	if err != nil || study == "" {
		return p, err
	}
	return p, d.probeWith(ctx, p, study, unused)
}

// recentStudy returns the Study Instance UID of a recent study; "" if there is none that the PACS finds by its UID.
func (d *echoOperation) recentStudy(ctx context.Context) (string, error) {
	today := d.gateway.options.Now()
	for _, days := range probedDays {
		uid, err := d.look(ctx, LevelStudy, dataset.StudyInstanceUID,
			dataset.Text(dataset.StudyDate, today.AddDate(0, 0, -days).Format("20060102")+"-"), dataset.Text(dataset.StudyInstanceUID))
		if err != nil {
			return "", err
		}
		if uid != "" {
			again, err := d.look(ctx, LevelStudy, dataset.StudyInstanceUID, dataset.Text(dataset.StudyInstanceUID, uid))
			if again != uid {
				uid = ""
			}
			return uid, err
		}
	}
	return "", nil
}

// probeWith learns what one study shows.
func (d *echoOperation) probeWith(ctx context.Context, p *Profile, study, unused string) error {
	one := dataset.Text(dataset.StudyInstanceUID, study)
	found, err := d.look(ctx, LevelStudy, dataset.StudyInstanceUID, dataset.Text(dataset.StudyInstanceUID, unused, study))
	if err != nil {
		return err
	}
	p.UIDLists = found == study
	for _, probed := range probedStudyKeys {
		key, _ := dataset.LookupKeyword(probed.keyword)
		found, refused, err := d.ask(ctx, LevelStudy, dataset.StudyInstanceUID, one, dataset.Text(key, probed.value))
		if err != nil {
			return err
		}
		if found == "" && !refused {
			p.StudyKeys = append(p.StudyKeys, key)
		}
	}
	series, err := d.look(ctx, LevelSeries, dataset.SeriesInstanceUID, one, dataset.Text(dataset.SeriesInstanceUID))
	if err != nil || series == "" {
		return err
	}
	if found, err = d.look(ctx, LevelSeries, dataset.SeriesInstanceUID,
		dataset.Text(dataset.StudyInstanceUID), dataset.Text(dataset.SeriesInstanceUID, series)); err != nil || found != series {
		return err
	}
	// Some PACS answer relational queries at SERIES level only.
	sopInstanceUID, _ := dataset.LookupKeyword("SOPInstanceUID")
	instance, err := d.look(ctx, LevelImage, sopInstanceUID,
		one, dataset.Text(dataset.SeriesInstanceUID, series), dataset.Text(sopInstanceUID))
	if err != nil || instance == "" {
		return err
	}
	found, err = d.look(ctx, LevelImage, sopInstanceUID,
		dataset.Text(dataset.StudyInstanceUID), dataset.Text(dataset.SeriesInstanceUID), dataset.Text(sopInstanceUID, instance))
	p.RelationalQueries = found == instance
	return err
}

// accepts reports whether the PACS answers a C-FIND for something that it does not have as it should.
func (d *echoOperation) accepts(ctx context.Context, level Level, keys ...*dataset.Element) (bool, error) {
	found, refused, err := d.ask(ctx, level, dataset.StudyInstanceUID, keys...)
	return found == "" && !refused, err
}

// look returns the UID of the first match of a C-FIND; "" if there is none or the PACS refuses the query.
func (d *echoOperation) look(ctx context.Context, level Level, uid dataset.Tag, keys ...*dataset.Element) (string, error) {
	found, _, err := d.ask(ctx, level, uid, keys...)
	return found, err
}

// ask is lookUp that reports a refusal: a final status other than success, or the end of the association. The error is that of a PACS
// that does not answer in time, or of ctx.
func (d *echoOperation) ask(ctx context.Context, level Level, uid dataset.Tag, keys ...*dataset.Element) (found string, refused bool, err error) {
	found, err = d.lookUp(ctx, level, uid, keys...)
	if _, late := errors.AsType[*dicomnet.TimeoutError](err); err != nil && (late || ctx.Err() != nil) {
		return "", false, err
	}
	return found, err != nil, nil
}

// maxProbedMatches is how many matches of a probe are read before it is cancelled: most have one.
const maxProbedMatches = 100

// lookUp sends one C-FIND and returns the UID of the first match, or a word in its place if it has none. It keeps nothing else.
func (d *echoOperation) lookUp(ctx context.Context, level Level, uid dataset.Tag, keys ...*dataset.Element) (found string, err error) {
	if err := d.requireFind(ctx); err != nil {
		return "", err
	}
	if d.findModel == dicomnet.PatientRoot {
		keys = append(keys, dataset.Text(dataset.PatientID, "NOBODY-"+rand.Text())) // PS3.4 section C.6.1.1 requires it below its level
	}
	query := withValues([]*dataset.Element{utf8CharacterSet(), dataset.Text(dataset.QueryRetrieveLevel, string(level))}, keys...)
	during, end := d.Observe(ctx, dicomnet.StepFind)
	defer func() { end(err) }()
	n := 0
	for match, err := range d.Association().Find(during, d.findModel, query) {
		if _, undecoded := errors.AsType[*dicomnet.DataSetError](err); err != nil && !undecoded {
			return "", err
		}
		if n == 0 && match.Set != nil {
			found = match.String(uid)
		}
		if n++; n == maxProbedMatches {
			break
		}
	}
	if n > 0 {
		found = cmp.Or(found, "without UID")
	}
	return found, nil
}

// unusedUID returns a UID that was never used (PS3.5 section B.2).
func unusedUID() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return "2.25." + new(big.Int).SetBytes(random[:]).String()
}

package qr

import (
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
var examinedStorage = storageContexts(
	"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1",
	"1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.7",
)

func storageContexts(sopClasses ...string) []dicomnet.Context {
	var contexts []dicomnet.Context
	for _, class := range sopClasses {
		contexts = append(contexts, dicomnet.Context{
			AbstractSyntax:   class,
			TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian},
		})
	}
	return contexts
}

// Examine is Echo, followed by a check of what retrieval needs, and, if probe is set, by C-FINDs that learn the profile of the PACS. They
// name UIDs that no PACS has. A fault of the check of retrieval is part of its result; one of a C-FIND ends the report with an error.
func (g *Gateway) Examine(ctx context.Context, c Call, p Peer, probe bool) *EchoReport {
	ctx, cancel := g.Bounded(ctx)
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

// probedStudyKeys are optional attributes at STUDY level that only some PACS support.
var probedStudyKeys = [...]string{
	"ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
	"NumberOfPatientRelatedStudies", "StudyDescription", "InstitutionName", "PatientBirthDate", "PatientSex",
}

// probe learns the profile. An error means that the PACS does not answer a C-FIND for one study, or that it did not answer in time.
func (d *echoOperation) probe(ctx context.Context) (*Profile, error) {
	study, another := unusedUID(), unusedUID()
	one := dataset.Text(dataset.StudyInstanceUID, study)
	p := &Profile{Known: true}
	if err := d.ask(ctx, LevelStudy, one); errors.Is(err, errUnexpectedMatch) {
		return p, nil // nothing that such a PACS answers means anything
	} else if err != nil {
		return nil, err
	}
	sopInstanceUID, _ := dataset.LookupKeyword("SOPInstanceUID")
	series := dataset.Text(dataset.SeriesInstanceUID, another)
	for _, probe := range []struct {
		supported *bool
		level     Level
		keys      []*dataset.Element
	}{
		{&p.ImageLevelFind, LevelImage, []*dataset.Element{one, series, dataset.Text(sopInstanceUID)}},
		{&p.RelationalQueries, LevelSeries, []*dataset.Element{series}},
		{&p.UIDLists, LevelStudy, []*dataset.Element{dataset.Text(dataset.StudyInstanceUID, study, another)}},
	} {
		var err error
		if *probe.supported, err = d.accepts(ctx, probe.level, probe.keys...); err != nil {
			return nil, err
		}
	}
	for _, keyword := range probedStudyKeys {
		key, _ := dataset.LookupKeyword(keyword)
		supported, err := d.accepts(ctx, LevelStudy, one, dataset.Text(key))
		if err != nil {
			return nil, err
		}
		if supported {
			p.StudyKeys = append(p.StudyKeys, key)
		}
	}
	return p, nil
}

// accepts reports whether the PACS answers a C-FIND for something that it does not have as it should. A PACS that ends the association
// does not; the error is that of a PACS that does not answer in time, or of ctx.
func (d *echoOperation) accepts(ctx context.Context, level Level, keys ...*dataset.Element) (bool, error) {
	err := d.ask(ctx, level, keys...)
	_, late := errors.AsType[*dicomnet.TimeoutError](err)
	if err != nil && (late || ctx.Err() != nil) {
		return false, err
	}
	return err == nil, nil
}

// errUnexpectedMatch reports a match for a UID that no PACS has: the PACS ignores the key.
var errUnexpectedMatch = errors.New("a match for an unused UID")

// ask sends one C-FIND that matches nothing. It reads at most one match and keeps nothing of it.
func (d *echoOperation) ask(ctx context.Context, level Level, keys ...*dataset.Element) error {
	if err := d.requireFind(ctx); err != nil {
		return err
	}
	if d.findModel == dicomnet.PatientRoot {
		keys = append(keys, dataset.Text(dataset.PatientID, unusedPatientID())) // PS3.4 section C.6.1.1 requires it below its level
	}
	query := withValues([]*dataset.Element{utf8CharacterSet(), dataset.Text(dataset.QueryRetrieveLevel, string(level))}, keys...)
	during, end := d.Observe(ctx, dicomnet.StepFind)
	var result error
	for _, err := range d.Association().Find(during, d.findModel, query) {
		if result = err; err == nil {
			result = errUnexpectedMatch
		}
		break
	}
	end(result)
	return result
}

// unusedUID returns a UID that was never used (PS3.5 section B.2).
func unusedUID() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return "2.25." + new(big.Int).SetBytes(random[:]).String()
}

func unusedPatientID() string { return "NOBODY-" + rand.Text() }

package qr

import (
	"context"
	"errors"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

// Search is a query at one level with any keys. Zero fields do not restrict.
type Search struct {
	Level Level // LevelStudy, LevelSeries or LevelImage
	// StudyInstanceUID and SeriesInstanceUID name the study and the series whose series and instances are asked for.
	StudyInstanceUID, SeriesInstanceUID string
	// Keys are the matching keys (PS3.4 section C.2.2.2). Every match is checked against all of them. Keys of a level above Level
	// are checked on the study or series that a match belongs to. Modalities in Study is no key: see Modalities.
	Keys []match.Key
	// Modalities selects studies with at least one of these modalities.
	Modalities []string
	// Include are attributes to return, beside those that [SearchAttributes] marks as defaults. Those of a lower level are left
	// out. IncludeAll asks for every attribute of the table and keeps whatever the PACS returns.
	Include    []match.Path
	IncludeAll bool
	// Limit and Offset select a page of the matches in their order. Limit zero: all of them.
	Limit, Offset int
}

// SearchResult is a complete answer, or one whose warnings say what is missing.
type SearchResult struct {
	// Matches are the page that was asked for. Studies are in the order of date and time, newest first, those without a readable
	// date last; series and instances in the order of their number, those without one last. The UID decides between equals, so
	// that the order depends on the content of the PACS alone.
	Matches []*Match
	// More reports that at least one match follows the page.
	More     bool
	Warnings []Warning
}

// Match is a study, series or instance that matches. Matches of one result share memory: they are read by one goroutine at a
// time.
type Match struct {
	// The UIDs down to the level of the match, even if the PACS returned only the last. Those of lower levels are "".
	StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID string
	// Modalities are those of a study: all that the PACS listed for it, or those of its series if they were asked for. nil: they
	// are unknown, whatever Set has.
	Modalities []string
	// RelatedSeries and RelatedInstances are the numbers of series and instances of the study, or of instances of the series, if
	// the PACS does not return them and they were counted by queries at lower levels. Zero: see Set.
	RelatedSeries, RelatedInstances int

	set    *dataset.Set
	parent *Match
}

// Set returns the attributes that the PACS returned for the match. If it listed the match more than once, they are merged.
func (m *Match) Set() *dataset.Set { return m.set }

// Parent returns the study of a series, or the series of an instance, with its attributes, if the search had to find it. It is nil
// if the caller named it or if the match itself has the attributes. Matches share their parents.
func (m *Match) Parent() *Match { return m.parent }

// Search runs a query at one level. Nothing in the result depends on the PACS having applied a key: a match that differs from
// one is dropped. A match that lacks the attribute of a key is dropped too, unless the profile of the PACS says that it supports
// the key; a warning reports either.
//
// A search for studies with a limit, but without a single Study Instance UID, Patient ID or Accession Number, asks for one range
// of Study Date after the other, newest first, until it has enough studies. A search for series or instances without their study
// goes to a PACS with relational queries as it is; for another PACS the studies that Patient ID or Study Instance UID name are
// searched one by one.
//
// The error is a *FilterError, a *SearchTooBroadError, a *ModalityUnknownError, a *RelationalQueryError, or one of those of
// Query.
func (g *Gateway) Search(_ context.Context, _ Call, _ Peer, _ Search) (*SearchResult, error) {
	return nil, errors.ErrUnsupported
}

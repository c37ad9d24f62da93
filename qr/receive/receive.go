// Package receive retrieves instances: it asks a PACS which instances a study, series or instance consists of, receives them by C-GET or
// by C-MOVE to the gateway, whichever the PACS offers, and decides whether all of them arrived. Callers read one sequence of instances,
// whichever way they came.
package receive

import (
	"io"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr"
)

// Target is what is retrieved: a study, one of its series, or one instance. UIDs below its level are "".
type Target = qr.Target

// Inventory is what a PACS lists below a Target. It is read only.
type Inventory = qr.Inventory

// Request is one retrieval.
type Request struct {
	Target
	Call qr.Call
	Peer qr.Peer
	// Uncompressed proposes only uncompressed transfer syntaxes, so that a PACS that can decompress does so. Instances that do not
	// arrive are asked for again, in the compressed transfer syntaxes that package transcode converts.
	Uncompressed bool
}

// Arrived is an instance that has arrived, or is arriving. Reader and WriterTo give its data set, in its transfer syntax; they fail with
// an error other than io.EOF if the rest does not come. It is valid until the next iteration.
type Arrived struct {
	SOPClassUID, SOPInstanceUID         string
	StudyInstanceUID, SeriesInstanceUID string
	TransferSyntax                      dataset.TransferSyntax
	io.Reader
	io.WriterTo
}

// Basis is the evidence for the completeness of a retrieval.
type Basis string

// The bases.
const (
	// BasisInventory: every instance that the PACS lists at IMAGE level has arrived.
	BasisInventory Basis = "inventory"
	// BasisStatus: the PACS lists no instances; its final status and its counters say that it sent everything.
	BasisStatus Basis = "status"
)

// Way is how the instances reached the gateway.
type Way string

// The ways.
const (
	WayGet         Way = "get"
	WayMove        Way = "move"
	WayGetThenMove Way = "get,move"
	WayMoveThenGet Way = "move,get"
	// WayShared: by the retrieval of another caller, which asked for the same target first.
	WayShared Way = "shared"
	// WayCache: from the cache, which had all of them.
	WayCache Way = "cache"
)

// Outcome says how a retrieval ended.
type Outcome struct {
	// Status is ok if the retrieval is complete, partial if some instances arrived, failed if none did, and cancelled if the caller
	// left or the operation timeout ended it.
	Status   qr.RetrievalStatus
	Complete bool
	// Missing are the SOP Instance UIDs that are known to be missing. More may be missing than are listed: see MissingCount.
	Missing      []string
	MissingCount int   // at least this many instances are missing; zero with Complete false: unknown
	Received     int   // distinct instances that were handed over
	Bytes        int64 // of their data sets
	Unexpected   int   // of those, how many the inventory does not list
	Duplicates   int   // instances that came again and were dropped
	Differing    int   // of those, how many had another size than the first
	Refused      int   // instances that were not asked for, and were refused
	Basis        Basis
	Way          Way // "": nothing was asked for
	// Err is the reason why the retrieval is not complete; nil if it is. It is a *dicomnet.OpError if the PACS or the association failed.
	Err error
}

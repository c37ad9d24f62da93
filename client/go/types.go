package client

import (
	"github.com/oapi-codegen/runtime/types"

	"dicom-qr-gateway/gen/goclient"
)

// Requests.
type (
	// QueryRequest is the request of [Gateway.Query].
	QueryRequest = goclient.QueryRequest
	// RetrieveRequest is the request of [Gateway.Retrieve] and [Gateway.Follow].
	RetrieveRequest = goclient.RetrieveRequest
	// EchoRequest is the request of [Gateway.Echo].
	EchoRequest = goclient.EchoRequest
	// Modalities filters studies by modality. It is a []string.
	Modalities = goclient.Modalities
	// StudyInstanceUIDs filters studies by Study Instance UID. It is a []string. A nil list is no restriction; the gateway
	// refuses an empty one that is not nil.
	StudyInstanceUIDs = goclient.StudyInstanceUIDs
	// JobRequest is the request of [Gateway.SubmitJob].
	JobRequest = goclient.JobRequest
	// JobItem selects studies for a [JobRequest].
	JobItem = goclient.JobItem
	// JobPriority says which jobs go first.
	JobPriority = goclient.JobPriority
	// JobParameters are the fields of a JobRequest except for the items, for [Gateway.SubmitJobCSV].
	JobParameters = goclient.FileJobParams
	// Date is a date without a time, as in the filters StudyDateFrom and StudyDateTo.
	Date = types.Date
)

// Responses.
type (
	// QueryResponse is the response of [Gateway.Query].
	QueryResponse = goclient.QueryResponse
	// RetrieveResponse is the response of [Gateway.Retrieve].
	RetrieveResponse = goclient.RetrieveResponse
	// RetrieveResponseStatus says whether all studies were moved or only some of them.
	RetrieveResponseStatus = goclient.RetrieveResponseStatus
	// ResultEventStatus is the RetrieveResponseStatus of a [ResultEvent].
	ResultEventStatus = goclient.ResultEventStatus
	// Study is a study that matched.
	Study = goclient.Study
	// Retrieval is the outcome of one study.
	Retrieval = goclient.Retrieval
	// RetrievalStatus says how the move of one study ended.
	RetrievalStatus = goclient.RetrievalStatus
	// Job is the state of a job, with its counters.
	Job = goclient.Job
	// JobState is the state of a [Job].
	JobState = goclient.JobState
	// JobCounts are the counters of a Job: how many of its items are in each state.
	JobCounts = goclient.JobCounts
	// JobPage is a Job with a page of its items.
	JobPage = goclient.JobPage
	// JobList is a page of jobs.
	JobList = goclient.JobList
	// JobItemReport is an item of a Job with its outcome.
	JobItemReport = goclient.JobItemReport
	// JobItemState is the state of an item.
	JobItemState = goclient.JobItemState
	// JobStudy is a study that a dry run found.
	JobStudy = goclient.JobStudy
	// Warning is a remark on a response.
	Warning = goclient.Warning
	// WarningCode identifies the kind of a [Warning].
	WarningCode = goclient.WarningCode
	// EchoResponse is the response of [Gateway.Echo].
	EchoResponse = goclient.EchoResponse
	// EchoStep is the outcome of one step of a connection test.
	EchoStep = goclient.EchoStep
	// EchoStepStep names a step of a connection test.
	EchoStepStep = goclient.EchoStepStep
	// EchoStepStatus says how a step of a connection test ended.
	EchoStepStatus = goclient.EchoStepStatus
	// EchoContext is the outcome of the negotiation of one presentation context.
	EchoContext = goclient.EchoContext
	// EchoContextService names the DIMSE service of an [EchoContext].
	EchoContextService = goclient.EchoContextService
)

// Problems.
type (
	// Problem is a problem document (RFC 9457). [ProblemError] wraps it.
	Problem = goclient.Problem
	// ProblemCode identifies the kind of a [Problem].
	ProblemCode = goclient.ProblemCode
	// Fault is one fault of an invalid request.
	Fault = goclient.Fault
	// DICOMObject is a match of [Gateway.Search] in the DICOM JSON Model. Its keys are tags, such as 0020000D.
	DICOMObject = goclient.DICOMObject
	// DICOMAttribute is one attribute of a DICOMObject.
	DICOMAttribute = goclient.DICOMAttribute
	// DICOMFault is the DICOM cause of a failed operation.
	DICOMFault = goclient.DICOMFault
	// DICOMFaultStep names the step at which an operation failed.
	DICOMFaultStep = goclient.DICOMFaultStep
)

// The values of [RetrieveResponseStatus].
const (
	RetrieveResponseStatusOk      = goclient.RetrieveResponseStatusOk
	RetrieveResponseStatusPartial = goclient.RetrieveResponseStatusPartial
)

// The values of [ResultEventStatus].
const (
	ResultEventStatusOk      = goclient.ResultEventStatusOk
	ResultEventStatusPartial = goclient.ResultEventStatusPartial
)

// The values of [RetrievalStatus].
const (
	RetrievalStatusCancelled    = goclient.RetrievalStatusCancelled
	RetrievalStatusFailed       = goclient.RetrievalStatusFailed
	RetrievalStatusNotAttempted = goclient.RetrievalStatusNotAttempted
	RetrievalStatusOk           = goclient.RetrievalStatusOk
	RetrievalStatusPartial      = goclient.RetrievalStatusPartial
)

// The values of [JobState].
const (
	JobStateQueued    = goclient.JobStateQueued
	JobStateRunning   = goclient.JobStateRunning
	JobStateWaiting   = goclient.JobStateWaiting
	JobStateFinished  = goclient.JobStateFinished
	JobStateCancelled = goclient.JobStateCancelled
)

// The values of [JobItemState].
const (
	JobItemStateQueued         = goclient.JobItemStateQueued
	JobItemStateRunning        = goclient.JobItemStateRunning
	JobItemStateWaiting        = goclient.JobItemStateWaiting
	JobItemStateMoved          = goclient.JobItemStateMoved
	JobItemStatePartial        = goclient.JobItemStatePartial
	JobItemStateFailed         = goclient.JobItemStateFailed
	JobItemStateNoStudyMatched = goclient.JobItemStateNoStudyMatched
	JobItemStateCancelled      = goclient.JobItemStateCancelled
	JobItemStateFound          = goclient.JobItemStateFound
)

// The values of [JobPriority].
const (
	JobPriorityLow    = goclient.JobPriorityLow
	JobPriorityNormal = goclient.JobPriorityNormal
	JobPriorityHigh   = goclient.JobPriorityHigh
)

// The values of [WarningCode].
const (
	AccessionNumberUnknown    = goclient.AccessionNumberUnknown
	CharacterSetAssumed       = goclient.CharacterSetAssumed
	CharacterSetUnknown       = goclient.CharacterSetUnknown
	DataSetMissing            = goclient.DataSetMissing
	TextCut                   = goclient.TextCut
	FailedInstancesCut        = goclient.FailedInstancesCut
	DuplicatesMerged          = goclient.DuplicatesMerged
	MatchUndecodable          = goclient.MatchUndecodable
	ModalitiesUnknown         = goclient.ModalitiesUnknown
	NoStudyInstanceUIDDropped = goclient.NoStudyInstanceUIDDropped
	OptionalKeysUnsupported   = goclient.OptionalKeysUnsupported
	OtherPatientDropped       = goclient.OtherPatientDropped
	PatientIdentityAmbiguous  = goclient.PatientIdentityAmbiguous
	TextUndecodable           = goclient.TextUndecodable
	TransferSyntaxAssumed     = goclient.TransferSyntaxAssumed
	UndatedDropped            = goclient.UndatedDropped
	ValueMalformed            = goclient.ValueMalformed
)

// The values of [ProblemCode].
const (
	ProblemCodeAssociationAborted         = goclient.ProblemCodeAssociationAborted
	ProblemCodeAssociationRejected        = goclient.ProblemCodeAssociationRejected
	ProblemCodeAssociationReleased        = goclient.ProblemCodeAssociationReleased
	ProblemCodeAssociationTimeout         = goclient.ProblemCodeAssociationTimeout
	ProblemCodeAuditFailed                = goclient.ProblemCodeAuditFailed
	ProblemCodeEventsGone                 = goclient.ProblemCodeEventsGone
	ProblemCodeIdempotencyKeyReused       = goclient.ProblemCodeIdempotencyKeyReused
	ProblemCodeJobFinished                = goclient.ProblemCodeJobFinished
	ProblemCodeJobNotFinished             = goclient.ProblemCodeJobNotFinished
	ProblemCodeJobNotFound                = goclient.ProblemCodeJobNotFound
	ProblemCodeJobsDisabled               = goclient.ProblemCodeJobsDisabled
	ProblemCodeJobsUnavailable            = goclient.ProblemCodeJobsUnavailable
	ProblemCodeNothingToRetry             = goclient.ProblemCodeNothingToRetry
	ProblemCodeTooManyJobs                = goclient.ProblemCodeTooManyJobs
	ProblemCodeModalityUnknown            = goclient.ProblemCodeModalityUnknown
	ProblemCodeRelationalQueryUnsupported = goclient.ProblemCodeRelationalQueryUnsupported
	ProblemCodeAuditUnavailable           = goclient.ProblemCodeAuditUnavailable
	ProblemCodeCancelled                  = goclient.ProblemCodeCancelled
	ProblemCodeConnectionLost             = goclient.ProblemCodeConnectionLost
	ProblemCodeConnectionTimeout          = goclient.ProblemCodeConnectionTimeout
	ProblemCodeConnectionRefused          = goclient.ProblemCodeConnectionRefused
	ProblemCodeDIMSETimeout               = goclient.ProblemCodeDIMSETimeout
	ProblemCodeDraining                   = goclient.ProblemCodeDraining
	ProblemCodeEchoFailed                 = goclient.ProblemCodeEchoFailed
	ProblemCodeFindFailed                 = goclient.ProblemCodeFindFailed
	ProblemCodeHostNotAllowed             = goclient.ProblemCodeHostNotAllowed
	ProblemCodeInternalError              = goclient.ProblemCodeInternalError
	ProblemCodeInvalidRequest             = goclient.ProblemCodeInvalidRequest
	ProblemCodeLimitExceeded              = goclient.ProblemCodeLimitExceeded
	ProblemCodeMethodNotAllowed           = goclient.ProblemCodeMethodNotAllowed
	ProblemCodeNotAcceptable              = goclient.ProblemCodeNotAcceptable
	ProblemCodeSearchTooBroad             = goclient.ProblemCodeSearchTooBroad
	ProblemCodeMoveDestinationUnknown     = goclient.ProblemCodeMoveDestinationUnknown
	ProblemCodeMoveFailed                 = goclient.ProblemCodeMoveFailed
	ProblemCodeMoveTimeout                = goclient.ProblemCodeMoveTimeout
	ProblemCodeNameResolutionFailed       = goclient.ProblemCodeNameResolutionFailed
	ProblemCodeNetworkTimeout             = goclient.ProblemCodeNetworkTimeout
	ProblemCodeNoPresentationContext      = goclient.ProblemCodeNoPresentationContext
	ProblemCodeNoStudyMatched             = goclient.ProblemCodeNoStudyMatched
	ProblemCodeNotADicomPeer              = goclient.ProblemCodeNotADicomPeer
	ProblemCodeOperationTimeout           = goclient.ProblemCodeOperationTimeout
	ProblemCodePACSBusy                   = goclient.ProblemCodePACSBusy
	ProblemCodePACSNotAllowed             = goclient.ProblemCodePACSNotAllowed
	ProblemCodePACSUnknown                = goclient.ProblemCodePACSUnknown
	ProblemCodePACSUnreachable            = goclient.ProblemCodePACSUnreachable
	ProblemCodePayloadTooLarge            = goclient.ProblemCodePayloadTooLarge
	ProblemCodeProtocolError              = goclient.ProblemCodeProtocolError
	ProblemCodeRouteNotFound              = goclient.ProblemCodeRouteNotFound
	ProblemCodeTLSExpected                = goclient.ProblemCodeTLSExpected
	ProblemCodeTLSFailed                  = goclient.ProblemCodeTLSFailed
	ProblemCodeTooManyMatches             = goclient.ProblemCodeTooManyMatches
	ProblemCodeTooManyOpenFiles           = goclient.ProblemCodeTooManyOpenFiles
	ProblemCodeTooManyOperations          = goclient.ProblemCodeTooManyOperations
	ProblemCodeTooManyRequests            = goclient.ProblemCodeTooManyRequests
	ProblemCodeUnauthorized               = goclient.ProblemCodeUnauthorized
	ProblemCodeUnsupportedMediaType       = goclient.ProblemCodeUnsupportedMediaType
	ProblemCodeAnswerTooLarge             = goclient.ProblemCodeAnswerTooLarge
	ProblemCodeMemoryBusy                 = goclient.ProblemCodeMemoryBusy
	ProblemCodeGetFailed                  = goclient.ProblemCodeGetFailed
	ProblemCodeHTTPVersionUnsupported     = goclient.ProblemCodeHTTPVersionUnsupported
	ProblemCodeNotFound                   = goclient.ProblemCodeNotFound
	ProblemCodeRangeNotSatisfiable        = goclient.ProblemCodeRangeNotSatisfiable
	ProblemCodeRenderingUnsupported       = goclient.ProblemCodeRenderingUnsupported
	ProblemCodeRetrievalUnsupported       = goclient.ProblemCodeRetrievalUnsupported
	ProblemCodeRetrieveIncomplete         = goclient.ProblemCodeRetrieveIncomplete
	ProblemCodeSpoolFull                  = goclient.ProblemCodeSpoolFull
	ProblemCodeTransferSyntaxUnavailable  = goclient.ProblemCodeTransferSyntaxUnavailable
)

// The values of [DICOMFaultStep].
const (
	DICOMFaultStepAssociate = goclient.DICOMFaultStepAssociate
	DICOMFaultStepConnect   = goclient.DICOMFaultStepConnect
	DICOMFaultStepEcho      = goclient.DICOMFaultStepEcho
	DICOMFaultStepFind      = goclient.DICOMFaultStepFind
	DICOMFaultStepMove      = goclient.DICOMFaultStepMove
	DICOMFaultStepResolve   = goclient.DICOMFaultStepResolve
	DICOMFaultStepTLS       = goclient.DICOMFaultStepTLS
	DICOMFaultStepGet       = goclient.DICOMFaultStepGet
)

// The values of [EchoStepStep].
const (
	EchoStepStepAssociate = goclient.EchoStepStepAssociate
	EchoStepStepConnect   = goclient.EchoStepStepConnect
	EchoStepStepEcho      = goclient.EchoStepStepEcho
	EchoStepStepResolve   = goclient.EchoStepStepResolve
	EchoStepStepTLS       = goclient.EchoStepStepTLS
)

// The values of [EchoStepStatus].
const (
	EchoStepStatusFailed  = goclient.EchoStepStatusFailed
	EchoStepStatusOk      = goclient.EchoStepStatusOk
	EchoStepStatusSkipped = goclient.EchoStepStatusSkipped
)

// The values of [EchoContextService].
const (
	EchoService = goclient.EchoService
	FindService = goclient.FindService
	MoveService = goclient.MoveService
)

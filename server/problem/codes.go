package problem

import (
	"net/http"

	"dicom-qr-gateway/gen/api"
)

// kind holds what all problems of one code have in common.
type kind struct {
	status        int
	title, detail string
}

var kinds = map[api.ProblemCode]kind{
	api.ProblemCodeInvalidRequest:            {400, "Invalid request", "The request does not conform to the contract."},
	api.ProblemCodePACSUnknown:               {400, "PACS unknown", "No PACS of this name is configured. GET /pacs lists those that are."},
	api.ProblemCodePACSNotAllowed:            {403, "PACS not allowed", "The gateway is not allowed to connect to this PACS."},
	api.ProblemCodeNoStudyMatched:            {404, "No study matched", "The PACS has no study of this patient that matches all filters."},
	api.ProblemCodeNotFound:                  {404, "Not found", "The PACS has no such study, series or instance."},
	api.ProblemCodeJobNotFound:               {404, "Job not found", "This caller has no such job, or it is no longer kept."},
	api.ProblemCodeRouteNotFound:             {404, "Route not found", "This route does not exist."},
	api.ProblemCodeMethodNotAllowed:          {405, "Method not allowed", "This route does not support this method; the Allow header lists those that it supports."},
	api.ProblemCodeNotAcceptable:             {406, "Not acceptable", "The response can be application/dicom+json or application/json. The header Accept, or the parameter accept, permits neither."},
	api.ProblemCodeTransferSyntaxUnavailable: {406, "Transfer syntax unavailable", "The PACS stores an instance in a transfer syntax that the request does not permit and that cannot be converted. Permit any with transfer-syntax=*."},
	api.ProblemCodeIdempotencyKeyReused:      {409, "Idempotency key reused", "Another request of this caller had this Idempotency-Key. Choose another key for another request."},
	api.ProblemCodeJobNotFinished:            {409, "Job not finished", "The job is not finished. Wait for it, or cancel it first."},
	api.ProblemCodeJobFinished:               {409, "Job finished", "The job is finished. There is nothing to cancel."},
	api.ProblemCodeNothingToRetry:            {409, "Nothing to retry", "No item of the job failed, was moved in part, or was cancelled."},
	api.ProblemCodeEventsGone:                {410, "Events gone", "The events after this ID are no longer kept. Read the job, and follow it without Last-Event-ID."},
	api.ProblemCodeSearchTooBroad:            {413, "Search too broad", "The PACS has more matches than the gateway accepts. Narrow the search, or search studies with a limit."},
	api.ProblemCodePayloadTooLarge:           {413, "Payload too large", "The body exceeds 64 KiB."},
	api.ProblemCodeUnsupportedMediaType:      {415, "Unsupported media type", "Send the header Content-Type: application/json. The body must be JSON in UTF-8, without a content encoding."},
	api.ProblemCodeRangeNotSatisfiable:       {416, "Range not satisfiable", "The value has no byte in this range."},
	api.ProblemCodeHostNotAllowed:            {421, "Host not allowed", "The gateway does not answer to this host name."},
	api.ProblemCodeTooManyRequests:           {429, "Too many requests", "This caller has as many requests in progress as its share allows. Try again later."},
	api.ProblemCodeTooManyJobs:               {429, "Too many jobs", "This caller has as many unfinished jobs as it may. Wait until one is finished, or cancel one."},
	api.ProblemCodeInternalError:             {500, "Internal error", "The gateway encountered an unexpected error."},

	api.ProblemCodeJobsDisabled:               {501, "Jobs disabled", "This gateway accepts no jobs."},
	api.ProblemCodeModalityUnknown:            {501, "Modality unknown", "The PACS does not return the modalities of its studies, and too many studies match to ask for them one by one. Narrow the search."},
	api.ProblemCodeRelationalQueryUnsupported: {501, "Relational query unsupported", "The PACS searches series and instances below a study only. Name the study in the path, or give PatientID or StudyInstanceUID."},
	api.ProblemCodeRenderingUnsupported:       {501, "Rendering unsupported", "The gateway cannot decode the pixel data of this instance, and the PACS does not send it without compression."},

	api.ProblemCodeNameResolutionFailed:   {502, "Name resolution failed", "The host name of the PACS has no address."},
	api.ProblemCodeConnectionRefused:      {502, "Connection refused", "Nothing accepts connections at this host and port."},
	api.ProblemCodePACSUnreachable:        {502, "PACS unreachable", "Could not connect to the PACS."},
	api.ProblemCodeConnectionTimeout:      {502, "Connection timeout", "Could not connect to the PACS in time."},
	api.ProblemCodeConnectionLost:         {502, "Connection lost", "The PACS closed the connection unexpectedly."},
	api.ProblemCodeTLSFailed:              {502, "TLS failed", "The TLS handshake with the PACS failed."},
	api.ProblemCodeTLSExpected:            {502, "TLS expected", "The PACS expects TLS. Set pacs_tls to true."},
	api.ProblemCodeNotADicomPeer:          {502, "Not a DICOM peer", "The server at this host and port does not speak DICOM."},
	api.ProblemCodeAssociationRejected:    {502, "Association rejected", "The PACS rejected the association."},
	api.ProblemCodeAssociationAborted:     {502, "Association aborted", "The association was aborted."},
	api.ProblemCodeAssociationReleased:    {502, "Association released", "The PACS released the association during the operation."},
	api.ProblemCodeAssociationTimeout:     {502, "Association timeout", "The PACS did not answer the association request in time."},
	api.ProblemCodeNoPresentationContext:  {502, "No presentation context", "The PACS does not offer this service to this calling AE title."},
	api.ProblemCodeEchoFailed:             {502, "C-ECHO failed", "The PACS answered C-ECHO with a failure."},
	api.ProblemCodeFindFailed:             {502, "C-FIND failed", "The PACS answered C-FIND with a failure."},
	api.ProblemCodeGetFailed:              {502, "C-GET failed", "The PACS answered C-GET with a failure."},
	api.ProblemCodeRetrievalUnsupported:   {502, "Retrieval unsupported", "The PACS offers no way to retrieve instances."},
	api.ProblemCodeRetrieveIncomplete:     {502, "Retrieve incomplete", "The PACS did not send all instances that it has, although it was asked for them twice."},
	api.ProblemCodeDIMSETimeout:           {502, "DIMSE timeout", "The PACS did not respond in time."},
	api.ProblemCodeMoveFailed:             {502, "C-MOVE failed", "Nothing was moved."},
	api.ProblemCodeMoveDestinationUnknown: {502, "Move destination unknown", "The PACS does not know the move destination."},
	api.ProblemCodeMoveTimeout:            {502, "C-MOVE timeout", "The PACS did not respond to C-MOVE in time."},
	api.ProblemCodeNetworkTimeout:         {502, "Network timeout", "The PACS stopped sending in the middle of a message."},
	api.ProblemCodeTooManyMatches:         {502, "Too many matches", "The PACS sent more matches than the gateway accepts. Narrow the query."},
	api.ProblemCodeAnswerTooLarge:         {502, "Answer too large", "The matches of the PACS need more memory than one operation may use. Narrow the query."},
	api.ProblemCodeLimitExceeded:          {502, "Limit exceeded", "The PACS sent more data than the gateway accepts."},
	api.ProblemCodeProtocolError:          {502, "Protocol error", "The PACS violated the DICOM protocol."},
	api.ProblemCodeCancelled:              {502, "Cancelled", "The operation was cancelled before anything was moved."},
	api.ProblemCodeOperationTimeout:       {502, "Operation timeout", "The operation took longer than the gateway allows."},

	api.ProblemCodeUnauthorized:     {401, http.StatusText(http.StatusUnauthorized), "Valid credentials are required: an API key, a client certificate, or both."},
	api.ProblemCodeAuditFailed:      {500, "Audit failed", "The operation ran but could not be recorded, so its result is withheld."},
	api.ProblemCodeAuditUnavailable: {503, "Audit unavailable", "The audit trail cannot be written. The gateway runs no operations without it."},

	api.ProblemCodeJobsUnavailable:   {503, "Jobs unavailable", "The storage for jobs does not answer. Jobs that are filed are not lost. Try again later."},
	api.ProblemCodeDraining:          {503, "Shutting down", "The gateway is shutting down and accepts no new operations."},
	api.ProblemCodePACSBusy:          {503, "PACS busy", "No association with this PACS became free in time. Try again later."},
	api.ProblemCodeMemoryBusy:        {503, "Memory busy", "Other operations use the memory that this one needs. Try again later."},
	api.ProblemCodeSpoolFull:         {503, "Spool full", "The gateway has no room for what the PACS sends. Try again later."},
	api.ProblemCodeTooManyOpenFiles:  {503, "Too many open files", "The gateway has no free file descriptor for a connection to the PACS."},
	api.ProblemCodeTooManyOperations: {503, "Too many operations", "The gateway already runs as many operations as it allows. Try again later."},

	api.ProblemCodeHTTPVersionUnsupported: {505, "HTTP version unsupported", "HTTP/1.0 cannot express a response that is broken off. Use HTTP/1.1 or HTTP/2."},
}

// hintsOfTheGateway are the hints of codes that have only one.
var hintsOfTheGateway = map[api.ProblemCode]string{
	api.ProblemCodeHostNotAllowed:         "To permit this host name, add it to ALLOWED_HOSTS. The host name is not checked if the gateway requires API keys or serves HTTPS, or if a proxy of TRUSTED_PROXIES sends the request.",
	api.ProblemCodeTooManyOpenFiles:       noFileDescriptor,
	api.ProblemCodeJobsDisabled:           "The operator can set NATS_URL to a JetStream server, or JOBS_DIR to a directory in which this gateway keeps its jobs.",
	api.ProblemCodeJobsUnavailable:        "The operator can see in the log of the gateway why NATS does not answer. Check that it runs, and NATS_URL and its credentials.",
	api.ProblemCodeRetrieveIncomplete:     "Check the log of the PACS for the instances that it could not send. Often it stores them in a transfer syntax that the request does not permit: try transfer-syntax=*. If nothing arrives by C-MOVE, check the host and port that it has for the AE titles of STORE_AE_TITLES.",
	api.ProblemCodeRetrievalUnsupported:   "The PACS does not accept C-GET from this calling AE title. Permit it at the PACS, or set STORE_LISTEN_ADDR and register an AE title of STORE_AE_TITLES at the PACS, so that the gateway can use C-MOVE.",
	api.ProblemCodeHTTPVersionUnsupported: "A proxy before the gateway uses HTTP/1.0. In nginx, set proxy_http_version 1.1.",
}

// Package client calls a DICOM Query/Retrieve gateway.
//
// [Gateway] is the way in: [Gateway.Query] finds the studies of a patient, [Gateway.Retrieve] has them moved,
// [Gateway.Follow] does the same and tells how far it is, [Gateway.Echo] checks the way to a PACS.
//
// What is returned without an error is complete, with one exception that says so: a RetrieveResponse with the status
// partial, where some of it was moved and not all. Its Retrievals tell which; ask again with their StudyInstanceUIDs.
//
// Errors are of four kinds, for [errors.AsType] and [errors.Is]:
//
//   - [*ProblemError]: the gateway said why not. Branch on its Code; RetryAfter is set where another attempt makes sense.
//   - [*ReplyError]: something answered that is not the gateway, a proxy for example, or a redirect, which is not followed.
//   - [ErrCutOff]: the stream of Follow ended in the middle. What came of the operation is unknown: a retry does no harm.
//   - any other: the request was not sent or its answer not received, as told by net/http. It may have been carried out.
//
// A context that ends while a call runs ends the operation at the PACS, too (C-CANCEL). No call has a time limit of its
// own: a retrieve takes as long as it takes.
//
// Requests, answers and the types of [Client] and [ClientWithResponses], which know the other routes too, are generated from
// openapi.yaml. The package needs nothing of the gateway's own packages, and no HTTP framework.
package client

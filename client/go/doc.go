// Package client calls a DICOM Query/Retrieve gateway.
//
// Start with [NewGateway]. [Gateway.Query] finds the studies of a patient, [Gateway.Retrieve] moves them,
// [Gateway.Follow] moves them and reports progress, and [Gateway.Echo] tests the connection to a PACS. [Gateway.SubmitJob] files a
// batch, which the gateway works on in the background, and [Gateway.FollowJob] reports its progress.
//
// A result without an error is complete, with one exception: a [RetrieveResponse] whose Status is partial. Its
// Retrievals name the studies that were not moved; retry with their StudyInstanceUIDs.
//
// Errors are of four kinds, for [errors.AsType] and [errors.Is]:
//
//   - [*ProblemError]: the gateway refused the request or the operation failed. Branch on its Code. RetryAfter is set
//     when a later attempt can succeed.
//   - [*ReplyError]: the reply did not come from the gateway but, for example, from a proxy. Redirects are not followed
//     and are reported as ReplyError too.
//   - [ErrCutOff]: the stream of Follow ended early. The outcome is unknown; retrying is safe. FollowJob connects again for
//     about ten minutes first, and the job goes on.
//   - any other error comes from net/http: the request was not sent or its response was not received. The operation may
//     have run.
//
// [WithRetry] repeats calls that a busy gateway refused.
//
// When the context of a call ends, the gateway cancels the operation at the PACS with a C-CANCEL. Calls have no time
// limit of their own, because a retrieve can take hours.
//
// Requests and responses are generated from openapi.yaml. This package names those that its functions use; package
// goclient has the other routes and a client for them. Neither depends on an HTTP framework or on the gateway's own
// packages.
package client

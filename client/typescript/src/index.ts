import type { components, paths } from './contract.js';

export type { CallOptions } from './calls.js';
export { createGateway, type Gateway, type GatewayOptions, type RetrieveInstancesOptions } from './gateway.js';
export { IncompleteError, type Instance, type Target } from './instances.js';
export { CutOffError, readEvents, type ErrorEvent, type RetrieveEvent } from './events.js';
export type { FollowOptions, JobEvent, JobOrder, Jobs, PageOptions, SubmitOptions } from './jobs.js';
export {
  ProblemError,
  ReplyError,
  statusOf,
  type CodeOf,
  type DICOMFailed,
  type HostNotAllowed,
  type InvalidRequest,
  type NoStudyMatched,
  type Problem,
  type ProblemCode,
  type Unavailable,
} from './problem.js';
export type { Clock, Retry } from './retry.js';

export type { components, paths };
type Schemas = components['schemas'];
export type QueryRequest = Schemas['QueryRequest'];
export type QueryResponse = Schemas['QueryResponse'];
export type RetrieveRequest = Schemas['RetrieveRequest'];
export type RetrieveResponse = Schemas['RetrieveResponse'];
export type EchoRequest = Schemas['EchoRequest'];
export type EchoResponse = Schemas['EchoResponse'];
export type EchoStep = Schemas['EchoStep'];
export type Study = Schemas['Study'];
export type Retrieval = Schemas['Retrieval'];
export type Warning = Schemas['Warning'];
export type WarningCode = Schemas['WarningCode'];
export type Fault = Schemas['Fault'];
export type DICOMFault = Schemas['DICOMFault'];
export type DICOMAttribute = Schemas['DICOMAttribute'];
export type DICOMObject = Schemas['DICOMObject'];
export type Job = Schemas['Job'];
export type JobCounts = Schemas['JobCounts'];
export type JobItem = Schemas['JobItem'];
export type JobItemReport = Schemas['JobItemReport'];
export type JobItemState = Schemas['JobItemState'];
export type JobList = Schemas['JobList'];
export type JobPage = Schemas['JobPage'];
export type JobRequest = Schemas['JobRequest'];
export type JobState = Schemas['JobState'];
export type MatchedEvent = Schemas['MatchedEvent'];
export type ProgressEvent = Schemas['ProgressEvent'];
export type ResultEvent = Schemas['ResultEvent'];

import type { components } from './contract.js';

type Schemas = components['schemas'];
export type ProblemCode = Schemas['ProblemCode'];

/** The HTTP status of each problem code. In answers of DICOMweb, `pacs_unknown` has 404, and timeouts have 504. */
export const statusOf = {
  invalid_request: 400,
  unauthorized: 401,
  pacs_unknown: 400,
  pacs_not_allowed: 403,
  no_study_matched: 404,
  not_found: 404,
  job_not_found: 404,
  route_not_found: 404,
  method_not_allowed: 405,
  not_acceptable: 406,
  transfer_syntax_unavailable: 406,
  idempotency_key_reused: 409,
  job_not_finished: 409,
  job_finished: 409,
  nothing_to_retry: 409,
  events_gone: 410,
  payload_too_large: 413,
  search_too_broad: 413,
  unsupported_media_type: 415,
  range_not_satisfiable: 416,
  host_not_allowed: 421,
  too_many_requests: 429,
  too_many_jobs: 429,
  internal_error: 500,
  audit_failed: 500,
  jobs_disabled: 501,
  modality_unknown: 501,
  relational_query_unsupported: 501,
  rendering_unsupported: 501,
  name_resolution_failed: 502,
  connection_refused: 502,
  pacs_unreachable: 502,
  connection_timeout: 502,
  connection_lost: 502,
  tls_failed: 502,
  tls_expected: 502,
  not_a_dicom_peer: 502,
  association_rejected: 502,
  association_aborted: 502,
  association_released: 502,
  association_timeout: 502,
  no_presentation_context: 502,
  echo_failed: 502,
  find_failed: 502,
  get_failed: 502,
  retrieval_unsupported: 502,
  retrieve_incomplete: 502,
  dimse_timeout: 502,
  move_failed: 502,
  move_destination_unknown: 502,
  move_timeout: 502,
  network_timeout: 502,
  too_many_matches: 502,
  answer_too_large: 502,
  limit_exceeded: 502,
  protocol_error: 502,
  cancelled: 502,
  operation_timeout: 502,
  audit_unavailable: 503,
  jobs_unavailable: 503,
  draining: 503,
  pacs_busy: 503,
  too_many_operations: 503,
  memory_busy: 503,
  spool_full: 503,
  too_many_open_files: 503,
  http_version_unsupported: 505,
} as const satisfies Record<ProblemCode, number>;

type StatusOf = typeof statusOf;

/** The problem codes of an HTTP status. */
export type CodeOf<Status extends StatusOf[ProblemCode]> = {
  [Code in ProblemCode]: StatusOf[Code] extends Status ? Code : never;
}[ProblemCode];

type Document<Status extends StatusOf[ProblemCode], Code extends ProblemCode = CodeOf<Status>> = Pick<
  Schemas['Problem'],
  'type' | 'title' | 'detail' | 'correlation_id'
> & { status: Status; code: Code };

/** The request is invalid. `errors` has one entry for each fault. */
export type InvalidRequest = Document<400> & { errors: Schemas['Fault'][] };

/** No study matched. `warnings` describes the matches that the gateway dropped. */
export type NoStudyMatched = Document<404, 'no_study_matched'> & { warnings?: Schemas['Warning'][] };

/**
 * The DICOM operation failed. `hint` says what to check. For `echo`, `steps` ends with the failed step. If the code is
 * `retrieve_incomplete`, `missing_sop_instance_uids` lists what the PACS did not send. Timeouts of DICOMweb have the status 504.
 */
export type DICOMFailed = Omit<Document<502>, 'status'> & {
  status: 502 | 504;
  hint?: string;
  dicom?: Schemas['DICOMFault'];
  steps?: Schemas['EchoStep'][];
  missing_sop_instance_uids?: string[];
};

/** The gateway accepts no new operations at the moment, or none for this PACS. */
export type Unavailable = Document<429> | (Document<503> & { hint?: string });

/** The gateway does not answer to the host name of its URL. `hint` says what its operator can do. */
export type HostNotAllowed = Document<421> & { hint?: string };

/**
 * A problem document (RFC 9457). `code` discriminates the union: a `switch` or `if` over it narrows to the fields of that
 * kind. A later gateway can send codes that are not listed here, so add a default branch.
 */
export type Problem =
  | InvalidRequest
  | NoStudyMatched
  | DICOMFailed
  | Unavailable
  | HostNotAllowed
  | Document<401>
  | Document<403>
  | Document<404, 'not_found' | 'job_not_found' | 'route_not_found'>
  | Document<405>
  | Document<406>
  | Document<409>
  | Document<410>
  | Document<413>
  | Document<415>
  | Document<416>
  | Document<500>
  | (Document<501> & { hint?: string })
  | (Document<505> & { hint?: string });

/** The gateway refused the request, or the operation failed. It contains neither submitted values nor patient data. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';

  constructor(
    readonly problem: Problem,
    /** Seconds to wait before the next attempt, at most a day. Set for the statuses 429 and 503. */
    readonly retryAfter?: number,
  ) {
    super(`${problem.detail} (${problem.code})`);
  }
}

/** The reply did not come from the gateway but, for example, from a proxy. `cause` is the fault in its JSON or event. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError';
  readonly status: number;
  /** The reason phrase of the status line, empty with HTTP/2. */
  readonly statusText: string;
  readonly contentType: string;

  constructor(response: Response, options?: ErrorOptions) {
    const contentType = response.headers.get('Content-Type') ?? '';
    super(`the reply is not from the gateway: status ${response.status}, content type "${contentType}"`, options);
    this.status = response.status;
    this.statusText = response.statusText;
    this.contentType = contentType;
  }
}

export function mediaType(response: Response): string {
  return (response.headers.get('Content-Type') ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

/** Adds the list of faults that the type of an invalid request requires. */
export function problemOf(document: Problem): Problem {
  return document?.status === 400 ? { ...document, errors: document.errors ?? [] } : document;
}

/** Caps what Retry-After can ask for: a day. */
const maxRetryAfter = 24 * 60 * 60;

/** Returns the seconds that the header Retry-After asks to wait (RFC 9110 section 10.2.3), if there is a valid one. */
export function retryAfter(headers: Headers, now: number): number | undefined {
  const value = headers.get('Retry-After')?.trim() ?? '';
  if (/^\d+$/.test(value)) return Math.min(Number(value), maxRetryAfter);
  // A date has a letter; Date.parse would take "-1" for one.
  const date = /^[A-Za-z]/.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(date) ? undefined : Math.min(Math.max((date - now) / 1000, 0), maxRetryAfter);
}

/** Reads the body of a failed response and returns the error to throw. now is the time, in milliseconds since 1970. */
export async function failure(response: Response, now = Date.now()): Promise<ProblemError | ReplyError> {
  if (mediaType(response) !== 'application/problem+json') {
    await response.body?.cancel();
    return new ReplyError(response);
  }
  const document = parse(await response.text());
  if (typeof document?.code !== 'string') return new ReplyError(response);
  return new ProblemError(problemOf(document), retryAfter(response.headers, now));
}

function parse(text: string): Problem | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

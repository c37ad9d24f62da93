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
};
export class ProblemError extends Error {
problem;
retryAfter;
name = 'ProblemError';
constructor(problem, retryAfter) {
super(`${problem.detail} (${problem.code})`);
this.problem = problem;
this.retryAfter = retryAfter;
}
}
export class ReplyError extends Error {
name = 'ReplyError';
status;
statusText;
contentType;
constructor(response, options) {
const contentType = response.headers.get('Content-Type') ?? '';
super(`the reply is not from the gateway: status ${response.status}, content type "${contentType}"`, options);
this.status = response.status;
this.statusText = response.statusText;
this.contentType = contentType;
}
}
export function mediaType(response) {
return (response.headers.get('Content-Type') ?? '').split(';', 1)[0].trim().toLowerCase();
}
export function problemOf(document) {
return document?.status === 400 ? { ...document, errors: document.errors ?? [] } : document;
}
const maxRetryAfter = 24 * 60 * 60;
export function retryAfter(headers, now) {
const value = headers.get('Retry-After')?.trim() ?? '';
if (/^\d+$/.test(value))
return Math.min(Number(value), maxRetryAfter);
const date = /^[A-Za-z]/.test(value) ? Date.parse(value) : NaN;
return Number.isNaN(date) ? undefined : Math.min(Math.max((date - now) / 1000, 0), maxRetryAfter);
}
export async function failure(response, now = Date.now()) {
if (mediaType(response) !== 'application/problem+json') {
await response.body?.cancel();
return new ReplyError(response);
}
const document = parse(await response.text());
if (typeof document?.code !== 'string')
return new ReplyError(response);
return new ProblemError(problemOf(document), retryAfter(response.headers, now));
}
function parse(text) {
try {
return JSON.parse(text);
}
catch {
return null;
}
}

import { answer, incomplete, init } from './calls.js';
import { CutOffError, readMessages } from './events.js';
import { failure, mediaType, ProblemError, ReplyError } from './problem.js';
import { systemClock } from './retry.js';
const attempts = 24;
const longestWait = 30;
export function jobsOf(client, retry) {
const clock = retry?.clock ?? systemClock;
const never = new AbortController().signal;
const of = (job) => ({ params: { path: { job } } });
async function submit(order, { idempotencyKey = randomKey(), ...options } = {}) {
const call = init(options, { 'Idempotency-Key': idempotencyKey });
const send = () => {
if (!('csv' in order))
return client.POST('/jobs', { body: order, ...call });
const { csv, ...query } = order;
const headers = { ...call.headers, 'Content-Type': 'text/csv' };
const values = Object.entries(query).filter(([, value]) => value !== null);
return client.POST('/jobs', { ...call, headers, params: { query: Object.fromEntries(values) }, body: csv, bodySerializer: (text) => text });
};
for (let failed = 0;; failed++) {
try {
return jobOf(await send());
}
catch (error) {
const wait = 2 ** failed;
if (!(error instanceof TypeError) || !retry || failed + 1 >= retry.attempts || 2 * wait > retry.maxWait + 1)
throw error;
await clock.sleep(wait * 1000, options.signal ?? never);
}
}
}
async function* connect(job, last, { onConnected, ...options }, alive) {
const headers = { Accept: 'text/event-stream', ...(last !== undefined && { 'Last-Event-ID': last }) };
const { response } = await client.GET('/jobs/{job}/events', { ...of(job), parseAs: 'stream', ...init(options, headers) });
if (mediaType(response) !== 'text/event-stream' || !response.body)
throw await failure(response);
onConnected?.(true);
for await (const { event: type, data: text, id = '' } of readMessages(response.body, alive)) {
const data = parse(text, response);
if (type === 'error' && typeof data?.code === 'string')
throw new ProblemError(data);
if (type === 'job' || type === 'finished')
yield { type, id, data: jobOf({ data, response }) };
if (type === 'item' || type === 'waiting') {
if (typeof data?.item !== 'number')
throw incomplete(response);
yield { type, id, data };
}
}
throw new CutOffError();
}
async function* follow(job, { lastEventId: last, ...options } = {}) {
for (let failed = 0;; failed++) {
try {
for await (const event of connect(job, last, options, () => (failed = 0))) {
last = event.id || last;
yield event;
if (event.type === 'finished')
return;
}
}
catch (error) {
options.signal?.throwIfAborted();
const gone = error instanceof ProblemError && error.problem.code === 'events_gone';
if (gone && last !== undefined) {
last = undefined;
continue;
}
if (!passing(error))
throw error;
if (failed >= attempts)
throw new CutOffError({ cause: error });
options.onConnected?.(false);
const asked = error instanceof ProblemError ? (error.retryAfter ?? 0) : 0;
await clock.sleep(Math.max(asked, Math.min(2 ** failed, longestWait)) * 1000, options.signal ?? never);
}
}
}
return {
submit,
list: async ({ offset, limit, ...options } = {}) => answer(await client.GET('/jobs', { params: { query: given({ offset, limit }) }, ...init(options) }), ['jobs']),
get: async (job, { offset, limit, state, ...options } = {}) => answer(await client.GET('/jobs/{job}', { params: { path: { job }, query: given({ offset, limit, state }) }, ...init(options) }), ['items']),
csv: async (job, { state, ...options } = {}) => {
const call = { params: { path: { job }, query: given({ state }) }, ...init(options, { Accept: 'text/csv' }) };
const { response } = await client.GET('/jobs/{job}', { ...call, parseAs: 'stream' });
if (mediaType(response) !== 'text/csv')
throw await failure(response);
return response.text();
},
follow,
cancel: async (job, options) => jobOf(await client.POST('/jobs/{job}/cancel', { ...of(job), ...init(options) })),
retry: async (job, options) => jobOf(await client.POST('/jobs/{job}/retry', { ...of(job), ...init(options) })),
delete: async (job, options) => {
const { response } = await client.DELETE('/jobs/{job}', { ...of(job), parseAs: 'stream', ...init(options) });
if (response.status !== 204)
throw await failure(response);
},
};
}
function passing(error) {
if (error instanceof ProblemError)
return [429, 503].includes(error.problem.status);
if (error instanceof ReplyError)
return error.cause === undefined && [429, 502, 503, 504].includes(error.status);
return error instanceof CutOffError || error instanceof TypeError;
}
function parse(text, response) {
try {
return JSON.parse(text);
}
catch (cause) {
throw new ReplyError(response, { cause });
}
}
function jobOf({ data, response }) {
const { job, counts } = (data ?? {});
if (typeof job !== 'string' || typeof counts?.items !== 'number')
throw incomplete(response);
return data;
}
function given(values) {
return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
function randomKey() {
return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

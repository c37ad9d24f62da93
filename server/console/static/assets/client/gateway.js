import createClient, {} from './openapi-fetch.js';
import { answer, hasLists, incomplete, init } from './calls.js';
import { CutOffError, readEvents } from './events.js';
import { acceptOf, pathOf, readInstances } from './instances.js';
import { jobsOf } from './jobs.js';
import { failure, mediaType, ProblemError, ReplyError } from './problem.js';
import { retrying } from './retry.js';
export function createGateway({ baseUrl, apiKey, fetch = (request) => globalThis.fetch(request), retry }) {
const client = createClient({
baseUrl,
redirect: 'manual',
...(apiKey !== undefined && { headers: { Authorization: `Bearer ${apiKey}` } }),
fetch: retry ? retrying(fetch, retry) : fetch,
});
const requests = new WeakMap();
client.use({
async onResponse({ request, response, options }) {
requests.set(response, request);
if (!response.ok)
throw await failure(response);
if (options.parseAs !== 'json')
return;
if (!['application/json', 'application/dicom+json'].includes(mediaType(response)))
throw await failure(response);
const text = await response.text();
try {
JSON.parse(text);
}
catch (cause) {
throw new ReplyError(response, { cause });
}
return new Response(text, response);
},
});
async function* follow(body, options = {}) {
const { signal } = options;
const { response } = await client.POST('/qr', {
body,
parseAs: 'stream',
...init(options, { Accept: 'text/event-stream' }),
});
if (mediaType(response) !== 'text/event-stream' || !response.body)
throw await failure(response);
try {
for await (const event of readEvents(response.body)) {
if (event.type === 'error' && typeof event.data?.code === 'string')
throw new ProblemError(event.data);
if (event.type === 'error' || !hasLists(event.data, lists[event.type]))
throw incomplete(response);
yield event;
if (event.type === 'result')
return;
}
}
catch (error) {
signal?.throwIfAborted();
throw error instanceof SyntaxError ? new ReplyError(response, { cause: error }) : error;
}
throw new CutOffError();
}
async function* retrieveInstances(pacs, target, options = {}) {
const { transferSyntax = '*', lenient = false } = options;
const headers = { Accept: acceptOf(transferSyntax), ...(lenient && { Prefer: 'handling=lenient' }) };
const get = client.GET;
const { response } = await get(pathOf(pacs, target), { parseAs: 'stream', ...init(options, headers) });
yield* readInstances(response, options.signal);
}
return {
query: async (body, options) => answer(await client.POST('/q', { body, ...init(options) }), lists.query),
retrieve: async (body, options) => answer(await client.POST('/qr', { body, ...init(options) }), lists.retrieve),
follow,
retrieveInstances,
echo: async (body, options) => answer(await client.POST('/echo', { body, ...init(options) }), lists.echo),
jobs: jobsOf(client, retry),
client,
};
}
const lists = {
query: ['study_details', 'warnings'],
retrieve: ['study_details', 'warnings', 'retrievals'],
echo: ['steps'],
matched: ['study_details', 'warnings'],
progress: [],
retrieved: [],
result: ['study_details', 'warnings', 'retrievals'],
};

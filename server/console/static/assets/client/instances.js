import { mediaType, ReplyError } from './problem.js';
import { BrokenOffError, parameter, readParts } from './multipart.js';
export class IncompleteError extends Error {
received;
missingSOPInstanceUIDs;
name = 'IncompleteError';
constructor(received, missingSOPInstanceUIDs = [], options) {
const missing = missingSOPInstanceUIDs.length;
const reason = options?.cause instanceof Error ? `: ${options.cause.message}` : '';
super(`the retrieval is incomplete (instances received: ${received}${missing > 0 ? `, missing: ${missing}` : ''})${reason}`, options);
this.received = received;
this.missingSOPInstanceUIDs = missingSOPInstanceUIDs;
}
}
export function pathOf(pacs, { study, series, instance }) {
const parts = ['studies', study, ...(series === undefined ? [] : ['series', series]), ...(instance === undefined ? [] : ['instances', instance])];
return `/dicomweb/${[pacs, ...parts].map(encodeURIComponent).join('/')}`;
}
export function acceptOf(transferSyntax) {
return `multipart/related; type="application/dicom"; transfer-syntax=${transferSyntax}`;
}
export async function* readInstances(response, signal) {
const boundary = parameter(response.headers.get('Content-Type') ?? '', 'boundary');
if (![200, 206].includes(response.status) || mediaType(response) !== 'multipart/related' || !boundary || !response.body) {
await response.body?.cancel();
throw new ReplyError(response);
}
let received = 0;
let current;
const arrived = (part) => {
if (part === undefined || part !== current)
return;
received++;
current = undefined;
};
const failed = (error) => {
signal?.throwIfAborted();
return error instanceof BrokenOffError ? new IncompleteError(received, [], { cause: error }) : error;
};
try {
for await (const part of readParts(response.body, boundary)) {
arrived(current);
const { contentType, body } = part;
const type = contentType.split(';')[0].trim().toLowerCase();
if (type === 'application/problem+json')
throw new IncompleteError(received, await missingIn(body));
if (type !== 'application/dicom') {
throw new ReplyError(response, { cause: new Error('a part of the answer is not a DICOM instance') });
}
current = part;
const content = async function* () {
try {
yield* body;
arrived(part);
}
catch (error) {
throw failed(error);
}
};
yield { transferSyntax: parameter(contentType, 'transfer-syntax'), content: content() };
}
arrived(current);
}
catch (error) {
throw failed(error);
}
if (received === 0 || response.status === 206)
throw new IncompleteError(received);
}
const maxMissing = 16 << 20;
async function missingIn(body) {
const decoder = new TextDecoder();
let text = '';
for await (const piece of body) {
text += decoder.decode(piece, { stream: true });
if (text.length > maxMissing)
return [];
}
try {
const { missing_sop_instance_uids: missing } = JSON.parse(text);
return Array.isArray(missing) ? missing.filter((uid) => typeof uid === 'string') : [];
}
catch {
return [];
}
}

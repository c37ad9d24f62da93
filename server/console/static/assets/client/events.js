import { createParser } from './eventsource-parser.js';
import { problemOf } from './problem.js';
const types = ['matched', 'progress', 'retrieved', 'result', 'error'];
export class CutOffError extends Error {
name = 'CutOffError';
constructor(options) {
super('the stream was cut off: the outcome is unknown', options);
}
}
export async function* readEvents(stream) {
for await (const { event, data } of readMessages(stream)) {
if (types.includes(event))
yield eventOf(event, JSON.parse(data));
}
}
export async function* readMessages(stream, onText) {
const messages = [];
const parser = createParser({ onEvent: (message) => messages.push(message) });
for await (const text of texts(stream)) {
onText?.();
parser.feed(text);
yield* messages.splice(0);
}
}
function eventOf(type, data) {
return type === 'error' ? { type, data: problemOf(data) } : { type, data };
}
async function* texts(stream) {
const reader = stream.getReader();
const decoder = new TextDecoder();
let text = '';
try {
for (;;) {
const { done, value } = await reader.read().catch((cause) => {
throw new CutOffError({ cause });
});
if (done) {
if (text.endsWith('\r'))
yield '\n';
return;
}
const next = decoder.decode(value, { stream: true });
if (next !== '')
yield (text = next);
}
}
finally {
await reader.cancel().catch(() => { });
}
}

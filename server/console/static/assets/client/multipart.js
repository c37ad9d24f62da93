export class BrokenOffError extends Error {
name = 'BrokenOffError';
}
const CR = 13;
const LF = 10;
const maxHeader = 16 << 10;
const maxEpilogue = 4 << 10;
export async function* readParts(stream, boundary) {
const source = new Source(stream);
const delimiter = new TextEncoder().encode(`\r\n--${boundary}`);
try {
for await (const _ of source.until(delimiter))
;
while (!(await source.closes())) {
const contentType = contentTypeOf(await source.header());
const body = source.until(delimiter);
yield { contentType, body };
for await (const _ of body)
;
if (source.inside)
for await (const _ of source.until(delimiter))
;
}
await source.end();
}
finally {
await source.cancel();
}
}
class Source {
inside = false;
#reader;
#buffer = new Uint8Array([CR, LF]);
constructor(stream) {
this.#reader = stream.getReader();
}
async *until(delimiter) {
this.inside = true;
for (let from = 0;;) {
const at = find(this.#buffer, delimiter, from);
if (at < 0) {
const safe = Math.max(this.#buffer.length - delimiter.length + 1, 0);
from = 0;
if (safe > 0)
yield this.#take(safe);
await this.#fill();
continue;
}
if (this.#buffer.length < at + delimiter.length + 2) {
from = at;
await this.#fill();
continue;
}
const [first, second] = this.#buffer.subarray(at + delimiter.length);
if ((first === 45 && second === 45) || first === CR || first === 32 || first === 9) {
this.inside = false;
const rest = this.#take(at);
this.#take(delimiter.length);
if (rest.length > 0)
yield rest;
return;
}
from = at + 1;
}
}
async closes() {
while (this.#buffer.length < 2)
await this.#fill();
if (this.#buffer[0] !== 45)
return false;
this.#take(2);
return true;
}
async header() {
const end = new Uint8Array([CR, LF, CR, LF]);
let at;
while ((at = find(this.#buffer, end, 0)) < 0 && this.#buffer.length <= maxHeader)
await this.#fill();
if (at < 0 || at > maxHeader)
throw new BrokenOffError('the header of a part is too long');
return new TextDecoder('latin1').decode(this.#take(at + end.length));
}
async end() {
for (let length = this.#buffer.length;;) {
if (length > maxEpilogue)
throw new BrokenOffError('the answer goes on after its closing boundary');
const { done, value } = await this.#read();
if (done)
return;
length += value.length;
}
}
async cancel() {
await this.#reader.cancel().catch(() => { });
}
#take(length) {
const taken = this.#buffer.subarray(0, length);
this.#buffer = this.#buffer.subarray(length);
return taken;
}
async #read() {
try {
return await this.#reader.read();
}
catch (cause) {
throw new BrokenOffError('the answer was broken off', { cause });
}
}
async #fill() {
const { done, value } = await this.#read();
if (done)
throw new BrokenOffError('the answer lacks its closing boundary');
const joined = new Uint8Array(this.#buffer.length + value.length);
joined.set(this.#buffer);
joined.set(value, this.#buffer.length);
this.#buffer = joined;
}
}
function find(bytes, pattern, from) {
for (let at = from; (at = bytes.indexOf(CR, at)) >= 0; at++) {
if (at + pattern.length > bytes.length)
return -1;
if (pattern.every((value, i) => bytes[at + i] === value))
return at;
}
return -1;
}
function contentTypeOf(header) {
return /\r\ncontent-type:[ \t]*([^\r]*)/i.exec(header)?.[1]?.trim() ?? '';
}
export function parameter(mediaType, name) {
for (const [, key, quoted, token] of mediaType.matchAll(/;\s*([^=;\s]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))/g)) {
if (key.toLowerCase() === name)
return quoted !== undefined ? quoted.replace(/\\(.)/g, '$1') : token;
}
return undefined;
}

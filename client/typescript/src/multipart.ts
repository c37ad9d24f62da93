/** The answer ended, or cannot be read any further, before its closing boundary. */
export class BrokenOffError extends Error {
  override readonly name = 'BrokenOffError';
}

/** One part of a multipart answer. */
export interface Part {
  /** The value of Content-Type, or an empty string. */
  readonly contentType: string;
  /** The bytes while they arrive. What is not read is skipped when the next part is asked for. */
  readonly body: AsyncGenerator<Uint8Array, void>;
}

const CR = 13;
const LF = 10;
const maxHeader = 16 << 10;
const maxEpilogue = 4 << 10;

/**
 * Reads the parts of a multipart body (RFC 2046 section 5.1). It keeps no more than one piece of the stream. It ends only behind
 * the closing boundary and at the proper end of the stream; otherwise it throws a `BrokenOffError`. It cancels the stream when the
 * consumer stops early.
 */
export async function* readParts(stream: ReadableStream<Uint8Array>, boundary: string): AsyncGenerator<Part, void> {
  const source = new Source(stream);
  const delimiter = new TextEncoder().encode(`\r\n--${boundary}`);
  try {
    for await (const _ of source.until(delimiter)); // what precedes the first boundary
    while (!(await source.closes())) {
      const contentType = contentTypeOf(await source.header());
      const body = source.until(delimiter);
      yield { contentType, body };
      for await (const _ of body);
      if (source.inside) for await (const _ of source.until(delimiter)); // the consumer has left the generator
    }
    await source.end();
  } finally {
    await source.cancel();
  }
}

/** Bytes of a stream that have arrived and are not consumed. */
class Source {
  /** Whether until has begun and not found its delimiter. */
  inside = false;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #buffer = new Uint8Array([CR, LF]); // the first boundary has no line break before it

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** Yields the bytes up to the delimiter, and consumes it. */
  async *until(delimiter: Uint8Array): AsyncGenerator<Uint8Array, void> {
    this.inside = true;
    for (let from = 0; ; ) {
      const at = find(this.#buffer, delimiter, from);
      if (at < 0) {
        const safe = Math.max(this.#buffer.length - delimiter.length + 1, 0);
        from = 0;
        if (safe > 0) yield this.#take(safe);
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
        if (rest.length > 0) yield rest;
        return;
      }
      from = at + 1; // the beginning of a longer word
    }
  }

  /** Consumes the end of a boundary and reports whether it is the closing one. */
  async closes(): Promise<boolean> {
    while (this.#buffer.length < 2) await this.#fill();
    if (this.#buffer[0] !== 45) return false;
    this.#take(2);
    return true;
  }

  /** Consumes the rest of the line of the boundary and the header of the part. */
  async header(): Promise<string> {
    const end = new Uint8Array([CR, LF, CR, LF]);
    let at: number;
    while ((at = find(this.#buffer, end, 0)) < 0 && this.#buffer.length <= maxHeader) await this.#fill();
    if (at < 0 || at > maxHeader) throw new BrokenOffError('the header of a part is too long');
    return new TextDecoder('latin1').decode(this.#take(at + end.length));
  }

  /** Waits for the end of the stream. */
  async end(): Promise<void> {
    for (let length = this.#buffer.length; ; ) {
      if (length > maxEpilogue) throw new BrokenOffError('the answer goes on after its closing boundary');
      const { done, value } = await this.#read();
      if (done) return;
      length += value.length;
    }
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {}); // rejects if the stream has failed
  }

  #take(length: number): Uint8Array {
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  async #read() {
    try {
      return await this.#reader.read();
    } catch (cause) {
      throw new BrokenOffError('the answer was broken off', { cause });
    }
  }

  async #fill(): Promise<void> {
    const { done, value } = await this.#read();
    if (done) throw new BrokenOffError('the answer lacks its closing boundary');
    const joined = new Uint8Array(this.#buffer.length + value.length);
    joined.set(this.#buffer);
    joined.set(value, this.#buffer.length);
    this.#buffer = joined;
  }
}

/** Returns where the pattern, which begins with CR, occurs in the bytes; -1 if it does not. */
function find(bytes: Uint8Array, pattern: Uint8Array, from: number): number {
  for (let at = from; (at = bytes.indexOf(CR, at)) >= 0; at++) {
    if (at + pattern.length > bytes.length) return -1;
    if (pattern.every((value, i) => bytes[at + i] === value)) return at;
  }
  return -1;
}

function contentTypeOf(header: string): string {
  return /\r\ncontent-type:[ \t]*([^\r]*)/i.exec(header)?.[1]?.trim() ?? '';
}

/** Returns the parameter of a media type; undefined if it is not there. */
export function parameter(mediaType: string, name: string): string | undefined {
  for (const [, key, quoted, token] of mediaType.matchAll(/;\s*([^=;\s]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))/g)) {
    if (key!.toLowerCase() === name) return quoted !== undefined ? quoted.replace(/\\(.)/g, '$1') : token;
  }
  return undefined;
}

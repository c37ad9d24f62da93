import { mediaType, ReplyError } from './problem.js';
import { BrokenOffError, parameter, readParts } from './multipart.js';

/** Names what to retrieve: a study, one of its series, or one of the instances of that series. */
export type Target =
  | { study: string; series?: undefined; instance?: undefined }
  | { study: string; series: string; instance?: undefined }
  | { study: string; series: string; instance: string };

/** One DICOM instance, as a file of PS3.10. It is valid until the loop goes on. */
export interface Instance {
  /** UID of the transfer syntax of the data set; undefined if the gateway did not name it. */
  readonly transferSyntax: string | undefined;
  /** The bytes while they arrive. It throws an `IncompleteError` if the rest does not arrive. */
  readonly content: AsyncIterable<Uint8Array>;
}

/**
 * Instances are missing: the PACS did not send them, or the answer was broken off. What was yielded before is valid, except for an
 * instance whose `content` threw this error. `cause` is what ended the answer; it is undefined if the answer was ended properly and
 * says itself that it is incomplete.
 */
export class IncompleteError extends Error {
  override readonly name = 'IncompleteError';

  constructor(
    /** The number of instances that arrived completely. */
    readonly received: number,
    /** The instances that did not arrive, if the gateway listed them. It does so with `lenient`. */
    readonly missingSOPInstanceUIDs: readonly string[] = [],
    options?: ErrorOptions,
  ) {
    const missing = missingSOPInstanceUIDs.length;
    const reason = options?.cause instanceof Error ? `: ${options.cause.message}` : '';
    super(`the retrieval is incomplete (instances received: ${received}${missing > 0 ? `, missing: ${missing}` : ''})${reason}`, options);
  }
}

export function pathOf(pacs: string, { study, series, instance }: Target): string {
  const parts = ['studies', study, ...(series === undefined ? [] : ['series', series]), ...(instance === undefined ? [] : ['instances', instance])];
  return `/dicomweb/${[pacs, ...parts].map(encodeURIComponent).join('/')}`;
}

export function acceptOf(transferSyntax: string): string {
  return `multipart/related; type="application/dicom"; transfer-syntax=${transferSyntax}`;
}

/**
 * Reads the instances of an answer. It ends only if all arrived; otherwise it throws an `IncompleteError`. The trailer of the
 * answer, which `fetch` does not show, repeats what the closing boundary and the last part say.
 */
export async function* readInstances(response: Response, signal?: AbortSignal): AsyncGenerator<Instance, void> {
  const boundary = parameter(response.headers.get('Content-Type') ?? '', 'boundary');
  if (![200, 206].includes(response.status) || mediaType(response) !== 'multipart/related' || !boundary || !response.body) {
    await response.body?.cancel();
    throw new ReplyError(response);
  }
  let received = 0;
  let current: object | undefined; // the part whose end has not been seen
  const arrived = (part: object | undefined) => {
    if (part === undefined || part !== current) return;
    received++;
    current = undefined;
  };
  const failed = (error: unknown) => {
    signal?.throwIfAborted();
    return error instanceof BrokenOffError ? new IncompleteError(received, [], { cause: error }) : error;
  };
  try {
    for await (const part of readParts(response.body, boundary)) {
      arrived(current);
      const { contentType, body } = part;
      const type = contentType.split(';')[0]!.trim().toLowerCase();
      if (type === 'application/problem+json') throw new IncompleteError(received, await missingIn(body));
      if (type !== 'application/dicom') {
        throw new ReplyError(response, { cause: new Error('a part of the answer is not a DICOM instance') });
      }
      current = part;
      const content = async function* () {
        try {
          yield* body;
          arrived(part);
        } catch (error) {
          throw failed(error);
        }
      };
      yield { transferSyntax: parameter(contentType, 'transfer-syntax'), content: content() };
    }
    arrived(current);
  } catch (error) {
    throw failed(error);
  }
  if (received === 0 || response.status === 206) throw new IncompleteError(received);
}

/** Limits the bytes of a list of missing instances. A UID has up to 64 characters. */
const maxMissing = 16 << 20;

/** Reads the last part of an incomplete answer that the caller asked for with `lenient`. */
async function missingIn(body: AsyncIterable<Uint8Array>): Promise<string[]> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const piece of body) {
    text += decoder.decode(piece, { stream: true });
    if (text.length > maxMissing) return [];
  }
  try {
    const { missing_sop_instance_uids: missing } = JSON.parse(text);
    return Array.isArray(missing) ? missing.filter((uid) => typeof uid === 'string') : [];
  } catch {
    return [];
  }
}

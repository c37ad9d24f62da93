import type { components } from './contract.js';
import { type Problem, problemOf } from './problem.js';

type Schemas = components['schemas'];

/** What happens in a retrieve: `matched` first, `progress` and `retrieved` for each study, `result` last. */
export type RetrieveEvent =
  | { type: 'matched'; data: Schemas['MatchedEvent'] }
  | { type: 'progress'; data: Schemas['ProgressEvent'] }
  | { type: 'retrieved'; data: Schemas['Retrieval'] }
  | { type: 'result'; data: Schemas['ResultEvent'] };

/** Last in place of `result`, where nothing was moved. */
export type ErrorEvent = { type: 'error'; data: Problem };

const types: readonly string[] = ['matched', 'progress', 'retrieved', 'result', 'error'];

/**
 * The stream ended without its last event: the gateway died, or something between closed the connection. What came of
 * the operation is unknown; a retry does no harm.
 */
export class CutOffError extends Error {
  override readonly name = 'CutOffError';

  constructor(options?: ErrorOptions) {
    super('the stream was cut off: the outcome is unknown', options);
  }
}

/**
 * Reads the events of a stream, and leaves out comments and events of other names. Data that is not JSON is a
 * `SyntaxError`. It cancels the stream when its consumer stops early. `follow` of a gateway is for most uses.
 */
export async function* readEvents(stream: ReadableStream<Uint8Array>): AsyncGenerator<RetrieveEvent | ErrorEvent, void> {
  let type = '';
  let data: string[] = [];
  for await (const line of lines(stream)) {
    const [, field, value = ''] = /^([^:]*):? ?(.*)$/s.exec(line)!;
    if (line === '') {
      if (data.length > 0 && types.includes(type)) yield eventOf(type, JSON.parse(data.join('\n')));
      type = '';
      data = [];
    } else if (field === 'event') {
      type = value;
    } else if (field === 'data') {
      data.push(value);
    }
  }
}

function eventOf(type: string, data: unknown): RetrieveEvent | ErrorEvent {
  return type === 'error' ? { type, data: problemOf(data as Problem) } : ({ type, data } as RetrieveEvent);
}

/** Lines end with CR, LF or both; what stands behind the last end is no line. */
async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  let line = '';
  let afterCR = false;
  for await (const text of texts(stream)) {
    // An end may be split: the LF behind a CR belongs to it.
    const [first, ...rest] = (afterCR && text.startsWith('\n') ? text.slice(1) : text).split(/\r\n|\n|\r/);
    afterCR = text.endsWith('\r');
    line += first;
    for (const next of rest) {
      yield line;
      line = next;
    }
  }
}

async function* texts(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw new CutOffError({ cause });
      });
      if (done) return;
      const text = decoder.decode(value, { stream: true });
      if (text !== '') yield text;
    }
  } finally {
    await reader.cancel().catch(() => {}); // of a stream that has failed already
  }
}

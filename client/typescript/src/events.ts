import { createParser, type EventSourceMessage } from 'eventsource-parser';

import type { components } from './contract.js';
import { type Problem, problemOf } from './problem.js';

type Schemas = components['schemas'];

/** The events of a retrieve: `matched` first, `progress` and `retrieved` for each study, `result` last. */
export type RetrieveEvent =
  | { type: 'matched'; data: Schemas['MatchedEvent'] }
  | { type: 'progress'; data: Schemas['ProgressEvent'] }
  | { type: 'retrieved'; data: Schemas['Retrieval'] }
  | { type: 'result'; data: Schemas['ResultEvent'] };

/** Replaces `result` as the last event if nothing was moved. */
export type ErrorEvent = { type: 'error'; data: Problem };

const types: readonly (string | undefined)[] = ['matched', 'progress', 'retrieved', 'result', 'error'];

/**
 * The stream ended without its last event: the gateway stopped, or a proxy closed the connection. The outcome of the
 * operation is unknown; retrying is safe.
 */
export class CutOffError extends Error {
  override readonly name = 'CutOffError';

  constructor(options?: ErrorOptions) {
    super('the stream was cut off: the outcome is unknown', options);
  }
}

/**
 * Reads the events of a stream. It skips comments and events of other names, throws a `SyntaxError` for data that is not
 * JSON, and cancels the stream when the consumer stops early. Most programs call `follow` of a gateway instead.
 */
export async function* readEvents(stream: ReadableStream<Uint8Array>): AsyncGenerator<RetrieveEvent | ErrorEvent, void> {
  for await (const { event, data } of readMessages(stream)) {
    if (types.includes(event)) yield eventOf(event!, JSON.parse(data));
  }
}

/** Reads the server-sent events of a stream, whatever they are. It calls onText when anything has arrived, also a comment. */
export async function* readMessages(stream: ReadableStream<Uint8Array>, onText?: () => void): AsyncGenerator<EventSourceMessage, void> {
  const messages: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => messages.push(message) });
  for await (const text of texts(stream)) {
    onText?.();
    parser.feed(text);
    yield* messages.splice(0);
  }
}

function eventOf(type: string, data: unknown): RetrieveEvent | ErrorEvent {
  return type === 'error' ? { type, data: problemOf(data as Problem) } : ({ type, data } as RetrieveEvent);
}

async function* texts(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw new CutOffError({ cause });
      });
      if (done) {
        if (text.endsWith('\r')) yield '\n'; // the parser waits for it: a CR may be half of a CRLF
        return;
      }
      const next = decoder.decode(value, { stream: true });
      if (next !== '') yield (text = next);
    }
  } finally {
    await reader.cancel().catch(() => {}); // rejects if the stream has failed
  }
}

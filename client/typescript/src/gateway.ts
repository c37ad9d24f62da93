import createClient, { type Client } from 'openapi-fetch';

import type { components, paths } from './contract.js';
import { CutOffError, readEvents, type RetrieveEvent } from './events.js';
import { failure, mediaType, ProblemError, ReplyError } from './problem.js';

type Schemas = components['schemas'];

export interface GatewayOptions {
  /** For example `http://localhost:8888`. */
  baseUrl: string;
  /** Goes with each request. */
  apiKey?: string;
  /** In place of the global `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
}

export interface CallOptions {
  /** Ends the call, and the operation at the PACS, too (C-CANCEL). */
  signal?: AbortSignal;
  /** Names the request in the gateway's log and audit trail: 1 to 128 visible ASCII characters. */
  correlationId?: string;
}

/**
 * Calls one gateway. What is returned is complete, with one exception that says so: the answer of a retrieve whose
 * `status` is `partial`. Else a call throws:
 *
 * - `ProblemError`: the gateway said why not; branch on `error.problem.code`;
 * - `ReplyError`: something answered that is not the gateway, or with a redirect, which is not followed; where it is JSON
 *   or an event that cannot be read or lacks what the contract requires, `cause` tells;
 * - `CutOffError`: the stream of `follow` ended in the middle, so that the outcome is unknown;
 * - what `fetch` throws: a `TypeError` where the connection failed, the reason of `signal` where that was aborted.
 */
export interface Gateway {
  /** Finds the studies of a patient that match all filters, newest first. */
  query(request: Schemas['QueryRequest'], options?: CallOptions): Promise<Schemas['QueryResponse']>;

  /** Finds the studies and has the PACS send them to `c_move_ae_title`. */
  retrieve(request: Schemas['RetrieveRequest'], options?: CallOptions): Promise<Schemas['RetrieveResponse']>;

  /**
   * Is `retrieve` that tells how far it is. The request is sent at the first step. The last event is `result`; where
   * nothing was moved, a `ProblemError` is thrown. To leave the loop early ends the operation at the PACS.
   */
  follow(request: Schemas['RetrieveRequest'], options?: CallOptions): AsyncGenerator<RetrieveEvent, void>;

  /** Checks the way to a PACS step by step. */
  echo(request: Schemas['EchoRequest'], options?: CallOptions): Promise<Schemas['EchoResponse']>;

  /** Every route of the contract, by openapi-fetch; it throws as the calls above do. */
  readonly client: Client<paths>;
}

export function createGateway({ baseUrl, apiKey, fetch }: GatewayOptions): Gateway {
  const client = createClient<paths>({
    baseUrl,
    redirect: 'manual', // key and patient are for this address alone
    ...(apiKey !== undefined && { headers: { Authorization: `Bearer ${apiKey}` } }),
    ...(fetch && { fetch }),
  });
  client.use({
    async onResponse({ response, options }) {
      if (!response.ok) throw await failure(response);
      if (options.parseAs !== 'json') return;
      if (mediaType(response) !== 'application/json') throw await failure(response);
      // Read here, for openapi-fetch would throw a SyntaxError that does not tell of the response.
      const text = await response.text();
      try {
        JSON.parse(text);
      } catch (cause) {
        throw new ReplyError(response, { cause });
      }
      return new Response(text, response);
    },
  });

  async function* follow(body: Schemas['RetrieveRequest'], options: CallOptions = {}) {
    const { signal } = options;
    const { response } = await client.POST('/qr', {
      body,
      parseAs: 'stream',
      ...init(options, { Accept: 'text/event-stream' }),
    });
    if (mediaType(response) !== 'text/event-stream' || !response.body) throw await failure(response);
    try {
      for await (const event of readEvents(response.body)) {
        if (event.type === 'error' && typeof event.data?.code === 'string') throw new ProblemError(event.data);
        if (event.type === 'error' || !hasLists(event.data, lists[event.type])) throw otherKind(response);
        yield event;
        if (event.type === 'result') return;
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw error instanceof SyntaxError ? new ReplyError(response, { cause: error }) : error;
    }
    throw new CutOffError();
  }

  return {
    query: async (body, options) => answer(await client.POST('/q', { body, ...init(options) }), lists.query),
    retrieve: async (body, options) => answer(await client.POST('/qr', { body, ...init(options) }), lists.retrieve),
    follow,
    echo: async (body, options) => answer(await client.POST('/echo', { body, ...init(options) }), lists.echo),
    client,
  };
}

function init({ signal, correlationId }: CallOptions = {}, headers: Record<string, string> = {}) {
  return {
    headers: correlationId === undefined ? headers : { ...headers, 'X-Correlation-ID': correlationId },
    ...(signal && { signal }),
  };
}

/** What the contract requires, be it empty: anybody's `{}` would pass for an answer without it. */
const lists = {
  query: ['study_details', 'warnings'],
  retrieve: ['study_details', 'warnings', 'retrievals'],
  echo: ['steps'],
  matched: ['study_details', 'warnings'],
  progress: [],
  retrieved: [],
  result: ['study_details', 'warnings', 'retrievals'],
};

function hasLists(data: unknown, names: string[]): boolean {
  return typeof data === 'object' && data !== null && names.every((name) => Array.isArray((data as Record<string, unknown>)[name]));
}

function otherKind(response: Response): ReplyError {
  return new ReplyError(response, { cause: new Error('JSON of another kind') });
}

function answer<T>({ data, response }: { data?: T; response: Response }, names: string[]): Exclude<T, string> {
  if (!hasLists(data, names)) throw otherKind(response);
  return data as Exclude<T, string>;
}

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
 * - `ReplyError`: something answered that is not the gateway;
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
    ...(apiKey !== undefined && { headers: { Authorization: `Bearer ${apiKey}` } }),
    ...(fetch && { fetch }),
  });
  client.use({
    async onResponse({ response, options }) {
      if (!response.ok) throw await failure(response);
      if (options.parseAs === 'json' && mediaType(response) !== 'application/json') throw await failure(response);
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
        if (event.type === 'error') throw new ProblemError(event.data);
        yield event;
        if (event.type === 'result') return;
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
    throw new CutOffError();
  }

  return {
    query: async (body, options) => answer(await client.POST('/q', { body, ...init(options) })),
    retrieve: async (body, options) => answer(await client.POST('/qr', { body, ...init(options) })),
    follow,
    echo: async (body, options) => answer(await client.POST('/echo', { body, ...init(options) })),
    client,
  };
}

function init({ signal, correlationId }: CallOptions = {}, headers: Record<string, string> = {}) {
  return {
    headers: correlationId === undefined ? headers : { ...headers, 'X-Correlation-ID': correlationId },
    ...(signal && { signal }),
  };
}

function answer<T>({ data, response }: { data?: T; response: Response }): Exclude<T, string> {
  if (data === undefined) throw new ReplyError(response);
  return data as Exclude<T, string>;
}

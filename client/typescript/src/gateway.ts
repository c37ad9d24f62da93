import createClient, { type Client } from 'openapi-fetch';

import { answer, hasLists, incomplete, init, type CallOptions } from './calls.js';
import type { components, paths } from './contract.js';
import { CutOffError, readEvents, type RetrieveEvent } from './events.js';
import { acceptOf, pathOf, readInstances, type Instance, type Target } from './instances.js';
import { jobsOf, type Jobs } from './jobs.js';
import { failure, mediaType, ProblemError, ReplyError } from './problem.js';
import { retrying, type Retry } from './retry.js';

type Schemas = components['schemas'];

export interface GatewayOptions {
  /** Base URL of the gateway, for example `http://localhost:8888`. */
  baseUrl: string;
  /** Sent with each request. */
  apiKey?: string;
  /** Replaces the global `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
  /** Repeats calls that a busy gateway refused. Without it, each call sends one request. */
  retry?: Retry;
}

export interface RetrieveInstancesOptions extends CallOptions {
  /** UID of the transfer syntax that the instances have. Without it they come as the PACS has them. */
  transferSyntax?: string;
  /**
   * Asks for what the PACS can send although instances are missing. The iterator still throws an `IncompleteError` at the end, which
   * then lists the missing instances.
   */
  lenient?: boolean;
}

/**
 * Calls one gateway. A result is complete, with one exception: a retrieve whose `status` is `partial`. If a call fails, it
 * throws:
 *
 * - `ProblemError`: the gateway refused the request or the operation failed. Branch on `error.problem.code`.
 * - `ReplyError`: the reply did not come from the gateway, or it is a redirect, which is not followed. If the fault is in
 *   JSON or an event that cannot be parsed or lacks required fields, `cause` describes it.
 * - `IncompleteError`: instances are missing in the answer to `retrieveInstances`.
 * - `CutOffError`: the stream of `follow` ended early. The outcome is unknown. That of `jobs.follow` is connected again first.
 * - the errors of `fetch`: a `TypeError` if the connection failed, the reason of `signal` if it was aborted.
 */
export interface Gateway {
  /** Finds the studies of a patient that match all filters, newest first. */
  query(request: Schemas['QueryRequest'], options?: CallOptions): Promise<Schemas['QueryResponse']>;

  /** Finds the studies and asks the PACS to move them to `c_move_ae_title`. */
  retrieve(request: Schemas['RetrieveRequest'], options?: CallOptions): Promise<Schemas['RetrieveResponse']>;

  /**
   * Does what `retrieve` does and reports progress. The first step of the iterator sends the request. The last event is
   * `result`; if nothing was moved, a `ProblemError` is thrown. Leaving the loop cancels the operation at the PACS.
   */
  follow(request: Schemas['RetrieveRequest'], options?: CallOptions): AsyncGenerator<RetrieveEvent, void>;

  /**
   * Yields the instances of a study, series or instance at a named PACS, one after the other, while they arrive; it keeps none in
   * memory. If it ends without an error, all instances arrived. Leaving the loop cancels the retrieval at the PACS.
   */
  retrieveInstances(pacs: string, target: Target, options?: RetrieveInstancesOptions): AsyncGenerator<Instance, void>;

  /** Tests the connection to a PACS step by step. */
  echo(request: Schemas['EchoRequest'], options?: CallOptions): Promise<Schemas['EchoResponse']>;

  /** Batches: lists of studies that the gateway moves in the background. */
  readonly jobs: Jobs;

  /** Calls any route of the contract through openapi-fetch. It throws the same errors. */
  readonly client: Client<paths>;
}

export function createGateway({ baseUrl, apiKey, fetch = (request) => globalThis.fetch(request), retry }: GatewayOptions): Gateway {
  const client = createClient<paths>({
    baseUrl,
    redirect: 'manual', // API key and patient data are meant for this address only
    ...(apiKey !== undefined && { headers: { Authorization: `Bearer ${apiKey}` } }),
    fetch: retry ? retrying(fetch, retry) : fetch,
  });
  // Keeps each request as long as its response: Node stops passing on the signal of a request that it has collected.
  const requests = new WeakMap<Response, Request>();
  client.use({
    async onResponse({ request, response, options }) {
      requests.set(response, request);
      if (!response.ok) throw await failure(response);
      if (options.parseAs !== 'json') return;
      if (!['application/json', 'application/dicom+json'].includes(mediaType(response))) throw await failure(response);
      // Parsed here, because openapi-fetch would throw a SyntaxError without the response.
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
        if (event.type === 'error' || !hasLists(event.data, lists[event.type])) throw incomplete(response);
        yield event;
        if (event.type === 'result') return;
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw error instanceof SyntaxError ? new ReplyError(response, { cause: error }) : error;
    }
    throw new CutOffError();
  }

  async function* retrieveInstances(pacs: string, target: Target, options: RetrieveInstancesOptions = {}) {
    const { transferSyntax = '*', lenient = false } = options;
    const headers = { Accept: acceptOf(transferSyntax), ...(lenient && { Prefer: 'handling=lenient' }) };
    const get = client.GET as unknown as (path: string, init: object) => Promise<{ response: Response }>;
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

/** The lists that the contract requires. Without this check, the `{}` of another server would pass for a result. */
const lists = {
  query: ['study_details', 'warnings'],
  retrieve: ['study_details', 'warnings', 'retrievals'],
  echo: ['steps'],
  matched: ['study_details', 'warnings'],
  progress: [],
  retrieved: [],
  result: ['study_details', 'warnings', 'retrievals'],
};

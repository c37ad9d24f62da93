import type { Client } from 'openapi-fetch';

import { answer, incomplete, init, type CallOptions } from './calls.js';
import type { components, paths } from './contract.js';
import { CutOffError, readMessages } from './events.js';
import { failure, mediaType, ProblemError, ReplyError, type Problem } from './problem.js';
import { systemClock, type Retry } from './retry.js';

type Schemas = components['schemas'];
type Job = Schemas['Job'];

/** What to file: a `JobRequest`, or one with its items as the text of a CSV file. */
export type JobOrder = Schemas['JobRequest'] | (Omit<Schemas['JobRequest'], 'items'> & { csv: string });

/** What happens to a job. `id` is its place in the history of the job, for `FollowOptions`. */
export type JobEvent = { id: string } & (
  | { type: 'job' | 'finished'; data: Job }
  | { type: 'item' | 'waiting'; data: Schemas['JobItemReport'] }
);

export interface SubmitOptions extends CallOptions {
  /** Names this order, so that the gateway files it once however often it is sent. Without it a random one is used. */
  idempotencyKey?: string;
}

export interface PageOptions extends CallOptions {
  offset?: number;
  limit?: number;
}

export interface FollowOptions extends CallOptions {
  /** The `id` of the last event that was read, to go on after it; `0` begins with the first event of the job. */
  lastEventId?: string;
  /** Called with true when a stream is open, and with false when it has ended early and follow waits to connect again. */
  onConnected?: (connected: boolean) => void;
}

/** Calls the routes below `/jobs`. Its calls throw the same errors as those of `Gateway`. */
export interface Jobs {
  /** Files a job, which the gateway does in the background. With `retry`, it is sent again also if the connection failed. */
  submit(order: JobOrder, options?: SubmitOptions): Promise<Job>;

  /** Lists the jobs of the caller, newest first. */
  list(options?: PageOptions): Promise<Schemas['JobList']>;

  /** A job with a page of its items, of all or of those in one state. */
  get(job: string, options?: PageOptions & { state?: Schemas['JobItemState'] }): Promise<Schemas['JobPage']>;

  /** All items of a job as CSV, or those in one state. */
  csv(job: string, options?: CallOptions & { state?: Schemas['JobItemState'] }): Promise<string>;

  /**
   * Follows a job until it has finished: `job` first, with its counters, and `finished` last. If the connection fails, it connects again
   * and goes on after the last event, for about ten minutes; then it throws a `CutOffError`. If the gateway no longer has the next
   * event, `job` says where the job is now. Leaving the loop does not change the job.
   */
  follow(job: string, options?: FollowOptions): AsyncGenerator<JobEvent, void>;

  /** Ends a job. What was moved by then stays moved. */
  cancel(job: string, options?: CallOptions): Promise<Job>;

  /** Does again what failed in a finished job. */
  retry(job: string, options?: CallOptions): Promise<Job>;

  /** Deletes a finished job. */
  delete(job: string, options?: CallOptions): Promise<void>;
}

/** How often follow connects before it gives up, about ten minutes, and its longest wait in seconds. */
const attempts = 24;
const longestWait = 30;

export function jobsOf(client: Client<paths>, retry?: Retry): Jobs {
  const clock = retry?.clock ?? systemClock;
  const never = new AbortController().signal;

  const of = (job: string) => ({ params: { path: { job } } });

  async function submit(order: JobOrder, { idempotencyKey = randomKey(), ...options }: SubmitOptions = {}): Promise<Job> {
    const call = init(options, { 'Idempotency-Key': idempotencyKey });
    const send = () => {
      if (!('csv' in order)) return client.POST('/jobs', { body: order, ...call });
      const { csv, ...query } = order;
      const headers = { ...call.headers, 'Content-Type': 'text/csv' };
      const values = Object.entries(query).filter(([, value]) => value !== null);
      return client.POST('/jobs', { ...call, headers, params: { query: Object.fromEntries(values) }, body: csv, bodySerializer: (text) => text as string });
    };
    for (let failed = 0; ; failed++) {
      try {
        return jobOf(await send());
      } catch (error) {
        const wait = 2 ** failed;
        // The key makes it safe: the gateway files it once.
        if (!(error instanceof TypeError) || !retry || failed + 1 >= retry.attempts || 2 * wait > retry.maxWait + 1) throw error;
        await clock.sleep(wait * 1000, options.signal ?? never);
      }
    }
  }

  /** Opens the stream of events, and yields them until it ends. alive is called when anything arrives. */
  async function* connect(job: string, last: string | undefined, { onConnected, ...options }: FollowOptions, alive: () => void): AsyncGenerator<JobEvent, void> {
    const headers = { Accept: 'text/event-stream', ...(last !== undefined && { 'Last-Event-ID': last }) };
    const { response } = await client.GET('/jobs/{job}/events', { ...of(job), parseAs: 'stream', ...init(options, headers) });
    if (mediaType(response) !== 'text/event-stream' || !response.body) throw await failure(response);
    onConnected?.(true);
    for await (const { event: type, data: text, id = '' } of readMessages(response.body, alive)) {
      const data = parse(text, response);
      if (type === 'error' && typeof data?.code === 'string') throw new ProblemError(data as Problem);
      if (type === 'job' || type === 'finished') yield { type, id, data: jobOf({ data, response }) };
      if (type === 'item' || type === 'waiting') {
        if (typeof data?.item !== 'number') throw incomplete(response);
        yield { type, id, data };
      }
    }
    throw new CutOffError();
  }

  async function* follow(job: string, { lastEventId: last, ...options }: FollowOptions = {}): AsyncGenerator<JobEvent, void> {
    for (let failed = 0; ; failed++) {
      try {
        for await (const event of connect(job, last, options, () => (failed = 0))) {
          last = event.id || last;
          yield event;
          if (event.type === 'finished') return;
        }
      } catch (error) {
        options.signal?.throwIfAborted();
        const gone = error instanceof ProblemError && error.problem.code === 'events_gone';
        if (gone && last !== undefined) {
          last = undefined;
          continue;
        }
        if (!passing(error)) throw error;
        if (failed >= attempts) throw new CutOffError({ cause: error });
        options.onConnected?.(false);
        const asked = error instanceof ProblemError ? (error.retryAfter ?? 0) : 0;
        await clock.sleep(Math.max(asked, Math.min(2 ** failed, longestWait)) * 1000, options.signal ?? never);
      }
    }
  }

  return {
    submit,
    list: async ({ offset, limit, ...options } = {}) =>
      answer(await client.GET('/jobs', { params: { query: given({ offset, limit }) }, ...init(options) }), ['jobs']),
    get: async (job, { offset, limit, state, ...options } = {}) =>
      answer(await client.GET('/jobs/{job}', { params: { path: { job }, query: given({ offset, limit, state }) }, ...init(options) }), ['items']),
    csv: async (job, { state, ...options } = {}) => {
      const call = { params: { path: { job }, query: given({ state }) }, ...init(options, { Accept: 'text/csv' }) };
      const { response } = await client.GET('/jobs/{job}', { ...call, parseAs: 'stream' });
      if (mediaType(response) !== 'text/csv') throw await failure(response);
      return response.text();
    },
    follow,
    cancel: async (job, options) => jobOf(await client.POST('/jobs/{job}/cancel', { ...of(job), ...init(options) })),
    retry: async (job, options) => jobOf(await client.POST('/jobs/{job}/retry', { ...of(job), ...init(options) })),
    delete: async (job, options) => {
      const { response } = await client.DELETE('/jobs/{job}', { ...of(job), parseAs: 'stream', ...init(options) });
      if (response.status !== 204) throw await failure(response);
    },
  };
}

/** Reports whether a later attempt to follow can succeed: the connection failed, or the gateway or a proxy is not ready. */
function passing(error: unknown): boolean {
  if (error instanceof ProblemError) return [429, 503].includes(error.problem.status);
  if (error instanceof ReplyError) return error.cause === undefined && [429, 502, 503, 504].includes(error.status);
  return error instanceof CutOffError || error instanceof TypeError; // fetch throws TypeErrors
}

function parse(text: string, response: Response): any {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ReplyError(response, { cause });
  }
}

function jobOf({ data, response }: { data?: unknown; response: Response }): Job {
  const { job, counts } = (data ?? {}) as Partial<Job>;
  if (typeof job !== 'string' || typeof counts?.items !== 'number') throw incomplete(response);
  return data as Job;
}

/** Leaves out what is undefined. */
function given<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

/** Not crypto.randomUUID, which pages over plain HTTP do not have. */
function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

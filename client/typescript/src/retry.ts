import { failure, retryAfter, type ProblemError, type ReplyError } from './problem.js';

/**
 * Repeats calls that were refused with the status 429 or 503, as a busy gateway or a proxy in front of it refuses them. It
 * repeats nothing else: no other status, no failed connection, and no stream that has begun.
 *
 * Each wait takes as long as `Retry-After` asks for, which is a number of seconds or a date. Without that header the first
 * wait takes a second, and each further one twice as long as the one before. The `signal` of a call ends a wait at once.
 */
export interface Retry {
  /** How often a call sends its request, at least 1. */
  attempts: number;
  /**
   * Limits the sum of the waits of a call, in seconds. A call whose next wait would exceed it throws its last refusal at
   * once, because an earlier attempt would be refused too.
   */
  maxWait: number;
  /** Called before each wait, with the refusal and the seconds to wait. It is a `ReplyError` if a proxy refused the request. */
  onRetry?: (refusal: ProblemError | ReplyError, seconds: number) => void;
  /** Replaces the clock, for tests. */
  clock?: Clock;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after the milliseconds, or rejects with the reason of the signal as soon as it is aborted. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

type Fetch = (request: Request) => Promise<Response>;

/**
 * Returns a fetch that repeats refused operations, which are the POST requests and those of DICOMweb and jobs: `GET /ready` answers 503
 * to say something.
 */
export function retrying(fetch: Fetch, { attempts, maxWait, onRetry, clock = systemClock }: Retry): Fetch {
  if (!(Number.isInteger(attempts) && attempts >= 1 && maxWait > 0)) {
    throw new RangeError('a retry needs at least one attempt and a positive maxWait');
  }
  // Keeps each copy as long as its response: Node stops passing on the signal of a request that it has collected. It does so
  // for a clone() even if that is kept.
  const copies = new WeakMap<Response, Request>();
  return async (request) => {
    const { method, url } = request;
    if (method !== 'POST' && !/\/(dicomweb|jobs)(\/|$)/.test(new URL(url).pathname)) return fetch(request);
    const body = (method === 'POST' && (await request.text())) || null;
    let waited = 0;
    for (let attempt = 1; ; attempt++) {
      const copy = new Request(request, { body });
      const response = await fetch(copy);
      copies.set(response, copy);
      if (attempt >= attempts || ![429, 503].includes(response.status)) return response;
      const seconds = retryAfter(response.headers, clock.now()) ?? 2 ** (attempt - 1);
      waited += seconds;
      if (waited > maxWait) return response;
      const refusal = await failure(response, clock.now());
      onRetry?.(refusal, seconds);
      request.signal.throwIfAborted();
      await clock.sleep(seconds * 1000, request.signal);
    }
  };
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(signal.reason);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', stop);
        resolve();
      }, milliseconds);
      signal.addEventListener('abort', stop, { once: true });
    }),
};

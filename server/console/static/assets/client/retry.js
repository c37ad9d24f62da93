import { failure, retryAfter } from './problem.js';
export function retrying(fetch, { attempts, maxWait, onRetry, clock = systemClock }) {
if (!(Number.isInteger(attempts) && attempts >= 1 && maxWait > 0)) {
throw new RangeError('a retry needs at least one attempt and a positive maxWait');
}
const copies = new WeakMap();
return async (request) => {
const { method, url } = request;
if (method !== 'POST' && !/\/(dicomweb|jobs)(\/|$)/.test(new URL(url).pathname))
return fetch(request);
const body = (method === 'POST' && (await request.text())) || null;
let waited = 0;
for (let attempt = 1;; attempt++) {
const copy = new Request(request, { body });
const response = await fetch(copy);
copies.set(response, copy);
if (attempt >= attempts || ![429, 503].includes(response.status))
return response;
const seconds = retryAfter(response.headers, clock.now()) ?? 2 ** (attempt - 1);
waited += seconds;
if (waited > maxWait)
return response;
const refusal = await failure(response, clock.now());
onRetry?.(refusal, seconds);
request.signal.throwIfAborted();
await clock.sleep(seconds * 1000, request.signal);
}
};
}
export const systemClock = {
now: () => Date.now(),
sleep: (milliseconds, signal) => new Promise((resolve, reject) => {
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

// Batches, which the contract calls jobs.
import { CutOffError } from './client/index.js';
import { answer, Failure, failureOf, gateway, isStop } from './api.js';
import { texts } from './texts.js';

export const page = 50; // jobs or items that are asked for at once
export const pathOf = (id) => `jobs/${encodeURIComponent(id)}`;
export const isOver = ({ state }) => state === 'finished' || state === 'cancelled';
export const doneOf = ({ counts }) => counts.items - counts.queued - counts.running - counts.waiting;
export const failedOf = ({ counts }) => counts.failed + counts.partial + counts.no_study_matched;

// orderOf returns what is filed: the fields of the form in the words of the contract, without the list.
export function orderOf({ pacs, destination, notBefore, windowFrom, windowTo, priority }, dryRun) {
  return {
    pacs,
    ...(dryRun ? { dry_run: true } : { c_move_ae_title: destination.trim() }),
    ...(notBefore ? { not_before: new Date(notBefore).toISOString() } : {}),
    ...(windowFrom && windowTo ? { window: `${windowFrom}-${windowTo}` } : {}),
    ...(priority === 'normal' ? {} : { priority }),
  };
}

// newKey returns a random Idempotency-Key. crypto.randomUUID would need HTTPS.
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

export const file = (order, csv, idempotencyKey, signal) => answer(gateway.jobs.submit({ ...order, csv }, { idempotencyKey, signal }));
export const jobs = (offset, signal) => answer(gateway.jobs.list({ offset, limit: page, signal }));
export const items = (id, offset, state, signal) => answer(gateway.jobs.get(id, { offset, limit: page, state: state || undefined, signal }));
export const cancel = (id, signal) => answer(gateway.jobs.cancel(id, { signal }));
export const retry = (id, signal) => answer(gateway.jobs.retry(id, { signal }));
export const remove = (id, signal) => answer(gateway.jobs.delete(id, { signal }));

export async function resultOf(id, signal) {
  try {
    return new Blob([await gateway.jobs.csv(id, { signal })], { type: 'text/csv' });
  } catch (error) {
    if (error?.constructor === TypeError) throw new Failure({ detail: texts.job.cutOff, hint: texts.job.cutOffHint }); // the body broke off
    throw failureOf(error);
  }
}

// follow calls onEvent(event) until the job is finished, and onConnected(false) while the gateway does not answer.
export async function follow(id, signal, onEvent, onConnected) {
  let lastEventId;
  for (;;) {
    try {
      for await (const event of gateway.jobs.follow(id, { lastEventId, signal, onConnected })) {
        lastEventId = event.id || lastEventId;
        onEvent(event);
      }
      return;
    } catch (error) {
      if (isStop(error) || signal.aborted) return;
      if (!(error instanceof CutOffError)) throw failureOf(error); // else the client has given up, but the person has not
    }
  }
}

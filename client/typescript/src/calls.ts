import { ReplyError } from './problem.js';

export interface CallOptions {
  /** Aborts the call. The gateway then cancels the operation at the PACS with a C-CANCEL. */
  signal?: AbortSignal;
  /** ID of the request in the gateway's log and audit trail: 1 to 128 visible ASCII characters. */
  correlationId?: string;
}

export function init({ signal, correlationId }: CallOptions = {}, headers: Record<string, string> = {}) {
  return {
    headers: correlationId === undefined ? headers : { ...headers, 'X-Correlation-ID': correlationId },
    ...(signal && { signal }),
  };
}

export function hasLists(data: unknown, names: string[]): boolean {
  return typeof data === 'object' && data !== null && names.every((name) => Array.isArray((data as Record<string, unknown>)[name]));
}

export function incomplete(response: Response): ReplyError {
  return new ReplyError(response, { cause: new Error('the JSON lacks required fields') });
}

export function answer<T>({ data, response }: { data?: T; response: Response }, names: string[]): Exclude<T, string> {
  if (!hasLists(data, names)) throw incomplete(response);
  return data as Exclude<T, string>;
}

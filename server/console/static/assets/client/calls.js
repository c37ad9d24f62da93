import { ReplyError } from './problem.js';
export function init({ signal, correlationId } = {}, headers = {}) {
return {
headers: correlationId === undefined ? headers : { ...headers, 'X-Correlation-ID': correlationId },
...(signal && { signal }),
};
}
export function hasLists(data, names) {
return typeof data === 'object' && data !== null && names.every((name) => Array.isArray(data[name]));
}
export function incomplete(response) {
return new ReplyError(response, { cause: new Error('the JSON lacks required fields') });
}
export function answer({ data, response }, names) {
if (!hasLists(data, names))
throw incomplete(response);
return data;
}

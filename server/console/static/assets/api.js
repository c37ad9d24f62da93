// Requests to the gateway, with its TypeScript client. The API key is kept here, in memory only.
import { createGateway, ProblemError, ReplyError } from './client/index.js';
import { texts } from './texts.js';

const base = new URL('.', document.baseURI);
let key = '';
let ask = async () => ''; // set by the page: resolves to a key, or '' if the person has none
let asking = null;

export const onUnauthorized = (f) => { ask = f; };
export const hasKey = () => key !== '';

// urlOf returns the URL of a path of the gateway, also behind a proxy that adds a prefix. Empty parameters are left out.
export function urlOf(path, parameters = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== '' && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

// Failure is why the page could not do something; problem is a document of RFC 9457 that says so to people.
export class Failure extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
  }
}

// UnreachableError is a TypeError, as that of fetch, so that the client sees that a later attempt can succeed.
class UnreachableError extends TypeError {}

export const isStop = (error) => error?.name === 'AbortError';

async function newKey(sent) {
  if (key !== sent) return key; // another request has asked meanwhile
  asking ??= ask(sent !== '').finally(() => { asking = null; });
  key = await asking;
  return key;
}

// send is the fetch of the client: it adds the API key, and asks for one if the gateway requires it.
async function send(request) {
  const { signal, method } = request;
  const body = method === 'POST' ? await request.text() : undefined;
  for (;;) {
    const sent = key;
    const copy = new Request(request, { body, signal, referrerPolicy: 'no-referrer' });
    if (sent !== '') copy.headers.set('Authorization', `Bearer ${sent}`);
    let response;
    try {
      response = await fetch(copy);
    } catch (error) {
      throw isStop(error) ? error : new UnreachableError();
    }
    if (response.status !== 401 || response.headers.get('WWW-Authenticate') !== 'Bearer') return response;
    if (await newKey(sent) === '') return response;
  }
}

export const gateway = createGateway({ baseUrl: base.href, fetch: send });

// failureOf returns the Failure for an error of the client if there is one, else the error.
export function failureOf(error) {
  if (error instanceof ProblemError) return new Failure(error.problem);
  if (error instanceof UnreachableError) return new Failure({ detail: texts.problem.unreachable, hint: texts.problem.unreachableHint });
  if (error instanceof ReplyError && error.status >= 400) return new Failure({ status: error.status, detail: `${error.status} ${error.statusText}` });
  return error;
}

// answer resolves to what a call of the client resolves to; it fails with a Failure.
export const answer = (call) => call.catch((error) => { throw failureOf(error); });

// get resolves to the answer {data, response} to a GET request for a path of the gateway.
const get = (path, { parameters, headers, signal, parseAs }) => answer(gateway.client.GET(`/${path}`, {
  params: { query: Object.fromEntries(Object.entries(parameters ?? {}).filter(([, value]) => value !== '')) }, headers, signal, parseAs,
}));

// request resolves to a successful response whose body has not been read.
export const request = async (path, options) => (await get(path, { ...options, parseAs: 'stream' })).response;

// warningsOf returns the texts of the Warning fields of a response.
function warningsOf(response) {
  const fields = response.headers.get('Warning') ?? '';
  return [...fields.matchAll(/\b299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text.replace(/\\(.)/g, '$1'));
}

export async function json(path, options) {
  const { data, response } = await get(path, { ...options, parseAs: 'json' });
  return { data, warnings: warningsOf(response) };
}

// dataURL returns a picture as a data: URL.
export async function dataURL(response) {
  const picture = await response.blob();
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(picture);
  });
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// curl returns the command that sends a request. It names the variable API_KEY in place of the key, and the file of a body of text.
export function curl(path, { parameters, headers = {}, body, file, output, stream } = {}) {
  const words = ['curl --fail-with-body'];
  if (stream) words.push('-N');
  if (output) words.push(`-o ${quoted(output)}`);
  for (const [name, value] of Object.entries(headers)) words.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (hasKey()) words.push('-H "Authorization: Bearer $API_KEY"');
  if (body !== undefined) words.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  if (file) words.push(`--data-binary ${quoted(`@${file}`)}`);
  words.push(quoted(urlOf(path, parameters).href));
  return words.join(' \\\n  ');
}

// Requests to the gateway. The API key is kept here, in memory only.
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

// Failure is an answer that is not a success; problem is the document of RFC 9457 that says why.
export class Failure extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
  }
}

export const isStop = (error) => error?.name === 'AbortError';

async function newKey(sent) {
  if (key !== sent) return key; // another request has asked meanwhile
  asking ??= ask(sent !== '').finally(() => { asking = null; });
  key = await asking;
  return key;
}

async function problemOf(response) {
  try {
    const problem = await response.json();
    if (problem && typeof problem === 'object' && (problem.detail || problem.title)) return problem;
  } catch {
    // not from the gateway
  }
  return { status: response.status, detail: `${response.status} ${response.statusText}` };
}

// request resolves to a successful response, and asks for an API key if the gateway requires one.
export async function request(path, { parameters, headers = {}, body, signal } = {}) {
  for (;;) {
    const sent = key;
    let response;
    try {
      response = await fetch(urlOf(path, parameters), {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          ...headers,
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(sent === '' ? {} : { Authorization: `Bearer ${sent}` }),
        },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
        credentials: 'same-origin',
        referrerPolicy: 'no-referrer',
      });
    } catch (error) {
      if (isStop(error)) throw error;
      throw new Failure({ detail: texts.problem.unreachable, hint: texts.problem.unreachableHint });
    }
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status !== 401 || response.headers.get('WWW-Authenticate') !== 'Bearer') throw new Failure(problem);
    if (await newKey(sent) === '') throw new Failure(problem);
  }
}

// warningsOf returns the texts of the Warning fields of a response.
function warningsOf(response) {
  const fields = response.headers.get('Warning') ?? '';
  return [...fields.matchAll(/\b299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text.replace(/\\(.)/g, '$1'));
}

export async function json(path, options) {
  const response = await request(path, options);
  return { data: await response.json(), warnings: warningsOf(response) };
}

// events yields the server-sent events of a response as {type, data}, while they arrive.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (text + value).split(/\r?\n\r?\n/);
      text = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split(/\r?\n/).map((line) => line.split(/: ?(.*)/s, 2)));
        if (fields.event && fields.data) yield { type: fields.event, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
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

// curl returns the command that sends a request. It names the variable API_KEY in place of the key.
export function curl(path, { parameters, headers = {}, body, output, stream } = {}) {
  const words = ['curl --fail-with-body'];
  if (stream) words.push('-N');
  if (output) words.push(`-o ${quoted(output)}`);
  for (const [name, value] of Object.entries(headers)) words.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (hasKey()) words.push('-H "Authorization: Bearer $API_KEY"');
  if (body !== undefined) words.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  words.push(quoted(urlOf(path, parameters).href));
  return words.join(' \\\n  ');
}

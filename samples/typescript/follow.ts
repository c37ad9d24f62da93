// Moves a patient's studies and tells how far they are.
import type { components } from './api.js';
type Schema = components['schemas'];
declare const process: { argv: string[]; exitCode: number };

const [gateway = 'http://localhost:8888', port = '4242', patient_id = '1112223333'] = process.argv.slice(2);
const request: Schema['RetrieveRequest'] = {
  pacs_ip: '127.0.0.1', pacs_port: Number(port), pacs_ae_title: 'ORTHANCA', c_find_ae_title: 'GATEWAY',
  patient_id, c_move_ae_title: 'ORTHANCB',
};
const headers = { 'Content-Type': 'application/json', Accept: 'text/event-stream' };
const response = await fetch(`${gateway}/qr`, { method: 'POST', headers, body: JSON.stringify(request) });
if (!response.ok || !response.body) throw new Error(((await response.json()) as Schema['Problem']).detail);

let rest = '';
for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
  const events = (rest + text).split('\n\n');
  rest = events.pop() ?? '';
  for (const event of events) {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(event) ?? [];
    if (name && data) show(name, JSON.parse(data)); // a comment has neither
  }
}

function show(name: string, data: unknown) {
  if (name === 'progress') console.log('instances moved:', (data as Schema['ProgressEvent']).completed_total);
  if (name === 'retrieved') console.log('study', (data as Schema['Retrieval']).status);
  if (name === 'result') console.log((data as Schema['ResultEvent']).message);
  if (name === 'result') process.exitCode = (data as Schema['ResultEvent']).http_status === 200 ? 0 : 1;
  if (name === 'error') throw new Error((data as Schema['Problem']).detail);
}

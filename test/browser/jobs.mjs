// Plays the routes of batches in front of a gateway, for what a real one does not do in a test: thousands of items, failures of
// every kind, and streams that break off.
import { once } from 'node:events';
import http from 'node:http';

const states = ['moved', 'partial', 'failed', 'no_study_matched', 'cancelled', 'found', 'queued', 'running', 'waiting'];

export function countsOf(items) {
  const counts = { items: items.length, ...Object.fromEntries(states.map((state) => [state, 0])) };
  for (const { state } of items) counts[state] += 1;
  return counts;
}

export function jobOf(number, change = {}, items = []) {
  return {
    job: `0197c1f0${String(number).padStart(8, '0')}`, state: 'finished', pacs: 'orthanca', c_move_ae_title: 'ORTHANCB', dry_run: false, priority: 'normal',
    not_before: null, window: null, filed_at: `2026-11-28T${String(20 - (number % 20)).padStart(2, '0')}:05:00Z`, filed_by: 'ward-7', finished_at: '2026-11-28T21:00:00Z',
    expires_at: '2026-12-28T21:00:00Z', run: 1, items, ...change,
  };
}

// itemOf returns item n of a job: most are moved, and each other outcome has its example.
export function itemOf(n, state = 'moved') {
  const item = { item: n, accession_number: `ACC-${String(n).padStart(5, '0')}`, state, attempts: state === 'queued' ? 0 : 1 };
  const retrieval = (status, completed, failed) => ({
    StudyInstanceUID: `1.2.826.0.1.3680043.10.543.${n}`, status, dicom_status: '0000', completed, failed, warning: 0, failed_sop_instance_uids: [],
  });
  switch (state) {
    case 'moved': return { ...item, retrievals: [retrieval('ok', 32, 0)] };
    case 'partial': return { ...item, attempts: 5, retrievals: [retrieval('partial', 30, 2)] };
    case 'failed': return { ...item, attempts: 5, code: 'move_destination_unknown', detail: 'The PACS does not know the destination.',
      hint: 'Register the AE title, the host and the port of the destination at the PACS.' };
    case 'no_study_matched': return { ...item, code: 'no_study_matched', detail: 'No study matches the request.' };
    case 'waiting': return { ...item, code: 'pacs_unreachable', detail: 'Could not connect to the PACS.', next_attempt_at: '2026-11-28T21:15:00Z' };
    case 'found': return { ...item, studies: [{
      StudyInstanceUID: `1.2.826.0.1.3680043.10.543.${n}`, StudyDescription: 'CT CHEST VOLUME', ModalitiesInStudy: ['CT'], StudyDate: '20250310', AccessionNumber: item.accession_number,
    }] };
    default: return item;
  }
}

async function textOf(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text;
}

// play starts a proxy for the gateway at url. played.jobs are the jobs, newest first; played.jobsAre is what /ready says;
// played.refuse(request) may return a problem document; played.filed has the orders; played.send(event, data, id) writes an event to each stream that is open; played.cut() breaks
// them off.
export async function play(url, list = []) {
  const streams = new Set();
  const played = { jobs: list, jobsAre: 'available', filed: [], streamed: [], actions: [], refuse: () => undefined };
  const answer = (response, status, value, headers = {}) => {
    const type = status < 400 ? 'application/json' : 'application/problem+json';
    response.writeHead(status, { 'Content-Type': type, ...headers }).end(JSON.stringify(value));
  };
  const recordOf = (job) => ({ ...job, items: undefined, counts: job.counts ?? countsOf(job.items) });

  const jobs = async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, url);
    const [, , id, action] = pathname.split('/');
    const offset = Number(searchParams.get('offset') ?? 0);
    const limit = Number(searchParams.get('limit') ?? 100);
    const refusal = played.refuse(request, pathname);
    if (refusal) return answer(response, refusal.status, { type: 'about:blank', title: 'Refused', correlation_id: 'b1946ac9', ...refusal });
    if (request.method === 'POST' && !id) {
      const text = await textOf(request);
      played.filed.push({ text, key: request.headers['idempotency-key'], type: request.headers['content-type'], parameters: Object.fromEntries(searchParams) });
      const names = text.split('\n')[0].split(',');
      const items = text.split('\n').slice(1).filter(Boolean).map((line, i) => ({
        item: i + 1, ...Object.fromEntries(line.split(',').map((value, k) => [names[k], value])), state: 'queued', attempts: 0,
      }));
      const dry = searchParams.get('dry_run') === 'true';
      const job = jobOf(90 + played.filed.length, { state: 'queued', dry_run: dry, pacs: searchParams.get('pacs'), c_move_ae_title: searchParams.get('c_move_ae_title'),
        finished_at: null }, items);
      played.jobs.unshift(job);
      return answer(response, 202, recordOf(job), { Location: `/jobs/${job.job}` });
    }
    if (!id) return answer(response, 200, { jobs: played.jobs.slice(offset, offset + limit).map(recordOf), more: offset + limit < played.jobs.length });
    const job = played.jobs.find((job) => job.job === id);
    if (!job) return answer(response, 404, { status: 404, code: 'job_not_found', title: 'Not Found', detail: 'This caller has no such job, or it is no longer kept.' });
    if (request.method !== 'GET') played.actions.push(`${request.method} ${action ?? ''}`.trim());
    if (action === 'cancel') {
      for (const item of job.items) if (['queued', 'running', 'waiting'].includes(item.state)) item.state = 'cancelled';
      job.state = 'cancelled';
      return answer(response, 200, recordOf(job));
    }
    if (action === 'retry') {
      for (const item of job.items) if (['failed', 'partial', 'no_study_matched', 'cancelled'].includes(item.state)) Object.assign(item, { state: 'queued', detail: undefined, hint: undefined });
      Object.assign(job, { state: 'queued', run: job.run + 1, finished_at: null });
      return answer(response, 202, recordOf(job));
    }
    if (action === 'events') {
      played.streamed.push(request.headers['last-event-id'] ?? '');
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(`: open\n\n${request.headers['last-event-id'] ? '' : `id: 40\nevent: job\ndata: ${JSON.stringify(recordOf(job))}\n\n`}`);
      streams.add(response);
      response.on('close', () => streams.delete(response));
      if (['finished', 'cancelled'].includes(job.state)) response.end(`event: finished\ndata: ${JSON.stringify(recordOf(job))}\n\n`);
      return undefined;
    }
    if (request.method === 'DELETE') {
      played.jobs.splice(played.jobs.indexOf(job), 1);
      return response.writeHead(204).end();
    }
    if (request.headers.accept === 'text/csv') {
      response.writeHead(200, { 'Content-Type': 'text/csv; charset=utf-8' });
      return response.end(`item,accession_number,state\n${job.items.map((item) => `${item.item},${item.accession_number},${item.state}\n`).join('')}`);
    }
    const state = searchParams.get('state');
    const chosen = state ? job.items.filter((item) => item.state === state) : job.items;
    return answer(response, 200, { ...recordOf(job), items: chosen.slice(offset, offset + limit), total: chosen.length });
  };

  const server = http.createServer((request, response) => {
    if (request.url === '/ready') {
      answer(response, 200, { status: 'ready', jobs: played.jobsAre, budget: 'local' });
      return;
    }
    if (request.url.startsWith('/jobs')) {
      jobs(request, response);
      return;
    }
    const { method, headers } = request;
    request.pipe(http.request(url + request.url, { method, headers }, (answered) => {
      response.writeHead(answered.statusCode, answered.headers);
      answered.pipe(response);
    }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(played, {
    url: `http://127.0.0.1:${server.address().port}`,
    send: (event, data, id) => {
      for (const stream of streams) stream.write(`${id ? `id: ${id}\n` : ''}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    },
    cut: () => { for (const stream of streams) stream.destroy(); },
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createGateway, CutOffError, ProblemError, ReplyError, type Job, type JobEvent, type Jobs, type Retry } from 'dicom-qr-gateway-client';

const counts = { items: 3, queued: 3, running: 0, waiting: 0, moved: 0, partial: 0, failed: 0, no_study_matched: 0, cancelled: 0, found: 0 };
const job: Job = {
  job: '0192f3c4',
  state: 'queued',
  pacs: 'orthanca',
  c_move_ae_title: 'ORTHANCB',
  dry_run: false,
  not_before: null,
  window: null,
  priority: 'normal',
  filed_at: '2026-01-31T18:02:11Z',
  filed_by: 'anonymous',
  finished_at: null,
  expires_at: '2026-03-02T18:02:11Z',
  run: 1,
  counts,
};
const item = { item: 1, accession_number: 'ACC-1007', state: 'moved', attempts: 1 };

const json = (body: unknown, status = 200, headers = {}) => () =>
  new Response(JSON.stringify(body), {
    status,
    headers: { 'Content-Type': status < 400 ? 'application/json' : 'application/problem+json', ...headers },
  });
const problem = (status: number, code: string, headers = {}) => json({ status, code, detail: 'It failed.' }, status, headers);
const event = (id: number, type: string, data: unknown) => `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
/** Answers with events. A stream that is cut ends with an error. */
const stream = (text: string, cut = false) => () => {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => bytes.length > 0 && controller.enqueue(bytes),
    pull: (controller) => (cut ? controller.error(new TypeError('terminated')) : controller.close()),
  });
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
};
const lost = () => {
  throw new TypeError('fetch failed');
};

interface Log {
  /** Method, path, and the headers that matter, of each request. */
  requests: string[];
  bodies: string[];
  /** The waits, in seconds. */
  waits: number[];
}

/** Calls use with jobs of a gateway that gives these answers, one after the other, and then the last one again. */
async function answering(answers: (() => Response)[], use: (jobs: Jobs, log: Log) => Promise<void>, retry: Partial<Retry> = {}) {
  const log: Log = { requests: [], bodies: [], waits: [] };
  const gateway = createGateway({
    baseUrl: 'http://gateway/',
    fetch: async (request) => {
      const shown = ['Accept', 'Content-Type', 'Last-Event-ID', 'X-Correlation-ID'].flatMap((name) => request.headers.get(name) ?? []);
      log.requests.push([request.method, request.url.replace('http://gateway', ''), ...shown].join(' '));
      log.bodies.push(await request.text());
      return (answers.length > 1 ? answers.shift()! : answers[0]!)();
    },
    retry: {
      attempts: 1,
      maxWait: 60,
      ...retry,
      clock: {
        now: () => 0,
        sleep: async (milliseconds, signal) => {
          log.waits.push(milliseconds / 1000);
          signal.throwIfAborted();
        },
      },
    },
  });
  await use(gateway.jobs, log);
}

async function events(from: AsyncIterable<JobEvent>) {
  const all: string[] = [];
  for await (const { id, type, data } of from) all.push(`${id} ${type} ${'item' in data ? data.item : data.job}`);
  return all;
}

test('A job is filed with its items as JSON', async () => {
  const order = { pacs: 'orthanca', c_move_ae_title: 'ORTHANCB', items: [{ accession_number: 'ACC-1007' }] };
  await answering([json(job, 202)], async (jobs, log) => {
    assert.deepEqual(await jobs.submit(order, { correlationId: 'order-4711' }), job);
    assert.deepEqual(log.requests, ['POST /jobs application/json order-4711']);
    assert.deepEqual(JSON.parse(log.bodies[0]!), order);
  });
});

test('A job is filed with its items as CSV', async () => {
  const csv = 'accession_number\nACC-1007\n';
  await answering([json(job, 202)], async (jobs, log) => {
    await jobs.submit({ pacs: 'orthanca', c_move_ae_title: 'ORTHANCB', window: '20:00-06:00', not_before: null, csv });
    assert.deepEqual(log.requests, ['POST /jobs?pacs=orthanca&c_move_ae_title=ORTHANCB&window=20%3A00-06%3A00 text/csv']);
    assert.deepEqual(log.bodies, [csv]);
  });
});

test('A submission whose answer is lost is sent again with the same key', async () => {
  const keys: (string | null)[] = [];
  const answers = [lost, lost, json(job, 202)];
  const gateway = createGateway({
    baseUrl: 'http://gateway',
    fetch: async (request) => {
      keys.push(request.headers.get('Idempotency-Key'));
      return answers.shift()!();
    },
    retry: { attempts: 3, maxWait: 60, clock: { now: () => 0, sleep: async () => {} } },
  });
  assert.deepEqual(await gateway.jobs.submit({ pacs: 'orthanca', dry_run: true, csv: 'patient_id\n1\n' }), job);
  assert.equal(keys.length, 3);
  assert.match(keys[0]!, /^[0-9a-f]{32}$/);
  assert.deepEqual(new Set(keys).size, 1);
  answers.push(json(job, 202));
  await gateway.jobs.submit({ pacs: 'orthanca', items: [] }, { idempotencyKey: 'night-1' });
  assert.equal(keys[3], 'night-1');
});

test('Without a retry a submission is sent once', async () => {
  await answering([lost], async (jobs, log) => {
    await assert.rejects(jobs.submit({ pacs: 'orthanca', items: [] }), TypeError);
    assert.equal(log.requests.length, 1);
  });
});

test('Each call has its route', async () => {
  const page = { ...job, items: [item], total: 1 };
  await answering([json({ jobs: [job], more: false })], async (jobs, { requests }) => {
    assert.deepEqual((await jobs.list({ offset: 20, limit: 10 })).jobs, [job]);
    await jobs.list();
    assert.deepEqual(requests, ['GET /jobs?offset=20&limit=10', 'GET /jobs']);
  });
  await answering([json(page)], async (jobs, { requests }) => {
    assert.deepEqual(await jobs.get('0192f3c4', { state: 'failed', limit: 1 }), page);
    assert.deepEqual(requests, ['GET /jobs/0192f3c4?limit=1&state=failed']);
  });
  await answering([json(job)], async (jobs, { requests }) => {
    assert.deepEqual(await jobs.cancel('0192f3c4'), job);
    assert.deepEqual(await jobs.retry('a/b'), job);
    assert.deepEqual(requests, ['POST /jobs/0192f3c4/cancel', 'POST /jobs/a%2Fb/retry']);
  });
  await answering([() => new Response(null, { status: 204 })], async (jobs, { requests }) => {
    assert.equal(await jobs.delete('0192f3c4'), undefined);
    assert.deepEqual(requests, ['DELETE /jobs/0192f3c4']);
  });
  await answering([() => new Response('item\n1\n', { headers: { 'Content-Type': 'text/csv; charset=utf-8' } })], async (jobs, { requests }) => {
    assert.equal(await jobs.csv('0192f3c4', { state: 'failed' }), 'item\n1\n');
    assert.deepEqual(requests, ['GET /jobs/0192f3c4?state=failed text/csv']);
  });
});

test('Refusals and replies of other servers are errors', async () => {
  const calls: ((jobs: Jobs) => Promise<unknown>)[] = [
    (jobs) => jobs.submit({ pacs: 'orthanca', items: [] }),
    (jobs) => jobs.list(),
    (jobs) => jobs.get('1'),
    (jobs) => jobs.csv('1'),
    (jobs) => jobs.cancel('1'),
    (jobs) => jobs.retry('1'),
    (jobs) => jobs.delete('1'),
    (jobs) => events(jobs.follow('1')),
  ];
  for (const call of calls) {
    await answering([problem(501, 'jobs_disabled')], (jobs) => assert.rejects(call(jobs), ProblemError));
    await answering([json({})], (jobs) => assert.rejects(call(jobs), ReplyError));
    await answering([() => new Response('<h1>Log in</h1>', { headers: { 'Content-Type': 'text/html' } })], (jobs) =>
      assert.rejects(call(jobs), ReplyError),
    );
  }
});

test('Following ends after the last event', async () => {
  const text = event(41, 'job', job) + ': alive\n\n' + event(42, 'waiting', item) + event(43, 'later', {}) + event(44, 'item', item);
  await answering([stream(text + event(44, 'finished', job) + event(45, 'item', item))], async (jobs, { requests }) => {
    assert.deepEqual(await events(jobs.follow('0192f3c4')), ['41 job 0192f3c4', '42 waiting 1', '44 item 1', '44 finished 0192f3c4']);
    assert.deepEqual(requests, ['GET /jobs/0192f3c4/events text/event-stream']);
  });
});

test('Following goes on after the last event when the connection has failed', async () => {
  const first = event(41, 'job', job) + event(42, 'item', item);
  const answers = [
    stream(first, true),
    lost,
    problem(503, 'jobs_unavailable', { 'Retry-After': '7' }),
    () => new Response('<h1>Bad gateway</h1>', { status: 502, headers: { 'Content-Type': 'text/html' } }),
    stream(': alive\n\n'),
    stream(event(43, 'item', item) + event(43, 'finished', job)),
  ];
  await answering(answers, async (jobs, { requests, waits }) => {
    const seen = await events(jobs.follow('0192f3c4', { lastEventId: '0', correlationId: 'order-4711' }));
    assert.deepEqual(seen, ['41 job 0192f3c4', '42 item 1', '43 item 1', '43 finished 0192f3c4']);
    const asked = 'GET /jobs/0192f3c4/events text/event-stream';
    assert.deepEqual(requests, [`${asked} 0 order-4711`, ...Array(5).fill(`${asked} 42 order-4711`)]);
    assert.deepEqual(waits, [1, 2, 7, 8, 1]);
  });
});

test('Following begins with the job as it is if the next event is gone', async () => {
  const answers = [problem(410, 'events_gone'), stream(event(99, 'job', job) + event(99, 'finished', job))];
  await answering(answers, async (jobs, { requests, waits }) => {
    assert.deepEqual(await events(jobs.follow('0192f3c4', { lastEventId: '7' })), ['99 job 0192f3c4', '99 finished 0192f3c4']);
    assert.deepEqual(requests, ['GET /jobs/0192f3c4/events text/event-stream 7', 'GET /jobs/0192f3c4/events text/event-stream']);
    assert.deepEqual(waits, []);
  });
});

test('Following gives up after about ten minutes without a connection', async () => {
  await answering([lost], async (jobs, { waits }) => {
    await assert.rejects(events(jobs.follow('0192f3c4')), CutOffError);
    assert.deepEqual(waits.slice(0, 6), [1, 2, 4, 8, 16, 30]);
    assert.equal(waits.reduce((sum, wait) => sum + wait), 601);
  });
});

test('Following ends at once with a refusal, and with an event that is none of the gateway', async () => {
  for (const [answer, kind] of [
    [problem(404, 'job_not_found'), ProblemError],
    [problem(401, 'unauthorized'), ProblemError],
    [problem(410, 'events_gone'), ProblemError],
    [stream(event(1, 'error', { status: 500, code: 'internal_error', detail: 'It failed.' })), ProblemError],
    [stream(event(1, 'job', {})), ReplyError],
    [stream(event(1, 'item', {})), ReplyError],
    [stream('event: item\ndata: {\n\n'), ReplyError],
  ] as const) {
    await answering([answer], async (jobs, { waits }) => {
      await assert.rejects(events(jobs.follow('0192f3c4')), kind);
      assert.deepEqual(waits, []);
    });
  }
});

test('Following says when it is connected and when it waits', async () => {
  const answers = [stream(event(41, 'job', job), true), lost, stream(event(42, 'finished', job))];
  await answering(answers, async (jobs) => {
    const states: boolean[] = [];
    await events(jobs.follow('0192f3c4', { onConnected: (connected) => states.push(connected) }));
    assert.deepEqual(states, [true, false, false, true]);
  });
});

test('Following is aborted by its signal, also while it waits', async () => {
  const controller = new AbortController();
  const answers = [
    stream(event(41, 'job', job)),
    () => {
      controller.abort(new Error('enough'));
      throw new TypeError('fetch failed');
    },
  ];
  await answering(answers, async (jobs, { requests }) => {
    await assert.rejects(events(jobs.follow('0192f3c4', { signal: controller.signal })), /enough/);
    assert.equal(requests.length, 2);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createGateway, ProblemError, type Gateway, type RetrieveRequest, type Retry } from 'dicom-qr-gateway-client';

const request: RetrieveRequest = {
  pacs_ip: '127.0.0.1',
  pacs_port: 4242,
  pacs_ae_title: 'ORTHANCA',
  c_find_ae_title: 'GATEWAY',
  patient_id: '1112223333',
  c_move_ae_title: 'ORTHANCB',
};
const problem = JSON.stringify({ type: 'urn:x', title: 'PACS busy', status: 503, detail: 'Busy.', code: 'pacs_busy' });

function reply(status: number, type: string, body: string, retryAfter?: string) {
  return () => new Response(body, { status, headers: { 'Content-Type': type, ...(retryAfter !== undefined && { 'Retry-After': retryAfter }) } });
}
const busy = (retryAfter?: string) => reply(503, 'application/problem+json', problem, retryAfter);
const limited = (retryAfter?: string) => reply(429, 'text/html', '<h1>Slow down</h1>', retryAfter);
const json = (body: unknown) => reply(200, 'application/json', JSON.stringify(body));
const found = json({ study_details: [], warnings: [] });
const event = (type: string, data: string) => `event: ${type}\ndata: ${data}\n\n`;
const moved = '{"study_details":[],"warnings":[],"retrievals":[]}';
const stream = (body: string) => reply(200, 'text/event-stream', body, '1');

/** Returns a gateway that gets these replies, and what happens: the requests and waits. Time passes only in waits. */
function scripted(retry: { [Key in keyof Retry]?: Retry[Key] | undefined } | undefined, ...replies: (() => Response)[]) {
  let now = Date.UTC(2000, 0, 1);
  const log: (string | number)[] = [];
  const bodies: unknown[] = [];
  const gateway = createGateway({
    baseUrl: 'http://gateway',
    apiKey: 'key',
    async fetch(request) {
      log.push(`${request.method} ${new URL(request.url).pathname}`);
      bodies.push(request.body && [await request.json(), request.headers.get('Authorization'), request.headers.get('X-Correlation-ID')]);
      return replies.shift()!();
    },
    ...(retry && {
      retry: {
        attempts: 3,
        maxWait: 60,
        clock: {
          now: () => now,
          async sleep(milliseconds) {
            now += milliseconds;
            log.push(milliseconds / 1000);
          },
        },
        ...(retry as Partial<Retry>),
      },
    }),
  });
  return { gateway, log, bodies, replies };
}

const POST = 'POST /q';
const isBusy = (error: unknown) => error instanceof ProblemError && error.problem.code === 'pacs_busy';

test('a retry waits as long as Retry-After asks', async () => {
  for (const [replies, log] of [
    [[busy('5'), busy('7')], [POST, 5, POST, 7, POST]],
    [[busy('0')], [POST, 0, POST]],
    [[busy('Sat, 01 Jan 2000 00:00:30 GMT')], [POST, 30, POST]],
    [[busy('Fri, 31 Dec 1999 23:59:00 GMT')], [POST, 0, POST]],
    [[busy(), busy()], [POST, 1, POST, 2, POST]],
    [[busy('soon'), busy('-1')], [POST, 1, POST, 2, POST]],
    [[limited('2')], [POST, 2, POST]],
  ] as const) {
    const script = scripted({}, ...replies, found);
    await script.gateway.query(request, { correlationId: 'order-4711' });
    assert.deepEqual(script.log, log);
    for (const body of script.bodies) assert.deepEqual(body, [request, 'Bearer key', 'order-4711']);
  }
});

test('a retry ends with the last refusal', async () => {
  for (const [retry, replies, log] of [
    [{ attempts: 2 }, [busy('5'), busy('5')], [POST, 5, POST]],
    [{ attempts: 1 }, [busy('5')], [POST]],
    [{ attempts: 9, maxWait: 12 }, [busy('6'), busy('6'), busy('6')], [POST, 6, POST, 6, POST]],
    [{ attempts: 9 }, [busy('61')], [POST]],
    [{ attempts: 9 }, [busy('9'.repeat(400))], [POST]],
    [{ attempts: 9 }, [busy('Fri, 31 Dec 9999 23:59:59 GMT')], [POST]],
  ] as const) {
    const script = scripted(retry, ...replies);
    await assert.rejects(script.gateway.query(request), (error) => isBusy(error) && (error as ProblemError).retryAfter! <= 86_400);
    assert.deepEqual([script.log, script.replies.length], [log, 0]);
  }
});

test('a retry is off by default', async () => {
  const script = scripted(undefined, busy('5'));
  await assert.rejects(script.gateway.query(request), isBusy);
  assert.deepEqual(script.log, [POST]);
});

test('a retry repeats only refusals', async () => {
  const failing = () => {
    throw new TypeError('fetch failed');
  };
  const statuses = [302, 400, 401, 403, 404, 413, 415, 500, 502, 504];
  const others = statuses.map((status) => reply(status, 'application/problem+json', problem, '1'));
  for (const other of [failing, ...others, reply(200, 'text/html', '<h1>Log in</h1>', '1')]) {
    const script = scripted({}, other);
    await assert.rejects(script.gateway.query(request));
    assert.deepEqual(script.log, [POST]);
  }
  const script = scripted({}, busy('5'));
  await assert.rejects(script.gateway.client.GET('/ready'), isBusy);
  assert.deepEqual(script.log, ['GET /ready']);
});

const calls: Record<string, [(gateway: Gateway, signal?: AbortSignal) => Promise<unknown>, () => Response]> = {
  '/q': [(gateway, signal) => gateway.query(request, signal && { signal }), found],
  '/qr': [(gateway, signal) => gateway.retrieve(request, signal && { signal }), json(JSON.parse(moved))],
  '/echo': [(gateway, signal) => gateway.echo(request, signal && { signal }), json({ steps: [] })],
};

test('every call retries', async () => {
  for (const [path, [call, last]] of Object.entries(calls)) {
    const script = scripted({}, busy('5'), last);
    await call(script.gateway);
    assert.deepEqual(script.log, [`POST ${path}`, 5, `POST ${path}`]);
  }
});

test('a refused stream is retried, a stream that has begun is not', async () => {
  const script = scripted({}, busy('5'), stream(event('result', moved)));
  assert.equal((await script.gateway.follow(request).next()).value?.type, 'result');
  assert.deepEqual(script.log, ['POST /qr', 5, 'POST /qr']);
  for (const body of [event('matched', moved) + event('error', problem), event('error', problem), event('matched', moved), '']) {
    const script = scripted({}, stream(body));
    await assert.rejects(async () => {
      for await (const event of script.gateway.follow(request)) assert.equal(event.type, 'matched');
    });
    assert.deepEqual(script.log, ['POST /qr']);
  }
});

test('a signal ends the wait for a retry at once', async () => {
  calls['follow'] = [(gateway, signal) => gateway.follow(request, signal && { signal }).next(), found];
  for (const [call] of Object.values(calls)) {
    for (const when of ['before the wait', 'in the wait']) {
      const controller = new AbortController();
      const reason = new Error('the user cancelled');
      const abort = () => controller.abort(reason);
      const { gateway, log } = scripted({ maxWait: 86_400, clock: undefined, onRetry: () => void (when === 'in the wait' ? setImmediate(abort) : abort()) }, busy('80000'));
      await assert.rejects(call(gateway, controller.signal), reason);
      assert.equal(log.length, 1);
    }
  }
});

test('the default clock waits', async () => {
  const { gateway, log } = scripted({ clock: undefined }, busy('0'), found);
  await gateway.query(request);
  assert.equal(log.length, 2);
});

test('onRetry gets each refusal and wait', async () => {
  const heard: unknown[] = [];
  const { gateway } = scripted({ onRetry: (refusal, seconds) => heard.push([refusal.message, seconds]) }, busy('5'), limited('7'), found);
  await gateway.query(request);
  assert.deepEqual(heard, [
    ['Busy. (pacs_busy)', 5],
    ['the reply is not from the gateway: status 429, content type "text/html"', 7],
  ]);
});

test('a retry without limits is refused', () => {
  for (const retry of [
    { attempts: 0, maxWait: 60 },
    { attempts: 1.5, maxWait: 60 },
    { attempts: 3, maxWait: 0 },
    { attempts: 3, maxWait: NaN },
  ]) {
    assert.throws(() => createGateway({ baseUrl: 'http://gateway', retry }), RangeError);
  }
});

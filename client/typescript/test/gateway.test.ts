import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, STATUS_CODES, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import {
  createGateway,
  CutOffError,
  ProblemError,
  ReplyError,
  statusOf,
  type Gateway,
  type GatewayOptions,
  type RetrieveRequest,
} from 'dicom-qr-gateway-client';

const request: RetrieveRequest = {
  pacs_ip: '127.0.0.1',
  pacs_port: 4242,
  pacs_ae_title: 'ORTHANCA',
  c_find_ae_title: 'GATEWAY',
  patient_id: '1112223333',
  c_move_ae_title: 'ORTHANCB',
};

/** Calls use with a gateway client for a server with this handler. */
async function answering(answer: RequestListener, use: (gateway: Gateway) => Promise<void>, options?: Partial<GatewayOptions>) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    await use(createGateway({ baseUrl: `http://127.0.0.1:${port}/`, apiKey: 'a long random value', ...options }));
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) {
  const type = status < 400 ? 'application/json' : 'application/problem+json';
  response.writeHead(status, { 'Content-Type': type, ...headers }).end(JSON.stringify(body));
}

async function bodyOf(message: IncomingMessage) {
  let text = '';
  for await (const piece of message.setEncoding('utf8')) text += piece;
  return JSON.parse(text);
}

/** Every way to ask. */
const calls: ((gateway: Gateway) => Promise<unknown>)[] = [
  (gateway) => gateway.query(request),
  (gateway) => gateway.retrieve(request),
  (gateway) => gateway.echo(request),
  (gateway) => gateway.follow(request).next(),
  (gateway) => gateway.client.GET('/version'),
];

const studies = { study_details: [], warnings: [] };
const moved = { ...studies, retrievals: [] };
const event = (type: string, data: unknown) => `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
const matched = event('matched', { total_count: 1, ...studies });
const result = event('result', { http_status: 207, status: 'partial', ...moved });
const stream = { 'Content-Type': 'text/event-stream' };

test('calls send the request and return the response', async () => {
  const seen: unknown[] = [];
  const answers: Record<string, unknown> = { '/q': studies, '/qr': moved, '/echo': { steps: [] } };
  await answering(
    async (message, response) => {
      const { method, url, headers } = message;
      seen.push([method, url, headers['content-type'], headers.authorization, headers['x-correlation-id'], await bodyOf(message)]);
      json(response, url === '/qr' ? 207 : 200, answers[url!]);
    },
    async (gateway) => {
      assert.deepEqual(await gateway.query(request, { correlationId: 'order-4711' }), studies);
      assert.deepEqual(await gateway.retrieve(request), moved);
      assert.deepEqual(await gateway.echo(request), { steps: [] });
    },
  );
  const key = 'Bearer a long random value';
  assert.deepEqual(seen, [
    ['POST', '/q', 'application/json', key, 'order-4711', request],
    ['POST', '/qr', 'application/json', key, undefined, request],
    ['POST', '/echo', 'application/json', key, undefined, request],
  ]);
});

test('the client of the other routes searches studies', async () => {
  const found = [{ '0020000D': { vr: 'UI', Value: ['1.2.3'] } }];
  const seen: unknown[] = [];
  await answering(
    (message, response) => {
      seen.push([message.method, message.url]);
      response.writeHead(200, { 'Content-Type': 'application/dicom+json' }).end(JSON.stringify(found));
    },
    async (gateway) => {
      const { data } = await gateway.client.GET('/dicomweb/{pacs}/studies', {
        params: { path: { pacs: 'orthanca' }, query: { ModalitiesInStudy: 'CT', includefield: ['StudyDescription', '00080080'] } },
      });
      assert.deepEqual(data, found);
    },
  );
  assert.deepEqual(seen, [['GET', '/dicomweb/orthanca/studies?ModalitiesInStudy=CT&includefield=StudyDescription&includefield=00080080']]);
});

test('every call throws every problem', async () => {
  for (const [code, status] of Object.entries(statusOf)) {
    const problem = { type: `urn:dicom-qr-gateway:problem:${code}`, title: 'Title', status, detail: 'What happened.', code };
    const retry: Record<string, string> = status === 503 || status === 429 ? { 'Retry-After': '7' } : {};
    await answering(
      (_, response) => json(response, status, problem, retry),
      async (gateway) => {
        for (const call of calls) {
          await assert.rejects(call(gateway), (error) => {
            assert.ok(error instanceof ProblemError);
            assert.deepEqual(error.problem, status === 400 ? { ...problem, errors: [] } : problem);
            assert.equal(error.retryAfter, 'Retry-After' in retry ? 7 : undefined);
            return true;
          });
        }
      },
    );
  }
});

test('calls throw ReplyError for replies of other servers', async () => {
  for (const [status, type, body] of [
    [502, 'text/html', '<h1>Bad gateway</h1>'],
    [200, 'text/html', '<h1>Log in</h1>'],
    [502, 'application/problem+json', '{'],
    [502, 'application/problem+json', 'null'],
    [502, 'application/problem+json', '{}'],
    [200, 'application/json', ''],
  ] as const) {
    await answering(
      (_, response) => response.writeHead(status, { 'Content-Type': type, 'Content-Length': body.length }).end(body),
      async (gateway) => {
        for (const call of calls.slice(0, 4)) {
          await assert.rejects(call(gateway), (error) => {
            assert.ok(error instanceof ReplyError, String(error));
            assert.deepEqual([error.status, error.statusText, error.contentType], [status, STATUS_CODES[status], type]);
            return true;
          });
        }
      },
    );
  }
});

test('calls throw ReplyError for invalid or incomplete JSON', async () => {
  for (const [body, cause] of [
    ['{"study_details":[', SyntaxError],
    ['[]', Error],
    ['null', Error],
    ['{}', Error],
    ['{"study_details":[]}', Error],
    ['{"warnings":[],"study_details":{}}', Error],
  ] as const) {
    for (const headers of [{ 'Content-Length': body.length }, {}]) {
      await answering(
        (_, response) => void response.writeHead(200, { 'Content-Type': 'application/json', ...headers }).end(body),
        async (gateway) => {
          for (const call of cause === SyntaxError ? [...calls.slice(0, 3), ...calls.slice(4)] : calls.slice(0, 3)) {
            await assert.rejects(call(gateway), (error) => error instanceof ReplyError && error.status === 200 && error.cause instanceof cause);
          }
        },
      );
    }
  }
});

test('follow throws ReplyError for invalid or incomplete events', async () => {
  for (const [last, cause] of [
    ['event: progress\ndata: {"completed":\n\n', SyntaxError],
    [event('progress', null), Error],
    [event('matched', { warnings: [] }), Error],
    [event('result', {}), Error],
    [event('error', {}), Error],
    [event('error', null), Error],
  ] as const) {
    await answering(
      (_, response) => response.writeHead(200, stream).end(matched + last + result),
      async (gateway) => {
        const events = gateway.follow(request);
        assert.equal((await events.next()).value?.type, 'matched');
        await assert.rejects(events.next(), (error) => error instanceof ReplyError && error.cause instanceof cause);
      },
    );
  }
});

test('redirects are not followed', async () => {
  let followed = 0;
  const elsewhere = createServer(() => followed++).listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  const { port } = elsewhere.address() as AddressInfo;
  for (const status of [302, 307]) {
    await answering(
      (_, response) => response.writeHead(status, { Location: `http://localhost:${port}/` }).end(),
      async (gateway) => {
        for (const call of calls) await assert.rejects(call(gateway), (error) => error instanceof ReplyError && error.status === status);
      },
    );
  }
  elsewhere.close();
  assert.equal(followed, 0);
});

test('follow yields the events up to the result', async () => {
  await answering(
    async (message, response) => {
      assert.equal(message.headers.accept, 'text/event-stream');
      assert.equal(message.headers['x-correlation-id'], 'order-4711');
      response.writeHead(200, stream);
      response.end(`: alive\n\n${matched}${result}event: progress\ndata: ?\n\n`);
    },
    async (gateway) => {
      const events = [];
      for await (const event of gateway.follow(request, { correlationId: 'order-4711' })) events.push(event);
      assert.deepEqual(events, [
        { type: 'matched', data: { total_count: 1, ...studies } },
        { type: 'result', data: { http_status: 207, status: 'partial', ...moved } },
      ]);
    },
  );
});

test('follow throws the problem of an error event', async () => {
  await answering(
    (_, response) => response.writeHead(200, stream).end(`${matched}event: error\ndata: {"code":"move_failed","detail":"Nothing was moved."}\n\n`),
    async (gateway) => {
      const events = gateway.follow(request);
      assert.equal((await events.next()).value?.type, 'matched');
      await assert.rejects(events.next(), (error) => error instanceof ProblemError && error.problem.code === 'move_failed');
    },
  );
});

test('follow throws CutOffError if the stream ends or breaks early', async () => {
  for (const end of ['end', 'destroy'] as const) {
    await answering(
      (_, response) => response.writeHead(200, stream).write(matched, () => response[end]()),
      async (gateway) => {
        const events = gateway.follow(request);
        assert.equal((await events.next()).value?.type, 'matched');
        await assert.rejects(events.next(), CutOffError);
      },
    );
  }
});

/** Returns a promise and the function that fulfils it. */
function signalling() {
  let fulfil!: () => void;
  return { promise: new Promise<void>((resolve) => (fulfil = resolve)), fulfil };
}

test('leaving the loop closes the connection', async () => {
  const closed = signalling();
  await answering(
    (_, response) => response.on('close', closed.fulfil).writeHead(200, stream).write(matched),
    async (gateway) => {
      for await (const event of gateway.follow(request)) {
        assert.equal(event.type, 'matched');
        break;
      }
      await closed.promise;
    },
  );
});

test('a signal aborts a call before its response', async () => {
  for (const call of ['query', 'retrieve', 'echo', 'follow'] as const) {
    const closed = signalling();
    const controller = new AbortController();
    const reason = new Error('the user cancelled');
    await answering(
      (_, response) => {
        response.on('close', closed.fulfil);
        controller.abort(reason);
      },
      async (gateway) => {
        const { signal } = controller;
        await assert.rejects(call === 'follow' ? gateway.follow(request, { signal }).next() : gateway[call](request, { signal }), reason);
        await closed.promise;
      },
    );
  }
});

test('a signal aborts a stream', async () => {
  const closed = signalling();
  const controller = new AbortController();
  const reason = new Error('the user cancelled');
  await answering(
    (_, response) => response.on('close', closed.fulfil).writeHead(200, stream).write(matched),
    async (gateway) => {
      const events = gateway.follow(request, { signal: controller.signal });
      assert.equal((await events.next()).value?.type, 'matched');
      controller.abort(reason);
      await assert.rejects(events.next(), reason);
      await closed.promise;
    },
  );
});

test('a signal aborts a stream after a garbage collection', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc');
  for (const options of [{}, { retry: { attempts: 3, maxWait: 60 } }]) {
    const controller = new AbortController();
    const reason = new Error('the user cancelled');
    await answering(
      (_, response) => response.writeHead(200, stream).write(matched),
      async (gateway) => {
        const events = gateway.follow(request, { signal: controller.signal });
        assert.equal((await events.next()).value?.type, 'matched');
        for (let n = 0; n < 5; n++) {
          await setTimeout(10);
          collectGarbage();
        }
        controller.abort(reason);
        await assert.rejects(Promise.race([events.next(), setTimeout(5000)]), reason);
      },
      options,
    );
  }
});

test('calls throw the TypeError of fetch if the connection fails', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const gateway = createGateway({ baseUrl: `http://127.0.0.1:${port}` });
  for (const call of calls) await assert.rejects(call(gateway), TypeError);
});

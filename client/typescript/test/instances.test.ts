import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import {
  createGateway,
  IncompleteError,
  ProblemError,
  ReplyError,
  type Gateway,
  type GatewayOptions,
  type RetrieveInstancesOptions,
  type Target,
} from 'dicom-qr-gateway-client';

const study: Target = { study: '1.2.3' };

async function answering(answer: RequestListener, use: (gateway: Gateway) => Promise<void>, options?: Partial<GatewayOptions>) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await use(createGateway({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, ...options }));
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const part = (contentType: string, body: string) => `--b\r\nContent-Type: ${contentType}\r\n\r\n${body}\r\n`;
const dicom = 'application/dicom; transfer-syntax=1.2.840.10008.1.2.1';
const closing = '--b--\r\n';
const missing = JSON.stringify({ code: 'retrieve_incomplete', missing_sop_instance_uids: ['1.2.3.4', '1.2.3.5'] });
const header = { 'Content-Type': 'multipart/related; type="application/dicom"; boundary=b' };

/** Answers with the body, in pieces of so many bytes. */
async function send(response: ServerResponse, status: number, body: string, { size = body.length, cut = false } = {}) {
  response.writeHead(status, header);
  response.flushHeaders();
  for (let at = 0; at < body.length; at += size) {
    response.write(body.slice(at, at + size), 'latin1');
    if (size < body.length) await setTimeout(0);
  }
  if (!cut) return response.end();
  await setTimeout(20); // what was written arrives first
  return response.destroy();
}

/** Reads all instances as text. */
async function files(gateway: Gateway, options?: RetrieveInstancesOptions) {
  const contents: string[] = [];
  for await (const { content, transferSyntax } of gateway.retrieveInstances('main', study, options)) {
    const pieces: Uint8Array[] = [];
    for await (const piece of content) pieces.push(piece.slice());
    contents.push(`${transferSyntax}: ${Buffer.concat(pieces).toString('latin1')}`);
  }
  return contents;
}

test('instances arrive one by one, however the answer is cut into pieces', async () => {
  const contents = ['one', '', '\r\n--two\r\n-\r\n--bc', '\r\n\r\n--b'.slice(0, 5), 'x'.repeat(100)];
  const body = contents.map((content) => part(dicom, content)).join('') + closing;
  for (const size of [1, 2, 3, 7, 64, body.length]) {
    await answering(
      (_, response) => void send(response, 200, body, { size }),
      async (gateway) => assert.deepEqual(await files(gateway), contents.map((content) => `1.2.840.10008.1.2.1: ${content}`)),
    );
  }
});

test('instances need not be read', async () => {
  const body = part('application/dicom', 'a'.repeat(200_000)) + part(dicom, 'b'.repeat(200_000)) + part(dicom, 'c') + closing;
  await answering(
    (_, response) => void send(response, 200, body, { size: 50_000 }),
    async (gateway) => {
      const syntaxes: unknown[] = [];
      for await (const { transferSyntax, content } of gateway.retrieveInstances('main', study)) {
        syntaxes.push(transferSyntax);
        if (syntaxes.length === 2) for await (const _ of content) break;
      }
      assert.deepEqual(syntaxes, [undefined, '1.2.840.10008.1.2.1', '1.2.840.10008.1.2.1']);
    },
  );
});

const one = part(dicom, 'one');
const second = '--b\r\nContent-Type: application/dicom\r\n\r\ntwo';
const incomplete: Record<string, { status?: number; body: string; cut?: boolean; received: number; missing?: string[] }> = {
  'broken off before the first part': { body: '', cut: true, received: 0 },
  'broken off inside an instance': { body: one + second, cut: true, received: 1 },
  'broken off inside a header': { body: one + '--b\r\nContent-Ty', cut: true, received: 1 },
  'broken off between instances': { body: one, cut: true, received: 0 },
  'broken off after the closing boundary': { body: one + closing, cut: true, received: 1 },
  'ended without the closing boundary': { body: one, received: 0 },
  'ended inside an instance': { body: one + second, received: 1 },
  'ended inside the closing boundary': { body: one + '--b-', received: 0 },
  'ended behind a boundary': { body: one + '--b', received: 0 },
  'ended without a byte': { body: '', received: 0 },
  'without an instance': { body: closing, received: 0 },
  'with a last part that says so': { body: one + part('application/problem+json', missing) + closing, received: 1, missing: ['1.2.3.4', '1.2.3.5'] },
  'with a last part and status 206': { status: 206, body: one + part('application/problem+json', missing) + closing, received: 1, missing: ['1.2.3.4', '1.2.3.5'] },
  'with a last part that is malformed': { body: one + part('application/problem+json', '{') + closing, received: 1 },
  'with a last part without a list': { body: one + part('application/problem+json', '{}') + closing, received: 1 },
  'with status 206': { status: 206, body: one + closing, received: 1 },
  'with an endless header': { body: one + '--b\r\n' + 'x'.repeat(20_000) + '\r\n\r\n' + closing, received: 1 },
  'that goes on after the closing boundary': { body: one + closing + 'x'.repeat(10_000), received: 1 },
};
for (const [name, { status = 200, body, cut = false, received, missing = [] }] of Object.entries(incomplete)) {
  test(`an answer ${name} is incomplete`, async () => {
    for (const size of [body.length || 1, 5]) {
      await answering(
        (_, response) => void send(response, status, body, { size: body.length > 1000 ? body.length : size, cut }),
        (gateway) =>
          assert.rejects(files(gateway), (error) => {
            assert.ok(error instanceof IncompleteError, String(error));
            assert.equal(error.received, received);
            assert.deepEqual(error.missingSOPInstanceUIDs, missing);
            return true;
          }),
      );
    }
  });
}

test('an answer of another server throws a ReplyError', async () => {
  const answers: RequestListener[] = [
    (_, response) => void send(response, 200, part('text/plain', 'hello') + closing),
    (_, response) => void response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>'),
    (_, response) => void response.writeHead(200, { 'Content-Type': 'multipart/related' }).end(),
    (_, response) => void response.writeHead(204, header).end(),
  ];
  for (const answer of answers) await answering(answer, (gateway) => assert.rejects(files(gateway), ReplyError));
});

test('a failure before the first instance throws a ProblemError', async () => {
  const problem = { code: 'connection_refused', detail: 'Nothing accepts connections.', status: 502 };
  await answering(
    (_, response) => void response.writeHead(502, { 'Content-Type': 'application/problem+json' }).end(JSON.stringify(problem)),
    (gateway) => assert.rejects(files(gateway), (error) => error instanceof ProblemError && error.problem.code === 'connection_refused'),
  );
});

test('a refused retrieval is repeated', async () => {
  let requests = 0;
  const problem = { code: 'pacs_busy', detail: 'Busy.', status: 503 };
  await answering(
    (_, response) => {
      if (requests++ > 0) return void send(response, 200, one + closing);
      response.writeHead(503, { 'Content-Type': 'application/problem+json', 'Retry-After': '0' }).end(JSON.stringify(problem));
    },
    async (gateway) => assert.equal((await files(gateway)).length, 1),
    { retry: { attempts: 2, maxWait: 1 } },
  );
  assert.equal(requests, 2);
});

test('requests name the target and what the caller accepts', async () => {
  const seen: unknown[] = [];
  await answering(
    ({ method, url, headers }, response) => {
      seen.push([method, url, headers.accept, headers.prefer, headers['x-correlation-id']]);
      void send(response, 200, one + closing);
    },
    async (gateway) => {
      await files(gateway, { transferSyntax: '1.2.840.10008.1.2.1', lenient: true, correlationId: 'order-4711' });
      for (const target of [study, { study: '1', series: '2' }, { study: '1', series: '2', instance: '3/..' }] as Target[]) {
        for await (const _ of gateway.retrieveInstances('main', target));
      }
    },
  );
  const accept = 'multipart/related; type="application/dicom"; transfer-syntax=';
  assert.deepEqual(seen, [
    ['GET', '/dicomweb/main/studies/1.2.3', `${accept}1.2.840.10008.1.2.1`, 'handling=lenient', 'order-4711'],
    ['GET', '/dicomweb/main/studies/1.2.3', `${accept}*`, undefined, undefined],
    ['GET', '/dicomweb/main/studies/1/series/2', `${accept}*`, undefined, undefined],
    ['GET', '/dicomweb/main/studies/1/series/2/instances/3%2F..', `${accept}*`, undefined, undefined],
  ]);
});

/** A server whose answer never ends, and a promise for the moment when the client has gone. */
function endless(): [RequestListener, Promise<unknown>] {
  let left: (value: unknown) => void;
  const gone = new Promise((resolve) => (left = resolve));
  const block = Buffer.alloc(64 << 10);
  return [
    (_, response) => {
      response.on('close', left).writeHead(200, header).write('--b\r\nContent-Type: application/dicom\r\n\r\n');
      const more = () => {
        while (response.write(block));
      };
      response.on('drain', more);
      more();
    },
    gone,
  ];
}

test('leaving the loop ends the retrieval', async () => {
  const [answer, gone] = endless();
  await answering(answer, async (gateway) => {
    let length = 0;
    for await (const { content } of gateway.retrieveInstances('main', study)) {
      for await (const piece of content) if ((length += piece.length) > 1 << 20) break;
      break;
    }
    await gone;
  });
});

test('aborting the signal ends the retrieval', async () => {
  const [answer, gone] = endless();
  await answering(answer, async (gateway) => {
    const abort = new AbortController();
    const read = async () => {
      for await (const { content } of gateway.retrieveInstances('main', study, { signal: abort.signal })) {
        for await (const _ of content) abort.abort(new Error('stop'));
      }
    };
    await assert.rejects(read(), /stop/);
    await gone;
  });
});

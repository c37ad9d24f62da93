import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CutOffError, readEvents } from 'dicom-qr-gateway-client';

/** Returns a stream of the pieces and records whether it was cancelled. */
function streamOf(...pieces: Uint8Array[]) {
  const stream = {
    cancelled: false,
    body: new ReadableStream<Uint8Array>({
      pull(controller) {
        const piece = pieces.shift();
        if (piece) controller.enqueue(piece);
        else controller.close();
      },
      cancel() {
        stream.cancelled = true;
      },
    }),
  };
  return stream;
}

async function arrayOf<T>(items: AsyncIterable<T>) {
  const array: T[] = [];
  for await (const item of items) array.push(item);
  return array;
}

async function eventsOf(...pieces: (string | Uint8Array)[]) {
  const bytes = pieces.map((piece) => (typeof piece === 'string' ? new TextEncoder().encode(piece) : piece));
  return arrayOf(readEvents(streamOf(...bytes).body));
}

const matched = 'event: matched\ndata: {"study_details":[{"PatientName":"Müller^Jürgen=山田^太郎 😀"}]}\n\n';
const progress = 'event: progress\ndata: {"completed":1,"warning":null}\n\n';
const retrieved = 'event: retrieved\ndata: {"status":"ok"}\n\n';
const result = 'event: result\ndata: {"http_status":200}\n\n';
const all = matched + progress + retrieved + result;
const wanted = [
  { type: 'matched', data: { study_details: [{ PatientName: 'Müller^Jürgen=山田^太郎 😀' }] } },
  { type: 'progress', data: { completed: 1, warning: null } },
  { type: 'retrieved', data: { status: 'ok' } },
  { type: 'result', data: { http_status: 200 } },
];

test('readEvents parses events at every split and with every line ending', async () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const bytes = new TextEncoder().encode(all.replaceAll('\n', end));
    for (let split = 0; split <= bytes.length; split++) {
      assert.deepEqual(await eventsOf(bytes.subarray(0, split), bytes.subarray(split)), wanted, `${split}`);
    }
    assert.deepEqual(await eventsOf(...Array.from(bytes, (byte) => Uint8Array.of(byte))), wanted, 'byte by byte');
  }
});

test('readEvents skips comments and unknown events', async () => {
  const other = 'event: news\ndata: ?\n\n' + 'event: progress\n\n' + 'data: without a name\n\n' + 'id: 1\nretry: 5\n\n';
  assert.deepEqual(await eventsOf(': alive\n\n' + matched + ':\n\n' + progress + other + retrieved + ': \n' + result), wanted);
});

test('readEvents accepts fields without a space and data in several lines', async () => {
  assert.deepEqual(await eventsOf('event:progress\ndata:{"completed":\ndata: 1}\n\n'), [{ type: 'progress', data: { completed: 1 } }]);
});

test('readEvents ignores an incomplete event at the end', async () => {
  assert.deepEqual(await eventsOf(matched + result.slice(0, -1)), wanted.slice(0, 1));
  assert.deepEqual(await eventsOf(''), []);
});

test('an error event has a problem document', async () => {
  const [event] = await eventsOf('event: error\ndata: {"code":"move_failed","status":502,"dicom":{"step":"move","status":"A702"}}\n\n');
  assert.equal(event?.type, 'error');
  assert.equal(event.data.code === 'move_failed' && event.data.dicom?.status, 'A702');
});

test('readEvents throws SyntaxError for invalid JSON', async () => {
  await assert.rejects(eventsOf('event: progress\ndata: ?\n\n'), SyntaxError);
});

test('readEvents throws CutOffError if the stream fails', async () => {
  const cause = new Error('reset');
  const body = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(cause) });
  await assert.rejects(arrayOf(readEvents(body)), (error) => error instanceof CutOffError && error.cause === cause);
});

test('leaving the loop cancels the stream', async () => {
  const stream = streamOf(new TextEncoder().encode(matched), new TextEncoder().encode(result));
  for await (const event of readEvents(stream.body)) {
    assert.equal(event.type, 'matched');
    break;
  }
  assert.equal(stream.cancelled, true);
});

test('readEvents accepts a line of 20 MB', async () => {
  const name = 'x'.repeat(1000);
  const pieces = Array.from({ length: 20_000 }, () => name);
  const [event] = await eventsOf('event: matched\ndata: {"patient_id":"', ...pieces, '"}\n\n');
  assert.equal(event?.type === 'matched' && event.data.patient_id.length, 20_000_000);
});

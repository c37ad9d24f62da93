// Runs the gateway under test: the one at BASE_URL if that is set, else the built
// one with its demonstration PACS, on free ports of loopback.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { createServer } from 'node:net';
import { pipeline, Transform } from 'node:stream';
import { fileURLToPath } from 'node:url';

const binary = fileURLToPath(new URL('../../bin/dicom-qr-gateway', import.meta.url));

export async function freePorts(n) {
  // All are open at the same time, so that they differ.
  const servers = await Promise.all(Array.from({ length: n }, async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

async function untilReady(url, gone) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    if (gone()) throw new Error('the gateway ended before it was ready');
    try {
      if ((await fetch(`${url}/ready`)).ok) return;
    } catch {
      // not listening yet
    }
    if (Date.now() > deadline) throw new Error(`${url}/ready did not answer within 30 s`);
    await new Promise((passed) => setTimeout(passed, 50));
  }
}

// start resolves to the URL of a gateway, the port of its PACS ORTHANCA and stop().
// With settings it always runs the built gateway.
export async function start(settings) {
  if (process.env.BASE_URL && !settings) {
    return { url: process.env.BASE_URL.replace(/\/$/, ''), pacsPort: Number(process.env.PACS_PORT ?? 4242), stop: async () => {} };
  }
  const [port, pacsA, pacsB] = await freePorts(3);
  const child = spawn(binary, ['demo'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      ...settings,
      LISTEN_ADDR: `127.0.0.1:${port}`,
      DEMO_PACS_A_ADDR: `127.0.0.1:${pacsA}`,
      DEMO_PACS_B_ADDR: `127.0.0.1:${pacsB}`,
    },
  });
  const ended = once(child, 'exit');
  const url = `http://127.0.0.1:${port}`;
  await untilReady(url, () => child.exitCode !== null || child.signalCode !== null);
  return {
    url,
    pacsPort: pacsA,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

// eventwise passes server-sent events on one by one.
function eventwise(before) {
  let text = '';
  return new Transform({
    async transform(chunk, encoding, done) {
      const events = (text + chunk).split(/(?<=\n\n)/);
      text = events.at(-1).endsWith('\n\n') ? '' : events.pop();
      try {
        for (const event of events) {
          await before(event);
          this.push(event);
        }
        done();
      } catch (error) {
        done(error);
      }
    },
  });
}

// behind starts a proxy that serves url under path, and nothing else. It awaits before(event) before it forwards each
// event of a stream, and closes the connection if that fails.
export async function behind(url, path, before = async () => {}) {
  const proxy = http.createServer((request, response) => {
    if (!request.url.startsWith(`${path}/`)) {
      response.writeHead(404).end();
      return;
    }
    const { method, headers } = request;
    request.pipe(http.request(url + request.url.slice(path.length), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      if (answer.headers['content-type'] === 'text/event-stream') pipeline(answer, eventwise(before), response, () => {});
      else answer.pipe(response);
    }));
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    url: `http://127.0.0.1:${proxy.address().port}${path}`,
    stop: async () => {
      proxy.close();
      proxy.closeAllConnections();
    },
  };
}

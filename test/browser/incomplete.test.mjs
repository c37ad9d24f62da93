// No client of JavaScript takes an incomplete study for a whole one: dicomweb-client and client/typescript in Chromium, and
// client/typescript in node, directly and behind nginx.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createGateway, IncompleteError } from '../../client/typescript/dist/index.js';
import { launch, open } from './browser.mjs';
import { freePorts, start } from './gateway.mjs';
import { authorization, startNginx } from './nginx.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const library = new URL('node_modules/dicomweb-client/build/dicomweb-client.js', import.meta.url);

let folder, pacs, site, gateway, nginx, browser, page, studies, whole;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'incomplete-'));
  const [port] = await freePorts(1);
  const program = join(folder, 'serve');
  execFileSync('go', ['build', '-o', program, './test/failing/serve'], { cwd: root });
  pacs = spawn(program, [join(folder, 'pacs.yaml'), `127.0.0.1:${port}`], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(pacs.stdout), 'line');
  ({ studies, whole } = JSON.parse(line));

  const script = await readFile(library);
  site = http.createServer((request, response) => {
    if (request.url === '/library.js') response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(script);
    else response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><link rel="icon" href="data:,"><script src="/library.js"></script>');
  }).listen(0, '127.0.0.1');
  await once(site, 'listening');
  const origin = `http://127.0.0.1:${site.address().port}`;
  gateway = await start({
    PACS_FILE: join(folder, 'pacs.yaml'), STORE_LISTEN_ADDR: `127.0.0.1:${port}`, STORE_AE_TITLES: 'FAILING', STORE_GRACE: '1',
    NETWORK_TIMEOUT: '1', MOVE_TIMEOUT: '2', QUEUE_TIMEOUT: '60', CORS_ALLOWED_ORIGINS: origin,
  });
  nginx = await startNginx(join(folder, 'nginx'), gateway.url);
  browser = await launch();
  ({ page } = await open(browser, origin, '/', { also: [gateway.url] }));
});

after(async () => {
  await browser?.close();
  await nginx?.stop();
  await gateway?.stop();
  site?.close();
  site?.closeAllConnections();
  pacs?.stdin.end();
  await rm(folder, { recursive: true });
});

// behindProxy are the PACS that are asked behind nginx too: those that fail at once, before and inside an instance, by C-GET and by C-MOVE.
const behindProxy = [
  'whole', 'whole-by-move', 'aborts-before-an-instance', 'aborts-inside-an-instance', 'resets-inside-an-instance', 'leaves-an-instance-out',
  'counts-a-failure', 'moves-in-part',
];

// outcomes calls retrieve for each study, all at once, and requires that only the whole ones are retrieved.
async function outcomes(retrieve, names = Object.keys(studies)) {
  assert.ok(names.length > 20 || names === behindProxy);
  const results = await Promise.all(names.map((name) => retrieve(name, studies[name])));
  names.forEach((name, i) => assert.equal(results[i] === '', whole.includes(name), `${name}: ${results[i]}`));
}

// byLibrary retrieves by dicomweb-client, which the page has loaded.
function byLibrary(page, url) {
  return (name, study) => page.evaluate(async ([url, studyInstanceUID]) => {
    const client = new DICOMwebClient.api.DICOMwebClient({ url, verbose: false });
    try {
      const instances = await client.retrieveStudy({ studyInstanceUID });
      return instances.length === 4 ? '' : `${instances.length} instances`;
    } catch (error) {
      return `failed: ${error.message}`;
    }
  }, [`${url}/dicomweb/${name}`, study]);
}

// byClient retrieves by client/typescript in node.
function byClient(client) {
  return async (pacs, study) => {
    try {
      for await (const { content } of client.retrieveInstances(pacs, { study })) for await (const _ of content);
      return '';
    } catch (error) {
      return `${error.name}: ${error.message}`;
    }
  };
}

// trusting is a fetch by HTTP/1.1 that trusts a certificate. That of node takes no certificates from a program.
const trusting = (ca) => async (request) => {
  const call = https.request(request.url, { ca, agent: false, headers: { ...Object.fromEntries(request.headers), authorization } });
  const [answer] = await once(call.end(), 'response', { signal: request.signal });
  return new Response(Readable.toWeb(answer), { status: answer.statusCode, headers: answer.headers });
};

// At once, because PACS that stall take seconds.
describe('an incomplete study', { concurrency: true }, () => {
  test('dicomweb-client fails for every incomplete study', () => outcomes(byLibrary(page, gateway.url)));

  test('client/typescript throws for every incomplete study', () => outcomes(byClient(createGateway({ baseUrl: gateway.url }))));

  test('client/typescript in node throws for every incomplete study behind nginx', () =>
    outcomes(byClient(createGateway({ baseUrl: nginx.url, fetch: trusting(nginx.certificate) })), behindProxy));

  for (const [version, protocol, more] of [['HTTP/2', 'h2', []], ['HTTP/1.1', 'http/1.1', ['--disable-http2']]]) {
    test(`no client in a page takes an incomplete study for a whole one behind nginx, ${version}`, async (t) => {
      const browser = await launch(more);
      t.after(() => browser.close());
      const context = await browser.newContext({ ignoreHTTPSErrors: true, bypassCSP: true, extraHTTPHeaders: { Authorization: authorization } });
      const page = await context.newPage();
      await page.goto(nginx.url); // it has client/typescript
      await page.addScriptTag({ content: await readFile(library, 'utf8') });
      assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol), protocol);

      await Promise.all([outcomes(byLibrary(page, nginx.url), behindProxy), outcomes((pacs, study) => page.evaluate(async ([pacs, study]) => {
        const { createGateway } = await import(new URL('client/index.js', document.querySelector('script[type=module]').src));
        try {
          for await (const { content } of createGateway({ baseUrl: location.origin }).retrieveInstances(pacs, { study })) {
            for await (const _ of content);
          }
          return '';
        } catch (error) {
          return `${error.name}: ${error.message}`;
        }
      }, [pacs, study]), behindProxy)]);
    });
  }
});

test('client/typescript lists the missing instances with lenient handling', async () => {
  const client = createGateway({ baseUrl: gateway.url });
  const read = async () => {
    for await (const { content } of client.retrieveInstances('leaves-an-instance-out', { study: studies['leaves-an-instance-out'] }, { lenient: true })) {
      for await (const _ of content);
    }
  };
  await assert.rejects(read(), (error) => error instanceof IncompleteError && error.received === 3 && error.missingSOPInstanceUIDs.length === 1);
});

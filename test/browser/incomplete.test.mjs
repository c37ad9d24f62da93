// No client of JavaScript takes an incomplete study for a whole one: dicomweb-client in Chromium, and client/typescript.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createGateway, IncompleteError } from '../../client/typescript/dist/index.js';
import { launch, open } from './browser.mjs';
import { freePorts, start } from './gateway.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const library = new URL('node_modules/dicomweb-client/build/dicomweb-client.js', import.meta.url);

let folder, pacs, site, gateway, browser, page, studies, whole;

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
  browser = await launch();
  ({ page } = await open(browser, origin, '/', { also: [gateway.url] }));
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
  site?.close();
  site?.closeAllConnections();
  pacs?.stdin.end();
  await rm(folder, { recursive: true });
});

// outcomes calls retrieve for each study, all at once, and requires that only the whole ones are retrieved.
async function outcomes(retrieve) {
  const names = Object.keys(studies);
  assert.ok(names.length > 20);
  const results = await Promise.all(names.map((name) => retrieve(name, studies[name])));
  names.forEach((name, i) => assert.equal(results[i] === '', whole.includes(name), `${name}: ${results[i]}`));
}

test('dicomweb-client fails for every incomplete study', () =>
  outcomes((name, study) => page.evaluate(async ([url, studyInstanceUID]) => {
    const client = new DICOMwebClient.api.DICOMwebClient({ url, verbose: false });
    try {
      const instances = await client.retrieveStudy({ studyInstanceUID });
      return instances.length === 4 ? '' : `${instances.length} instances`;
    } catch (error) {
      return `failed: ${error.message}`;
    }
  }, [`${gateway.url}/dicomweb/${name}`, study])));

test('client/typescript throws for every incomplete study', () => {
  const client = createGateway({ baseUrl: gateway.url });
  return outcomes(async (pacs, study) => {
    try {
      for await (const { content } of client.retrieveInstances(pacs, { study })) for await (const _ of content);
      return '';
    } catch (error) {
      return `${error.name}: ${error.message}`;
    }
  });
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

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { background, launch, open, overflow, shoot } from './browser.mjs';
import { assertAccessible, button, looks } from './console.mjs';
import { behind, start } from './gateway.mjs';

const viewer = 'http://ohif.example/viewer/{pacs}?StudyInstanceUIDs={study}';

let gateway;
let browser;

before(async () => {
  [gateway, browser] = await Promise.all([start({ VIEWER_URL: viewer }), launch()]);
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
});

// visit opens the console, calls see with it and requires that there are no faults but the expected ones. Chromium reports the end of
// an event stream as aborted.
async function visit(look, see, { base = gateway.url, expected = /(?!)/ } = {}) {
  const { page, faults, close } = await open(browser, base, '/', look);
  await page.getByRole('heading', { name: 'Archive' }).waitFor();
  await see(page);
  const harmless = /\/(qr|jobs\/\S+) net::ERR_ABORTED$/;
  assert.deepEqual(faults.filter((fault) => !harmless.test(fault) && !expected.test(fault)), []);
  await close();
}

async function search(page, fields = {}) {
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value);
  await button(page, 'Search').click();
}

async function found(page, n) {
  await page.getByText(n === 1 ? '1 study found.' : `${n} studies found.`).waitFor();
}

const section = (page, title) => page.locator('section', { has: page.getByRole('heading', { name: title, exact: true }) });

async function typePACS(page, port) {
  await page.getByRole('radio', { name: 'Another PACS' }).check();
  await page.getByLabel('Host').fill('127.0.0.1');
  await page.getByLabel('Port').fill(String(port));
  await page.getByLabel('AE title of the PACS').fill('ORTHANCA');
}

describe('the console', () => {
  for (const look of looks) {
    test(`from the PACS to moved studies without a fault (${look.name})`, () => visit(look, async (page) => {
      const brightness = await background(page);
      assert.ok(look.colorScheme === 'dark' ? brightness < 64 : brightness > 191, `brightness ${brightness}`);
      await button(page, 'Check connection').click();
      await page.getByText('The connection works.').waitFor();
      await search(page, { 'Patient ID': '5556667777' });
      await found(page, 3);
      await button(page, 'Show images of CT CHEST VOLUME, 2025-03-10').click();
      const picture = page.getByRole('button', { name: /^Enlarge the picture/ }).locator('img').first();
      await picture.waitFor();
      assert.equal(await picture.evaluate((img) => img.complete && img.naturalWidth > 0), true);
      await button(page, 'Move US HEART, 2025-02-12').click();
      await button(page, 'ORTHANCB').click();
      await button(page, 'Move').click();
      await page.getByText('1 study moved to ORTHANCB.').waitFor();
      await shoot(page, `console-${look.name}`, true);
      await assertAccessible(page);
    }));
  }

  test('no width cuts anything off', () => visit({}, async (page) => {
    await search(page);
    await found(page, 13);
    await button(page, /^Show images of CT CHEST VOLUME/).click();
    await page.getByRole('button', { name: /^Enlarge/ }).first().waitFor();
    for (const width of [320, 390, 600, 768, 1000, 1119, 1121, 1200, 1440]) {
      await page.setViewportSize({ width, height: 900 });
      const beyond = () => [...document.querySelectorAll('section *')].filter((e) => !e.closest('.hidden, thead')
        && e.getBoundingClientRect().right > e.closest('section').getBoundingClientRect().right).map((e) => e.outerHTML.slice(0, 80));
      assert.deepEqual(await page.evaluate(beyond), [], `${width} pixels`);
      assert.equal(await overflow(page), 0, `${width} pixels`);
    }
  }));

  test('the first image needs two clicks and no typing', () => visit({}, async (page) => {
    await button(page, 'Search').click();
    await button(page, /^Show images of/).first().click();
    await page.getByRole('button', { name: /^Enlarge/ }).locator('img').first().waitFor();
  }));

  test('every PACS and study has what it needs to be found', () => visit({}, async (page) => {
    await search(page, { 'Patient name': 'müller' });
    await found(page, 1);
    await page.getByRole('cell', { name: /Müller, Jürgen/ }).waitFor();
    await button(page, 'Clear').click();
    await search(page, { 'Accession number': 'ACC-5003' });
    await found(page, 1);
    await button(page, 'Clear').click();
    await search(page, { 'Study date from': '2025-01-01', to: '2025-12-31' });
    await found(page, 4);
    await button(page, 'Clear').click();
    await search(page, { 'Patient ID': 'NOBODY' });
    await page.getByText('No study matches.').waitFor();
    await assertAccessible(page);
  }));

  test('a picture is enlarged in a dialog that the keyboard closes', () => visit({}, async (page) => {
    await search(page, { 'Accession number': 'ACC-5003' });
    await button(page, /^Show images of/).click();
    const small = page.getByRole('button', { name: /^Enlarge/ }).first();
    await small.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.locator('img').waitFor();
    await shoot(page, 'console-picture');
    await assertAccessible(page);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  }));

  test('a study opens in the viewer', () => visit({}, async (page) => {
    await search(page, { 'Accession number': 'ACC-5003' });
    const link = page.getByRole('link', { name: /^Open in viewer/ });
    const uid = (await link.getAttribute('href')).split('=').at(-1);
    assert.match(uid, /^[0-9.]{10,64}$/);
    assert.equal(await link.getAttribute('href'), viewer.replace('{pacs}', 'orthanca').replace('{study}', uid));
    assert.equal(await link.getAttribute('rel'), 'noreferrer');
  }));

  test('works under a path of a proxy', async () => {
    const proxy = await behind(gateway.url, '/dicom');
    await visit({}, async (page) => {
      await search(page);
      await found(page, 13);
      await page.getByRole('link', { name: 'Batches' }).click();
      await page.getByText('There are no batches yet.').waitFor();
      assert.equal(page.url(), `${proxy.url}/#batches`);
    }, { base: proxy.url });
    await proxy.stop();
  });

  test('the keyboard alone searches and opens a study', () => visit({}, async (page) => {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the search');
    await page.getByLabel('Patient ID').focus();
    await page.keyboard.type('5556667777');
    await page.keyboard.press('Enter');
    await found(page, 3);
    await button(page, /^Show images of US HEART/).focus();
    await page.keyboard.press('Enter');
    assert.equal(await button(page, /^Hide images of US HEART/).getAttribute('aria-expanded'), 'true');
    await page.getByRole('button', { name: /^Enlarge/ }).nth(1).waitFor();
  }));
});

describe('downloads', () => {
  test('a download is a whole zip file, with progress', () => visit({}, async (page) => {
    await search(page, { 'Accession number': 'ACC-5003' });
    const [download] = await Promise.all([page.waitForEvent('download'), button(page, /^Download CT CHEST VOLUME/).click()]);
    await page.getByText(/^Complete: 32 images/).waitFor();
    assert.match(download.suggestedFilename(), /^study-2025-03-10-CT-[\d._]+\.zip$/);
    const bytes = await readFile(await download.path());
    assert.equal(bytes.toString('latin1').split('PK\x01\x02').length - 1, 32);
    await assertAccessible(page);
  }));

  test('a broken-off answer is a failure, and nothing is saved', async () => {
    const proxy = await cutting(gateway.url, 20_000);
    let downloads = 0;
    await visit({}, async (page) => {
      page.on('download', () => { downloads += 1; });
      await search(page, { 'Accession number': 'ACC-5003' });
      await button(page, /^Download CT CHEST VOLUME/).click();
      await page.getByText('The download is incomplete. Nothing has been saved.').waitFor();
      await shoot(page, 'console-incomplete');
      await assertAccessible(page);
      proxy.whole = true;
      await button(page, 'Try again').click();
      await page.getByText(/^Complete: 32 images/).waitFor();
    }, { base: proxy.url, expected: /ERR_INCOMPLETE_CHUNKED_ENCODING/ });
    assert.equal(downloads, 1);
    await proxy.stop();
  });

  test('an answer that ends properly in the middle of the archive is a failure too', async () => {
    const proxy = await cutting(gateway.url, 20_000, true);
    await visit({}, async (page) => {
      await search(page, { 'Accession number': 'ACC-5003' });
      await button(page, /^Download CT CHEST VOLUME/).click();
      await page.getByText('The download is incomplete. Nothing has been saved.').waitFor();
    }, { base: proxy.url });
    await proxy.stop();
  });
});

// cutting is a proxy that ends answers with archives after some bytes: properly, or by closing the connection.
async function cutting(url, bytes, properly = false) {
  const proxy = { whole: false };
  const server = http.createServer((request, response) => {
    const { method, headers } = request;
    request.pipe(http.request(url + request.url, { method, headers }, async (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      if (proxy.whole || answer.headers['content-type'] !== 'application/zip') {
        answer.pipe(response);
        return;
      }
      let sent = 0;
      for await (const chunk of answer) {
        response.write(chunk.subarray(0, bytes - sent));
        sent += chunk.length;
        if (sent >= bytes) break;
      }
      if (properly) response.end();
      else setTimeout(() => response.destroy(), 100);
    }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${server.address().port}`,
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  });
}

describe('moves', () => {
  test('studies of several patients move, and what did not arrive is said', () => visit({}, async (page) => {
    await search(page);
    await found(page, 13);
    await page.getByLabel(/^Select Schädel MR/).check();
    await page.getByLabel(/^Select US HEART/).check();
    await page.getByLabel('Destination (AE title)').fill('ORTHANCB');
    await button(page, 'Move').click();
    await page.getByText('Not everything was moved: 1 of 2 studies moved to ORTHANCB.').waitFor();
    await page.getByText('moved in part').waitFor();
    await shoot(page, 'console-partial', true);
    await assertAccessible(page);
  }));

  test('a destination that the PACS does not know is a failure with a hint', () => visit({}, async (page) => {
    await search(page, { 'Accession number': 'ACC-5003' });
    await button(page, /^Move CT CHEST/).click();
    await button(page, 'Move').click();
    await page.getByText('Enter the AE title of the destination.').waitFor();
    await page.keyboard.type('NOWHERE');
    await page.keyboard.press('Enter');
    await page.getByText('Not everything was moved: 0 of 1 study moved to NOWHERE.').waitFor();
    await page.getByText('What to check').waitFor();
    await assertAccessible(page);
  }));

  test('the bar follows the events, and Stop cancels', async () => {
    let seen = 0;
    const proxy = await behind(gateway.url, '/held', () => (++seen > 3 ? new Promise(() => {}) : Promise.resolve()));
    await visit({}, async (page) => {
      await search(page, { 'Accession number': 'ACC-1007' });
      await button(page, /^Move CT ABDOMEN/).click();
      await button(page, 'ORTHANCB').click();
      await button(page, 'Move').click();
      await page.getByText('2 of 7 images').waitFor();
      assert.equal(await page.getByRole('progressbar', { name: /CT ABDOMEN/ }).getAttribute('value'), '2');
      await shoot(page, 'console-moving', true);
      await button(page, 'Stop').click();
      await page.getByText('Stopped: 0 of 1 study moved. Images that have arrived stay at the destination.').waitFor();
    }, { base: proxy.url });
    await proxy.stop();
  });

  test('a stream that is cut off says that the outcome is unknown', async () => {
    const proxy = await behind(gateway.url, '/short', async (event) => {
      if (event.startsWith('event: retrieved')) throw new Error('cut off');
    });
    await visit({}, async (page) => {
      await search(page, { 'Accession number': 'ACC-1007' });
      await button(page, /^Move CT ABDOMEN/).click();
      await button(page, 'ORTHANCB').click();
      await button(page, 'Move').click();
      await page.getByText('outcome unknown').waitFor();
    }, { base: proxy.url, expected: /ERR_INCOMPLETE_CHUNKED_ENCODING/ });
    await proxy.stop();
  });
});

describe('PACS without a name', () => {
  test('is checked, searched by patient ID and asked to move', () => visit({}, async (page) => {
    await typePACS(page, gateway.pacsPort);
    await button(page, 'Check connection').click();
    await page.getByText('The connection works.').waitFor();
    await search(page);
    await page.getByText('Enter a patient ID.').waitFor();
    await search(page, { 'Patient ID': '1112223333' });
    await found(page, 7);
    assert.equal(await button(page, /^Show images/).count(), 0);
    await button(page, /^Move CT ABDOMEN/).click();
    await page.getByLabel('Destination (AE title)').fill('ORTHANCB');
    await button(page, 'Move').click();
    await page.getByText('1 study moved to ORTHANCB.').waitFor();
    await assertAccessible(page);
  }));

  test('a PACS that fails is explained step by step', () => visit({ width: 390, height: 844 }, async (page) => {
    await typePACS(page, 1);
    await button(page, 'Check connection').click();
    await page.getByText('The connection does not work.').waitFor();
    await page.getByText('What to check').waitFor();
    await page.getByText('not reached').first().waitFor();
    await shoot(page, 'console-failing', true);
    await assertAccessible(page);
    await search(page, { 'Patient ID': '1' });
    await page.getByText('What to check').nth(1).waitFor();
  }, { expected: /502/ }));

  test('a PACS that is slow can be stopped', async () => {
    const sockets = [];
    const silent = createServer((socket) => sockets.push(socket.on('error', () => {}))).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    await visit({}, async (page) => {
      await typePACS(page, silent.address().port);
      await search(page, { 'Patient ID': '1' });
      await page.getByText('Asking ORTHANCA…').waitFor();
      await page.getByText('1 s', { exact: true }).waitFor();
      await shoot(page, 'console-slow');
      await button(page, 'Stop').click();
      await page.getByText('Stopped.').waitFor();
    }, { expected: /\/q net::ERR_ABORTED/ });
    silent.close();
    for (const socket of sockets) socket.destroy();
  });
});

test('answers of a proxy in place of the gateway are failures', () => visit({}, async (page) => {
  let answer = { status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' };
  await page.route('**/studies?*', (route) => route.fulfill(answer));
  await search(page);
  await page.getByText('502 Bad Gateway').waitFor();
  answer = { status: 200, contentType: 'text/html', body: '<h1>Log in</h1>' };
  await search(page);
  await page.getByText('Reload it and try again.').waitFor();
  await page.route('**/studies?*', (route) => route.abort());
  await search(page);
  await page.getByText('The gateway does not answer.').waitFor();
}, { expected: /502|ERR_FAILED|\/studies\?.* net::ERR_ABORTED/ }));

test('"Copy as curl" gives a command without the API key', () => visit({}, async (page) => {
  await search(page, { 'Patient name': "O'Neil" });
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await button(page, 'Copy as curl: Search').click();
  await page.getByText('Copied.').first().waitFor();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(command, /^curl --fail-with-body \\\n {2}-H 'Accept: application\/dicom\+json' \\\n {2}'http.*\/dicomweb\/orthanca\/studies\?PatientName=O%27Neil\*&/);
}));

test('an API key is asked for, tried again, and kept in memory only', async () => {
  const key = 'browser-test-key';
  const dir = await mkdtemp(join(tmpdir(), 'keys-'));
  await writeFile(join(dir, 'keys'), `browser:${createHash('sha256').update(key).digest('hex')}\n`);
  const closed = await start({ API_KEYS_FILE: join(dir, 'keys') });
  const { page, close } = await open(browser, closed.url, '/', { colorScheme: 'dark' });
  const dialog = page.getByRole('dialog', { name: 'API key' });
  await dialog.getByLabel('API key').fill('wrong');
  await button(page, 'Use this key').click();
  await page.getByText('The gateway does not accept this key.').waitFor();
  await shoot(page, 'console-key');
  await assertAccessible(page);
  await dialog.getByLabel('API key').fill(key);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Archive' }).waitFor();
  await search(page, { 'Accession number': 'ACC-5003' });
  await button(page, /^Show images of/).click();
  await page.getByRole('button', { name: /^Enlarge/ }).locator('img').first().waitFor();
  await page.getByLabel(/^Select CT CHEST/).check();
  await page.getByLabel('Destination (AE title)').fill('ORTHANCB');
  await button(page, 'File as a batch').click();
  await button(page, 'File batch').click();
  await page.getByText('Everything was moved to ORTHANCB: 1 item.').waitFor();
  await page.getByText('browser', { exact: true }).waitFor(); // the name of the key
  assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, '']);
  await page.getByRole('link', { name: 'Studies', exact: true }).click();
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await button(page, 'Copy as curl: Search').click();
  await page.getByText('Copied.').first().waitFor();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(command.includes('"Authorization: Bearer $API_KEY"') && !command.includes(key), command);
  await close();
  await closed.stop();
  await rm(dir, { recursive: true });
});

// The pictures of README and docs/console.md. UPDATE_PICTURES=1 writes them where they are committed.
test('the walk of the document, with its pictures', async () => {
  const fresh = await start({}); // nothing has been moved there
  const folder = fileURLToPath(new URL(process.env.UPDATE_PICTURES ? '../../docs/images/' : 'screenshots/', import.meta.url));
  await mkdir(folder, { recursive: true });
  const write = async (name, take) => {
    const path = join(folder, `${name}.png`);
    await take({ path, animations: 'disabled' });
    const { size } = await stat(path);
    assert.ok(size < 150 << 10, `${name}.png has ${size} bytes`);
  };
  await visit({ width: 1140, height: 720 }, async (page) => {
    await button(page, 'Check connection').click();
    await page.getByText('The connection works.').waitFor();
    for (const time of await page.locator('.step .small').all()) await time.evaluate((span) => { span.textContent = '0.1 ms'; });
    await write('console-1-check', (o) => section(page, 'Archive').screenshot(o));
    await search(page, { 'Patient name': 'Sample' });
    await found(page, 3);
    await write('console-2-search', (o) => section(page, 'Search').screenshot(o));
    await button(page, /^Show images of CT CHEST/).click();
    await page.getByRole('button', { name: /^Enlarge/ }).locator('img').first().waitFor();
    await write('console-3-studies', (o) => section(page, 'Studies').screenshot(o));
    await button(page, /^Move CT CHEST/).click();
    await button(page, 'ORTHANCB').click();
    await button(page, 'Move').click();
    await page.getByText('1 study moved to ORTHANCB.').waitFor();
    await page.mouse.move(0, 0);
    await write('console-4-move', (o) => section(page, 'Move to another system').screenshot(o));
    await page.getByRole('radio', { name: 'orthancb' }).check();
    await search(page, {});
    await found(page, 1);

    await page.getByRole('link', { name: 'Batches' }).click();
    await page.getByRole('link', { name: 'New batch' }).click();
    await page.getByRole('textbox', { name: 'Studies' }).fill('accession_number\nACC-1004\nACC-1007\nACC-0000\n');
    await button(page, 'ORTHANCB').click();
    await write('console-5-batch', (o) => section(page, 'New batch').screenshot(o));
    await button(page, 'Dry run').click();
    await page.getByText('The archive has studies for 2 of 3 items. Nothing was moved.').waitFor();
    await page.goBack();
    await button(page, 'File batch').click();
    await page.getByText('Not everything was moved: 2 of 3 items.').waitFor();
    await page.getByText('1 study, 7 images').waitFor();
    await page.mouse.move(0, 0);
    await write('console-6-items', (o) => page.locator('section', { has: page.getByRole('heading', { name: /^Batch of/ }) }).screenshot(o));
  }, { base: fresh.url });
  await visit({ width: 1140, height: 720 }, async (page) => {
    await search(page, { 'Patient name': 'Sample', 'Study date from': '2025-01-01' });
    for (const study of ['US HEART', 'CT CHEST']) {
      await button(page, new RegExp(`^Show images of ${study}`)).click();
      await page.getByText(`Series of ${study}`).first().waitFor();
      await page.getByRole('group', { name: `Series of ${study}` }).getByRole('button', { name: /^Enlarge/ }).locator('img').first().waitFor();
    }
    await page.getByRole('button', { name: /^Enlarge/ }).nth(2).waitFor();
    await page.mouse.move(0, 0);
    await write('console', (o) => section(page, 'Studies').screenshot(o));
  }, { base: fresh.url });
  await fresh.stop();
});

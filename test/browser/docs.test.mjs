import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { background, faint, launch, open, overflow, shoot } from './browser.mjs';
import { behind, start } from './gateway.mjs';
import { answerOf, chooseExample, execute, openErrors, operationAt, tryItOut } from './swagger.mjs';

const pages = {
  docs: { path: '/docs', drawn: '.opblock-summary-path', text: '/q' },
  redoc: { path: '/redoc', drawn: '.api-content h1', text: '/q' },
};

const looks = ['light', 'dark'].flatMap((colorScheme) => [
  { name: `${colorScheme}-desk`, colorScheme, width: 1280, height: 900 },
  { name: `${colorScheme}-phone`, colorScheme, width: 390, height: 844 },
]);

let gateway;
let browser;

before(async () => {
  gateway = await start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
});

async function assertReadable(page) {
  assert.equal(await overflow(page), 0, 'pixels wider than the window');
  assert.deepEqual(await faint(page, 4.5), [], 'texts with too little contrast');
}

// visit opens a page, calls see with it and requires that there are no faults,
// except for responses with a status that see returns.
async function visit(path, look, see, base = gateway.url) {
  const { page, faults, close } = await open(browser, base, path, look);
  const expected = await see(page) ?? [];
  const unexpected = faults.filter((fault) => !expected.some((status) =>
    fault.startsWith(`${status}: `) || fault.includes(`responded with a status of ${status} `)));
  assert.deepEqual(unexpected, []);
  await close();
}

for (const [name, { path, drawn, text }] of Object.entries(pages)) {
  describe(path, () => {
    for (const look of looks) {
      test(`renders without an error and without requests to other hosts (${look.name})`, () => visit(path, look, async (page) => {
        await page.locator(drawn).first().waitFor();
        await page.getByText(text, { exact: true }).first().waitFor({ state: 'attached' });
        await page.waitForLoadState('networkidle');
        await shoot(page, `${name}-${look.name}`);
        // /redoc has everything open: a picture of the whole page takes longer than its test.
        if (name === 'docs') await shoot(page, `${name}-${look.name}-whole`, true);

        assert.match(await page.title(), /DICOM Query\/Retrieve gateway/);
        assert.equal(await page.locator('html').getAttribute('lang'), 'en');
        const brightness = await background(page);
        assert.ok(look.colorScheme === 'dark' ? brightness < 64 : brightness > 191, `brightness ${brightness}`);
        await assertReadable(page);
      }));
    }

    test('follows a change of the colour scheme', () => visit(path, {}, async (page) => {
      await page.locator(drawn).first().waitFor();
      await page.emulateMedia({ colorScheme: 'dark' });
      await page.locator(drawn).first().waitFor();
      assert.ok(await background(page) < 64);
    }));

    test('explains AE titles and move destinations', () => visit(path, {}, async (page) => {
      await page.locator(drawn).first().waitFor();
      for (const heading of ['DICOM in three minutes', 'A first request', 'A PACS of your own']) {
        await page.getByRole('heading', { name: heading }).first().waitFor();
      }
      await page.getByText('sends nothing to the caller').first().waitFor();
    }));

    test('works under a path of a proxy', async () => {
      const proxy = await behind(gateway.url, '/dicom');
      await visit(path, {}, async (page) => {
        await page.locator(drawn).first().waitFor();
        await page.waitForLoadState('networkidle');
      }, proxy.url);
      await proxy.stop();
    });
  });
}

for (const look of looks) {
  test(`"Try it out" of /echo, /q and /qr works with the examples (${look.name})`, () => visit('/docs', look, async (page) => {
    for (const [path, expected] of [
      ['/echo', /"C-ECHO"[^]*"ok"/], ['/q', /"StudyDescription": "CT ABDOMEN"/], ['/qr', /"message": "The study was moved."/],
    ]) {
      const operation = await tryItOut(page, path);
      await execute(operation, gateway.pacsPort);
      const { status, text } = await answerOf(operation);
      await operation.screenshot({ path: new URL(`screenshots/try${path.replace('/', '-')}-${look.name}.png`, import.meta.url).pathname });
      assert.match(status, /^200/);
      assert.match(text, expected);
      await assertReadable(page);
      await operation.locator('.opblock-summary-control').click();
    }
  }));
}

test('each example leads to its kind of response', () => visit('/docs', {}, async (page) => {
  for (const [path, example, status, expected] of [
    ['/q', 'all', 200, /"MR LUMBAR SPINE"/],
    ['/q', 'other_characters', 200, /山田\^太郎/],
    ['/q', 'no_study_matched', 404, /"no_study_matched"/],
    ['/qr', 'partial', 207, /"partial"/],
    ['/qr', 'move_destination_unknown', 502, /"A801"/],
    ['/echo', 'association_rejected', 502, /"hint": "The PACS does not answer to this called AE title/],
  ]) {
    const operation = await tryItOut(page, path);
    await chooseExample(operation.locator('.opblock-section-request-body'), example);
    await execute(operation, gateway.pacsPort);
    const answer = await answerOf(operation);
    assert.match(answer.status, new RegExp(`^${status}`), `${path} ${example}`);
    assert.match(answer.text, expected);
    await operation.locator('.opblock-summary-control').click();
  }
  return [404, 502];
}));

test('the event stream of /qr is shown completely', () => visit('/docs', {}, async (page) => {
  const operation = await tryItOut(page, '/qr');
  await operation.locator('tr.response[data-code="200"] .response-controls select').first().selectOption('text/event-stream');
  await execute(operation, gateway.pacsPort);
  const { status, text } = await answerOf(operation);
  await shoot(page, 'docs-event-stream', true);
  assert.match(status, /^200/);
  assert.match(text, /event: matched[^]*event: progress[^]*event: retrieved[^]*event: result/);
}));

test('the events of /qr are shown while they arrive, until they are cleared', async () => {
  const waiting = [];
  const proxy = await behind(gateway.url, '/slow', (event) => new Promise((forward) => waiting.push({ event, forward })));
  await visit('/docs', {}, async (page) => {
    const operation = await tryItOut(page, '/qr');
    await operation.locator('tr.response[data-code="200"] .response-controls select').first().selectOption('text/event-stream');
    await execute(operation, gateway.pacsPort);
    const log = operation.getByRole('log', { name: 'Events' });
    const seen = [];
    do {
      while (waiting.length === 0) await page.waitForTimeout(10);
      const { event, forward } = waiting.shift();
      seen.push(/^event: (\w+)/.exec(event)[1]);
      assert.equal(await operation.locator('.live-responses-table').count(), 0, 'the response is not complete');
      forward();
      await log.locator('details').nth(seen.length - 1).waitFor();
      assert.deepEqual(await log.locator('details b').allTextContents(), seen);
    } while (seen.at(-1) !== 'result');
    assert.deepEqual([...new Set(seen)], ['matched', 'progress', 'retrieved', 'result']);
    assert.match(await log.innerText(), /matched 1 study[^]*study 1 of 1: [^]*retrieved ok, 7 instances[^]*result 200: The study was moved/);
    assert.match((await answerOf(operation)).status, /^200/);
    await operation.getByRole('heading', { name: 'Events: complete' }).waitFor();

    await log.locator('summary').last().press('Enter');
    await log.getByText('"http_status": 200').waitFor();
    await operation.locator('.events').screenshot({ path: new URL('screenshots/events.png', import.meta.url).pathname });
    await assertReadable(page);
    await operation.getByRole('button', { name: 'Clear' }).click();
    await log.waitFor({ state: 'detached' });
  }, proxy.url);
  await proxy.stop();
});

test('an event stream that ends early is shown as cut off', async () => {
  const proxy = await behind(gateway.url, '/short', async (event) => {
    if (event.startsWith('event: retrieved')) throw new Error('cut off');
  });
  const { page, faults, close } = await open(browser, proxy.url, '/docs');
  const operation = await tryItOut(page, '/qr');
  await operation.locator('tr.response[data-code="200"] .response-controls select').first().selectOption('text/event-stream');
  await execute(operation, gateway.pacsPort);
  await operation.getByRole('heading', { name: 'Events: cut off: the outcome is unknown' }).waitFor();
  await answerOf(operation);
  await assertReadable(page);
  assert.deepEqual(faults.filter((fault) => !fault.includes('ERR_INCOMPLETE_CHUNKED_ENCODING')), []);
  await close();
  await proxy.stop();
});

test('/echo is the first operation, then /q and /qr', async () => {
  await visit('/docs', {}, async (page) => {
    await page.locator('.opblock').first().waitFor();
    const paths = await page.locator('.opblock-summary-path').evaluateAll((all) => all.map((e) => e.dataset.path));
    assert.deepEqual(paths.slice(0, 3), ['/echo', '/q', '/qr']);
  });
  await visit('/redoc', {}, async (page) => {
    await page.locator('.api-content h1').first().waitFor();
    const ids = await page.locator('[id*="operation/"]').evaluateAll((all) => all.map((e) => e.id.replace(/.*operation\//, '')));
    assert.deepEqual([...new Set(ids)].slice(0, 3), ['echo', 'query', 'retrieve']);
  });
});

test('"Try it out" sends no correlation ID of its own', () => visit('/docs', {}, async (page) => {
  for (const path of ['/echo', '/q', '/qr']) {
    const operation = await tryItOut(page, path);
    assert.equal(await operation.locator('[data-param-name="X-Correlation-ID"] input').inputValue(), '');
    await operation.locator('.opblock-summary-control').click();
  }
}));

test('an operation shows its successes and folds its errors', () => visit('/docs', {}, async (page) => {
  const operation = await operationAt(page, '/qr');
  assert.deepEqual(await operation.locator('tr.response').evaluateAll((rows) => rows.map((row) => row.dataset.code)), ['200', '207']);
  const { height } = await operation.boundingBox();
  assert.ok(height <= 7858 / 3, `${height} pixels; all responses open are 7858`);

  const button = operation.getByRole('button', { name: '404' });
  assert.equal(await button.getAttribute('aria-expanded'), 'false');
  await button.press('Enter');
  assert.equal(await button.getAttribute('aria-expanded'), 'true');
  await operation.locator('tr.response[data-code="404"]').getByText('"no_study_matched"').waitFor();
  await operation.locator('.response-fold').getByText('The body has no correlation_id; the header is present.').waitFor();
  await button.press('Space');
  await operation.locator('tr.response[data-code="404"]').waitFor({ state: 'detached' });
}));

test('without API keys, nothing asks for one', async () => {
  await visit('/docs', {}, async (page) => {
    await operationAt(page, '/q');
    assert.equal(await page.locator('.authorize, .authorization__btn').count(), 0);
  });
  await visit('/redoc', {}, async (page) => {
    await page.locator('.api-content h1').first().waitFor();
    assert.equal(await page.getByText('bearerAuth').count(), 0);
  });
});

test('/redoc shows code samples of each operation', () => visit('/redoc', {}, async (page) => {
  await page.locator('.api-content h1').first().waitFor();
  for (const id of ['echo', 'query', 'retrieve']) {
    const operation = page.locator(`[id="tag/operations/operation/${id}"]`).first();
    await operation.scrollIntoViewIfNeeded();
    for (const [label, text] of [
      ['curl', 'curl --fail-with-body'], ['PowerShell', 'Invoke-RestMethod'], ['Python', 'import urllib.request'],
      ['Go', 'package main'], ['TypeScript', 'await fetch('],
    ]) {
      await operation.getByRole('tab', { name: label, exact: true }).click();
      await operation.getByText(text).first().waitFor();
      await shoot(page, `redoc-sample-${id}-${label}`);
    }
  }
  await assertReadable(page);
}));

for (const look of looks.filter(({ name }) => name === 'dark-desk' || name === 'light-phone')) {
  test(`each problem has an example under its status (${look.name})`, () => visit('/docs', look, async (page) => {
    const operation = await operationAt(page, '/qr');
    await openErrors(operation);
    let shown = 0;
    for (const row of await operation.locator('tr.response').all()) {
      const status = await row.getAttribute('data-code');
      if (status < '400') continue;
      const select = row.locator('.examples-select-element');
      for (const key of await select.locator('option').evaluateAll((options) => options.map((option) => option.value))) {
        await select.selectOption(key);
        const document = JSON.parse(await row.locator('.example code, .example pre').first().textContent());
        assert.equal(String(document.status), status);
        assert.ok(key.startsWith(document.code), key);
        shown += 1;
      }
    }
    assert.ok(shown > 40, `${shown} examples`);
    await operation.screenshot({ path: new URL(`screenshots/problems-${look.name}.png`, import.meta.url).pathname });
    await assertReadable(page);
  }));
}

test('under a path of a proxy, "Try it out" uses that path', async () => {
  const proxy = await behind(gateway.url, '/dicom');
  await visit('/docs', {}, async (page) => {
    const operation = await tryItOut(page, '/q');
    await execute(operation, gateway.pacsPort);
    const { status, text } = await answerOf(operation);
    assert.match(status, /^200/);
    assert.match(text, /CT ABDOMEN/);
  }, proxy.url);
  await proxy.stop();
});

test('"Authorize" sets the API key', async () => {
  const key = 'browser-test-key';
  const dir = await mkdtemp(join(tmpdir(), 'keys-'));
  await writeFile(join(dir, 'keys'), `browser:${createHash('sha256').update(key).digest('hex')}\n`);
  const closed = await start({ API_KEYS_FILE: join(dir, 'keys') });
  await visit('/docs', { colorScheme: 'dark' }, async (page) => {
    const operation = await tryItOut(page, '/q');
    await operation.locator('.authorization__btn').waitFor();
    await execute(operation, closed.pacsPort);
    assert.match((await answerOf(operation)).status, /^401/);

    await page.locator('.auth-wrapper .authorize').first().click();
    const dialog = page.locator('.dialog-ux');
    await dialog.locator('input').fill(key);
    await shoot(page, 'docs-authorize');
    await dialog.getByRole('button', { name: 'Apply credentials' }).click();
    await dialog.getByRole('button', { name: 'Close' }).last().click();
    await execute(operation, closed.pacsPort);
    assert.match((await answerOf(operation)).status, /^200/);
    return [401];
  }, closed.url);
  await visit('/redoc', {}, (page) => page.getByText('bearerAuth').first().waitFor(), closed.url);
  await closed.stop();
  await rm(dir, { recursive: true });
});

test('the keyboard reaches the routes, with a visible focus', () => visit('/docs', {}, async (page) => {
  await page.locator('.opblock').first().waitFor();
  await page.keyboard.press('Tab'); // the name
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Routes');
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  assert.ok(await page.evaluate(() => document.querySelector('#routes').contains(document.activeElement)));
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none');
}));

for (const look of looks.filter(({ name }) => name === 'light-desk' || name === 'dark-phone')) {
  test(`/redoc shows examples of requests and of problems (${look.name})`, () => visit('/redoc#operation/retrieve', look, async (page) => {
    const operation = page.locator('[id="tag/operations/operation/retrieve"], [id="operation/retrieve"]').first();
    await operation.waitFor();
    await operation.scrollIntoViewIfNeeded();
    await operation.getByRole('button', { name: /^502/ }).first().click();
    await operation.getByRole('tab', { name: '502' }).first().click();
    await page.getByText('urn:dicom-qr-gateway:problem:move_failed').first().waitFor();
    await operation.screenshot({ path: new URL(`screenshots/redoc-qr-${look.name}.png`, import.meta.url).pathname });
    await assertReadable(page);
  }));
}

test('the search of /redoc finds an operation', () => visit('/redoc', {}, async (page) => {
  await page.getByPlaceholder('Search').fill('studies');
  await page.locator('[data-role="search:results"] [role="menuitem"]').first().waitFor();
  await shoot(page, 'redoc-search');
}));

test('an operation has a URL', () => visit('/docs', {}, async (page) => {
  await page.locator('[data-path="/q"]').first().click();
  await page.waitForURL(/#\/.+\/.+/);
  await page.waitForLoadState('networkidle'); // what still loads would count as not loaded
  await page.reload();
  await page.getByRole('button', { name: 'Try it out' }).waitFor();
}));

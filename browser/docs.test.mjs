import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { background, faint, launch, open, overflow, shoot } from './browser.mjs';
import { start } from './gateway.mjs';

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
  assert.deepEqual(await faint(page, 3), [], 'texts that are hard to read');
}

for (const [name, { path, drawn, text }] of Object.entries(pages)) {
  describe(path, () => {
    for (const look of looks) {
      test(`renders from this host alone and without an error (${look.name})`, async () => {
        const { page, faults, close } = await open(browser, gateway.url, path, look);
        await page.locator(drawn).first().waitFor();
        await page.getByText(text, { exact: true }).first().waitFor({ state: 'attached' });
        await page.waitForLoadState('networkidle');
        await shoot(page, `${name}-${look.name}`);
        await shoot(page, `${name}-${look.name}-whole`, true);

        assert.match(await page.title(), /DICOM Query\/Retrieve gateway/);
        const brightness = await background(page);
        assert.ok(look.colorScheme === 'dark' ? brightness < 64 : brightness > 191, `brightness ${brightness}`);
        await assertReadable(page);
        assert.deepEqual(faults, []);
        await close();
      });
    }

    test('follows the colour scheme while it is open', async () => {
      const { page, faults, close } = await open(browser, gateway.url, path);
      await page.locator(drawn).first().waitFor();
      await page.emulateMedia({ colorScheme: 'dark' });
      await page.locator(drawn).first().waitFor();
      assert.ok(await background(page) < 64);
      assert.deepEqual(faults, []);
      await close();
    });
  });
}

for (const look of looks) {
  test(`"Try it out" of /q shows the studies of the demonstration PACS (${look.name})`, async () => {
    const { page, faults, close } = await open(browser, gateway.url, '/docs', look);
    const operation = page.locator('.opblock', { has: page.locator('[data-path="/q"]') });
    await operation.locator('.opblock-summary').click();
    await operation.getByRole('button', { name: 'Try it out' }).click();
    await operation.locator('textarea.body-param__text').fill(JSON.stringify({
      pacs_ip: '127.0.0.1',
      pacs_port: gateway.pacsPort,
      pacs_ae_title: 'ORTHANCA',
      c_find_ae_title: 'GATEWAY',
      patient_id: '1112223333',
    }));
    await operation.getByRole('button', { name: 'Execute' }).click();
    const answer = operation.locator('.live-responses-table .response');
    await answer.waitFor();
    await shoot(page, `docs-try-it-out-${look.name}`, true);
    assert.match(await answer.locator('.response-col_status').innerText(), /^200/);
    assert.match(await answer.innerText(), /StudyInstanceUID/);
    await assertReadable(page);
    assert.deepEqual(faults, []);
    await close();
  });
}

test('the search of /redoc finds an operation', async () => {
  const { page, faults, close } = await open(browser, gateway.url, '/redoc');
  await page.getByPlaceholder('Search').fill('studies');
  await page.locator('[data-role="search:results"] [role="menuitem"]').first().waitFor();
  await shoot(page, 'redoc-search');
  assert.deepEqual(faults, []);
  await close();
});

test('an operation has an address of its own', async () => {
  const { page, faults, close } = await open(browser, gateway.url, '/docs');
  await page.locator('[data-path="/q"]').first().click();
  await page.waitForURL(/#\/.+\/.+/);
  await page.reload();
  await page.getByRole('button', { name: 'Try it out' }).waitFor();
  assert.deepEqual(faults, []);
  await close();
});

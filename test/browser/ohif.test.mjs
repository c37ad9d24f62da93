// The study list of the OHIF viewer, over QIDO-RS and from another origin.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { launch, open, shoot } from './browser.mjs';
import { start } from './gateway.mjs';
import { serve } from './ohif.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));

let viewer, gateway, browser;

before(async () => {
  viewer = await serve(() => `${gateway.url}/dicomweb/orthanca`);
  gateway = await start({ CORS_ALLOWED_ORIGINS: viewer.url });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await viewer?.stop();
  await gateway?.stop();
});

// list opens the study list and returns it with the searches that it sends.
async function list(path = '') {
  const opened = await open(browser, viewer.url, `/${path}`, { width: 1400, also: [gateway.url] });
  const { page, faults } = opened;
  page.setDefaultTimeout(30_000);
  await page.locator('thead').waitFor();
  return {
    ...opened,
    // rows waits until the list has n studies and returns their columns.
    rows: async (n) => {
      // The first row holds the filters.
      const studies = 'tbody tr:has(td:nth-child(6) .text-right)';
      await page.waitForFunction(([rows, n]) => document.querySelectorAll(rows).length === n, [studies, n]).catch(() => {});
      assert.deepEqual(faults, []);
      const texts = await page.locator(studies).evaluateAll((all) => all.map((row) => [...row.querySelectorAll('td')].slice(0, 6).map((cell) => cell.innerText.trim())));
      assert.equal(texts.length, n, JSON.stringify(texts));
      return texts.map(([patient, date, modalities, description, accession, instances]) => ({ patient, date, modalities, description, accession, instances }));
    },
  };
}

const accessions = (rows) => rows.map((row) => row.accession);

// searchBy returns the parameters of the search that action causes.
async function searchBy(page, action) {
  const [request] = await Promise.all([page.waitForRequest((r) => r.method() === 'GET' && r.url().includes('/dicomweb/')), action()]);
  return new URL(request.url()).searchParams;
}

describe('the study list of OHIF', () => {
  test('shows every study, newest first', async () => {
    const { page, rows, close } = await list();
    const all = await rows(13);
    assert.deepEqual(accessions(all), [
      'ACC-1007', 'ACC-1006', 'ACC-5003', 'ACC-5002', 'ACC-5001', 'ACC-2001', 'ACC-1005', 'ACC-4001', 'ACC-1004', 'ACC-3001',
      'ACC-1003', 'ACC-1002', 'ACC-1001',
    ]);
    assert.deepEqual(all[2], {
      patient: 'SAMPLE, IRIS', date: '10-Mar-2025 10:30 AM', modalities: 'CT', description: 'CT CHEST VOLUME', accession: 'ACC-5003', instances: '32',
    });
    assert.equal(all[9].patient, 'Müller, Jürgen');
    assert.equal(all[9].description, 'Schädel MR');
    await shoot(page, 'ohif-list');
    await close();
  });

  test('filters by the name of the patient', async () => {
    const { page, rows, close } = await list();
    await rows(13);
    const sent = await searchBy(page, () => page.locator('tr:has(#studyDateTime-start) input').first().fill('müller'));
    assert.equal(sent.get('PatientName'), '*müller*');
    assert.deepEqual(accessions(await rows(1)), ['ACC-3001']);
    await close();
  });

  test('filters by the date of the study', async () => {
    const { page, rows, close } = await list();
    await rows(13);
    const sent = await searchBy(page, async () => {
      await page.locator('#studyDateTime-start').fill('2025-01-01');
      await page.locator('#studyDateTime-start').press('Enter');
    });
    assert.match(sent.get('StudyDate'), /^20250101-\d{8}$/);
    assert.deepEqual(accessions(await rows(4)), ['ACC-1007', 'ACC-1006', 'ACC-5003', 'ACC-5002']);
    await close();
  });

  test('filters by modality', async () => {
    for (const [modalities, n, found] of [
      ['US', 2, ['ACC-5002', 'ACC-1004']],
      ['SR,XC', 2, ['ACC-5001', 'ACC-1005']],
      ['PT', 0, []],
    ]) {
      const { rows, close } = await list(`?modalities=${modalities}`);
      assert.deepEqual(accessions(await rows(n)), found, modalities);
      await close();
    }
  });

  test('shows the series of a study', async () => {
    const { page, rows, faults, close } = await list('?accession=ACC-5002');
    await rows(1);
    const [answer] = await Promise.all([page.waitForResponse((r) => r.url().includes('/series?')), page.getByText('ACC-5002').click()]);
    assert.equal(answer.status(), 200);
    await page.getByText('COLOUR DOPPLER').first().waitFor();
    await page.getByText('CLIP').first().waitFor();
    await shoot(page, 'ohif-series');
    assert.deepEqual(faults, []);
    await close();
  });

  // The viewer asks for the first 101 studies and divides them into pages itself.
  test('goes through the pages of a longer list', async () => {
    await run('go', ['run', './test/studies/generate', '-more', '150', '-store', `ORTHANCA@127.0.0.1:${gateway.pacsPort}`], { cwd: root });
    const whole = await (await fetch(`${gateway.url}/dicomweb/orthanca/studies`)).json();
    const all = whole.map((study) => study['00080050'].Value?.[0] ?? '');
    assert.ok(all.length > 175, `${all.length} studies`);
    const { page, rows, close } = await list('?resultsPerPage=25');
    for (const first of [0, 25, 50, 75, 100]) {
      const shown = all.slice(first, Math.min(first + 25, 101));
      await page.getByText(`${first + 1}-${first + shown.length} of 101`).waitFor();
      assert.deepEqual(accessions(await rows(shown.length)), shown);
      if (first < 100) await page.getByLabel('Next page').click();
    }
    await close();
  });
});

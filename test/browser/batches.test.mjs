import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { launch, open, shoot } from './browser.mjs';
import { assertAccessible, button, looks } from './console.mjs';
import { start } from './gateway.mjs';
import { countsOf, itemOf, jobOf, play } from './jobs.mjs';

let gateway;
let browser;

before(async () => {
  [gateway, browser] = await Promise.all([start({}), launch()]);
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
});

// visit opens a view of the batches of a gateway whose jobs are played, calls see with page and player, and requires that there are no
// faults but the expected ones. Chromium reports a stream or a request as aborted if the person goes elsewhere.
async function visit(list, view, see, { look = {}, expected = /(?!)/ } = {}) {
  const played = await play(gateway.url, list);
  try {
    const { page, faults, close } = await open(browser, played.url, `/#batches${view}`, look);
    await page.getByRole('heading', { level: 2 }).waitFor();
    await see(page, played);
    const harmless = /\/jobs\S* net::ERR_ABORTED$/;
    assert.deepEqual(faults.filter((fault) => !harmless.test(fault) && !expected.test(fault)), []);
    await close();
  } finally {
    await played.stop(); // else the process would not end
  }
}

const outcomes = ['moved', 'failed', 'partial', 'no_study_matched', 'moved', 'waiting', 'running', 'queued', 'queued'];
const running = () => jobOf(1, { state: 'running', finished_at: null, window: '20:00-06:00', priority: 'low' },
  Array.from({ length: 120 }, (_, i) => itemOf(i + 1, outcomes[i] ?? 'queued')));
const finished = (number = 2) => jobOf(number, {}, Array.from({ length: 10 }, (_, i) => itemOf(i + 1, i === 3 ? 'failed' : 'moved')));
const large = () => jobOf(3, {}, Array.from({ length: 10_000 }, (_, i) => itemOf(i + 1, i % 97 === 3 ? 'failed' : 'moved')));

const list = (page) => page.getByLabel('Studies', { exact: true });
const status = (page, text) => page.getByRole('status').filter({ hasText: text });

describe('the page of batches', () => {
  for (const look of looks) {
    test(`is accessible: list, form, faults and a batch (${look.name})`, () => visit([running(), finished()], '', async (page) => {
      await page.getByRole('link', { name: '2026-11-28 19:05' }).waitFor();
      await shoot(page, `batches-list-${look.name}`, true);
      await assertAccessible(page);
      await page.getByRole('link', { name: 'New batch' }).click();
      await list(page).fill('Patient ID;Accession Number;Remark\n1112223333;ACC-1007;x\n;ACC-5003;\n');
      await page.getByText('When, and how urgent').click();
      await status(page, '2 items').waitFor();
      await shoot(page, `batches-new-${look.name}`, true);
      await assertAccessible(page);
      await list(page).fill('Patient ID;Accession Number\n1;2;3\n;\n"4;5\n');
      await page.getByText('The list cannot be filed yet.').waitFor();
      await shoot(page, `batches-faults-${look.name}`, true);
      await assertAccessible(page);
      await page.getByRole('link', { name: 'All batches' }).click();
      await page.getByRole('link', { name: '2026-11-28 19:05' }).click();
      await page.getByText('ACC-00050').waitFor();
      await shoot(page, `batches-job-${look.name}`, true);
      await assertAccessible(page);
    }, { look }));
  }

  test('no width cuts anything off', () => visit([running()], '', async (page) => {
    const beyond = () => [...document.querySelectorAll('section *')].filter((e) => !e.closest('.hidden, thead, option')
      && e.getBoundingClientRect().right > e.closest('section').getBoundingClientRect().right + 1).map((e) => e.outerHTML.slice(0, 80));
    for (const view of ['', '/new', `/${running().job}`]) {
      await page.goto(`${new URL(page.url()).origin}/#batches${view}`);
      if (view === '/new') await list(page).fill(`study_instance_uid,patient_id\n${'1.2.840.113619.2.55.3.604688119.868.1201'.padEnd(64, '9')},${'P'.repeat(64)}\n`);
      for (const width of [320, 390, 600, 760, 780, 1000, 1440]) {
        await page.setViewportSize({ width, height: 900 });
        assert.deepEqual(await page.evaluate(beyond), [], `${view} at ${width} pixels`);
      }
    }
  }));

  test('a screen reader is at the heading of each view, and the keyboard goes everywhere', () => visit([finished()], '', async (page) => {
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    await page.getByRole('link', { name: '2026-11-28 18:05' }).waitFor();
    assert.equal(await focused(), 'Batches');
    assert.equal(await page.title(), 'Batches - DICOM Query/Retrieve gateway');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'New batch' }).waitFor();
    assert.equal(await focused(), 'New batch');
    await list(page).focus();
    await page.keyboard.type('accession_number\nACC-5003');
    await page.getByLabel('Destination (AE title)').focus();
    await page.keyboard.type('ORTHANCB');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: /^Batch of/ }).waitFor();
    assert.match(await focused(), /^Batch/);
    await page.getByText('ACC-5003').waitFor();
  }));

  test('the studies stay as they are while the person looks at the batches', () => visit([], '', async (page) => {
    await page.getByText('There are no batches yet.').waitFor();
    await page.getByRole('link', { name: 'Studies' }).click();
    await page.getByLabel('Accession number').fill('ACC-5003');
    await button(page, 'Search').click();
    await button(page, /^Show images/).click();
    await page.getByRole('link', { name: 'Batches' }).click();
    await page.getByText('There are no batches yet.').waitFor();
    await page.getByRole('link', { name: 'Studies' }).click();
    await button(page, /^Hide images/).waitFor();
  }));

  test('selected studies become a batch', () => visit([], '', async (page, played) => {
    await page.getByRole('link', { name: 'Studies' }).click();
    await page.getByLabel('Patient ID').fill('5556667777');
    await button(page, 'Search').click();
    await page.getByLabel('Select all').check();
    await page.getByLabel('Destination (AE title)').fill('ORTHANCB');
    await button(page, 'File as a batch').click();
    await status(page, '3 items').waitFor();
    await button(page, 'File batch').click();
    await page.getByRole('heading', { name: /^Batch of/ }).waitFor();
    const [{ text, parameters }] = played.filed;
    assert.match(text, /^study_instance_uid\n([0-9.]+\n){3}$/);
    assert.deepEqual(parameters, { pacs: 'orthanca', c_move_ae_title: 'ORTHANCB' });
  }));

  test('where batches are switched off, the page says in a line how to switch them on', () => visit([], '/new', async (page, played) => {
    played.jobsAre = 'disabled';
    await page.waitForLoadState('networkidle'); // what still loads would count as not loaded
    await page.reload();
    await page.getByText('Batches are switched off. The operator of this gateway switches them on with the setting NATS_URL or JOBS_DIR.').waitFor();
    await assertAccessible(page);
    await page.getByRole('link', { name: 'Studies' }).click();
    await button(page, 'Search').click();
    await button(page, /^Move US HEART/).click();
    await button(page, 'Move').waitFor();
    assert.equal(await button(page, 'File as a batch').count(), 0);
  }));

  test('a gateway that cannot reach its NATS is a failure with a hint, and the next try goes on', () => visit([finished()], '', async (page, played) => {
    played.refuse = () => ({ status: 503, code: 'jobs_unavailable', detail: 'The store of jobs does not answer.', hint: 'Check NATS.' });
    await page.waitForLoadState('networkidle');
    await page.reload();
    await page.getByText('Check NATS.').waitFor();
    await assertAccessible(page);
    played.refuse = () => undefined;
    await button(page, 'Try again').click();
    await page.getByRole('link', { name: '2026-11-28 18:05' }).waitFor();
  }, { expected: /503/ }));
});

describe('a new batch', () => {
  test('a file of a spreadsheet is filed as the gateway reads it, with its time, its window and its priority', () => visit([], '/new', async (page, played) => {
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), button(page, 'Choose a file').click()]);
    const csv = '\uFEFFName;Accession Number;Patient-ID\r\n"Doe; J";ACC-1;"P,1"\r\n\r\n"a\nb";"A""2";\r\n';
    await chooser.setFiles({ name: 'monday.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) });
    await status(page, '2 items').waitFor();
    await page.getByText('monday.csv').waitFor();
    await page.getByText('Columns that are not used: Name').waitFor();
    await page.getByText('When, and how urgent').click();
    await page.getByLabel('Not before').fill('2026-12-01T20:30');
    await page.getByLabel('Each day from').fill('20:00');
    await button(page, 'ORTHANCB').click();
    await button(page, 'File batch').click();
    await page.getByText('Enter both times of the day, or none.').waitFor();
    await page.getByLabel('until', { exact: true }).fill('06:00');
    await page.getByLabel('Priority').selectOption('low');
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await button(page, 'Copy as curl: New batch').click();
    await page.getByText('Copied.').first().waitFor();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()),
      /^curl --fail-with-body \\\n {2}-H 'Content-Type: text\/csv' \\\n {2}--data-binary '@monday.csv' \\\n {2}'http.*\/jobs\?pacs=orthanca&c_move_ae_title=ORTHANCB&/);
    await button(page, 'File batch').click();
    await page.getByRole('heading', { name: /^Batch of/ }).waitFor();
    const [{ text, type, parameters }] = played.filed;
    assert.equal(text, 'patient_id,accession_number\n"P,1",ACC-1\n\n,"A""2"\n');
    assert.match(type, /^text\/csv/);
    const local = await page.evaluate(() => new Date('2026-12-01T20:30').toISOString());
    assert.deepEqual(parameters, { pacs: 'orthanca', c_move_ae_title: 'ORTHANCB', not_before: local, window: '20:00-06:00', priority: 'low' });
  }));

  test('a file is dropped, and one that is no list is refused line by line', () => visit([], '/new', async (page) => {
    const drop = (text) => page.locator('.drop').evaluate((place, text) => {
      const data = new DataTransfer();
      data.items.add(new File([text], 'list.csv', { type: 'text/csv' }));
      place.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    }, text);
    await drop('name,born\nDoe,1970\n');
    await page.getByText('Line 1: names no column that is known').waitFor();
    await drop(`patient_id\n${'P\n'.repeat(10_001)}`);
    await page.getByText('Line 10,002: is one item too many: a batch has at most 10,000').waitFor();
    await drop('patient_id,patient_id\nP,P\n');
    await page.getByText('Line 1, Patient ID: names this column twice').waitFor();
    await drop(Buffer.from('patient_id\nM\xFCller\n', 'latin1').toString('utf8'));
    await page.getByText('Line 2: is not in UTF-8. Save the file as "CSV UTF-8".').waitFor();
    await drop('patient_id\n');
    await page.getByText('Line 1: no item follows').waitFor();
    await drop('x'.repeat(5 << 20));
    await page.getByText('The file is larger than 4 MB.').waitFor();
    await button(page, 'File batch').click();
    await page.getByText('Correct the list first.').waitFor();
    await button(page, 'Remove the file').click();
    await button(page, 'File batch').click();
    await page.getByText('Enter a list of studies, or choose a file.').waitFor();
    await assertAccessible(page);
  }));

  test('faults that the gateway finds are in the lines of the text as the person has it', () => visit([], '/new', async (page, played) => {
    played.refuse = ({ method }) => (method === 'POST' ? {
      status: 400, code: 'invalid_request', detail: 'The list has faults.',
      errors: [{ pointer: '/items/1/accession_number', line: 5, column: 1, detail: 'is longer than 16 characters' }],
    } : undefined);
    await list(page).fill('accession_number\tward\nACC-1\tA\n\n\nACC-2345678901234567\tB\n');
    await page.getByLabel('Destination (AE title)').fill('ORTHANCB');
    await button(page, 'File batch').click();
    await page.getByText('Line 5, Accession number: is longer than 16 characters').waitFor();
    await assertAccessible(page);
  }, { expected: /400/ }));

  test('a filing whose answer is lost is repeated with the same key, and the next one has another', () => visit([], '/new', async (page, played) => {
    const keys = [];
    played.refuse = ({ method, headers }) => {
      if (method !== 'POST') return undefined;
      keys.push(headers['idempotency-key']);
      return keys.length === 1 ? { status: 503, code: 'jobs_unavailable', detail: 'The store of jobs does not answer.' } : undefined;
    };
    await list(page).fill('patient_id\nP1\n');
    await button(page, 'Dry run').click();
    await page.getByText('The store of jobs does not answer.').waitFor();
    await button(page, 'Dry run').click();
    await page.getByRole('heading', { name: /^Batch of/ }).waitFor();
    await page.getByText('orthanca, dry run').waitFor();
    await page.goBack();
    assert.equal(await list(page).inputValue(), 'patient_id\nP1\n');
    await page.getByLabel('Destination (AE title)').fill('ORTHANCB');
    await button(page, 'File batch').click();
    await page.getByText('orthanca to ORTHANCB').waitFor();
    assert.match(keys[0], /^[0-9a-f]{32}$/);
    assert.equal(keys[1], keys[0]);
    assert.notEqual(keys[2], keys[0]);
    assert.deepEqual(played.filed.map(({ parameters }) => parameters.dry_run), ['true', undefined]);
  }, { expected: /503/ }));
});

describe('a batch', () => {
  test('follows its events, goes on after the last one, and says that it ends', () => visit([running()], `/${running().job}`, async (page, played) => {
    const [job] = played.jobs;
    const record = () => ({ ...job, items: undefined, counts: countsOf(job.items) });
    await page.getByText('5 of 120 items done').waitFor();
    job.items[7] = itemOf(8);
    played.send('item', job.items[7], 41);
    played.send('job', record());
    await page.getByText('6 of 120 items done').waitFor();
    await page.getByRole('row', { name: /ACC-00008 moved 1 study, 32 images/ }).waitFor();
    played.refuse = (request, path) => (path.endsWith('/events') ? { status: 503, code: 'jobs_unavailable', detail: 'The store of jobs does not answer.' } : undefined);
    played.cut();
    await page.getByText('The gateway does not answer at the moment.').waitFor();
    await assertAccessible(page);
    played.refuse = () => undefined;
    await page.getByText('The gateway does not answer at the moment.').waitFor({ state: 'detached' });
    assert.deepEqual(played.streamed.slice(0, 2), ['', '41']);
    job.items = job.items.map(({ item, state }) => (['queued', 'running', 'waiting'].includes(state) ? itemOf(item) : itemOf(item, state)));
    job.state = 'finished';
    played.send('finished', record(), 42);
    await page.getByText('Not everything was moved: 117 of 120 items.').waitFor();
    await status(page, 'finished').waitFor();
  }, { expected: /503|ERR_INCOMPLETE_CHUNKED_ENCODING/ }));

  test('10,000 items come in pages, and a state selects its own', () => visit([large()], `/${large().job}`, async (page) => {
    await page.getByText('1 to 50 of 10,000').waitFor();
    assert.equal(await page.locator('tbody tr').count(), 50);
    await button(page, 'Last').click();
    await page.getByText('9,951 to 10,000 of 10,000').waitFor();
    await page.getByText('ACC-10000').waitFor();
    await button(page, 'Previous').click();
    await page.getByText('9,901 to 9,950 of 10,000').waitFor();
    await button(page, 'failed 104').click();
    await page.getByText('1 to 50 of 104').waitFor();
    assert.equal(await page.locator('tbody tr', { hasText: 'moved' }).count(), 0);
    await assertAccessible(page);
  }));

  test('1,000 events a second are drawn', () => visit([jobOf(1, { state: 'running', finished_at: null }, Array.from({ length: 10_000 }, (_, i) => itemOf(i + 1, 'queued')))],
    `/${jobOf(1).job}`, async (page, played) => {
      const [job] = played.jobs;
      await page.getByText('1 to 50 of 10,000').waitFor();
      for (let i = 0; i < 2000; i++) {
        job.items[i] = itemOf(i + 1);
        played.send('item', job.items[i], i + 1);
        if (i % 100 === 99) await new Promise((passed) => setTimeout(passed, 100));
      }
      played.send('job', { ...job, items: undefined, counts: countsOf(job.items) });
      await page.getByText('2,000 of 10,000 items done').waitFor();
      await page.getByRole('row', { name: /ACC-00050 moved/ }).waitFor();
    }));

  test('is cancelled, tried again and deleted, after a question where it matters', () => visit([running()], `/${running().job}`, async (page, played) => {
    await button(page, 'Cancel batch').click();
    const dialog = page.getByRole('dialog');
    await assertAccessible(page);
    await button(dialog, 'Let it run').click();
    await dialog.waitFor({ state: 'detached' });
    assert.deepEqual(played.actions, []);
    await button(page, 'Cancel batch').click();
    await button(dialog, 'Cancel batch').click();
    await page.getByText('Cancelled: 2 of 120 items had been moved.').waitFor();
    await button(page, 'Try 117 items again').click();
    await status(page, 'queued').waitFor();
    await button(page, 'Cancel batch').click();
    await button(dialog, 'Cancel batch').click();
    await button(page, 'Delete').click();
    await button(dialog, 'Delete').click();
    await page.getByText('There are no batches yet.').waitFor();
    assert.deepEqual(played.actions, ['POST cancel', 'POST retry', 'POST cancel', 'DELETE']);
  }));

  test('its result is a CSV file whose name has no patient data', () => visit([finished()], `/${finished().job}`, async (page) => {
    const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'Result as CSV').click()]);
    assert.equal(download.suggestedFilename(), `batch-${finished().job}.csv`);
    assert.match(await readFile(await download.path(), 'utf8'), /^item,accession_number,state\n1,ACC-00001,moved\n/);
  }));

  test('of somebody else is not found', () => visit([], '/0197c1f0ffffffff', async (page) => {
    await page.getByText('This caller has no such job, or it is no longer kept.').waitFor();
    await assertAccessible(page);
  }, { expected: /404/ }));
});

test('the gateway does what the page asks for', async () => {
  const { page, faults, close } = await open(browser, gateway.url, '/#batches/new');
  await page.getByRole('heading', { name: 'New batch' }).waitFor();
  await list(page).fill('study_instance_uid;accession_number\n1.2.x;\n\n;ACC-1004\n;ACC-1004\n');
  await page.getByLabel('Destination (AE title)').fill('ORTHANCB');
  await button(page, 'File batch').click();
  await page.getByText(/^Line 2, Study Instance UID: must be a DICOM unique identifier/).waitFor();
  await page.getByText('Line 5: is the same as line 4').waitFor();
  await list(page).fill('study_instance_uid;accession_number\n1.2.3.4;\n\n;ACC-1004\n');
  await page.getByText('When, and how urgent').click();
  await page.getByLabel('Not before').fill(new Date(Date.now() + 86_400_000).toISOString().slice(0, 16));
  await page.getByLabel('Each day from').fill('20:00');
  await page.getByLabel('until', { exact: true }).fill('06:00');
  await button(page, 'File batch').click();
  await button(page, 'waiting 2').waitFor();
  await page.getByText('20:00-06:00').waitFor();
  await button(page, 'Cancel batch').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel batch' }).click();
  await page.getByText('Cancelled: 0 of 2 items had been moved.').waitFor();
  await button(page, 'Try 2 items again').click();
  await button(page, 'waiting 2').waitFor();
  await button(page, 'Cancel batch').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel batch' }).click();
  await page.getByText('Cancelled: 0 of 2 items had been moved.').waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'Result as CSV').click()]);
  const result = await readFile(await download.path(), 'utf8');
  assert.match(result, /^item,.*\r\n1,,,1\.2\.3\.4,cancelled,.*\r\n2,,ACC-1004,,cancelled,/);
  await page.getByRole('link', { name: 'All batches' }).click();
  await page.getByRole('row', { name: /cancelled/ }).getByRole('link').click();
  await button(page, 'Delete').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('There are no batches yet.').waitFor();

  // The result of a batch is a list again.
  await page.getByRole('link', { name: 'New batch' }).click();
  await list(page).fill(result);
  await button(page, 'File batch').click();
  await page.getByText('Not everything was moved: 1 of 2 items.').waitFor();
  await button(page, 'no study matched 1').click();
  await page.getByRole('row', { name: /1\.2\.3\.4 no study matched/ }).waitFor();
  await button(page, 'moved 1').click();
  await page.getByRole('row', { name: /ACC-1004 moved 1 study/ }).waitFor();
  const harmless = /\/jobs\/\S+ net::ERR_ABORTED$|^400: \S+\/jobs\?|status of 400/;
  assert.deepEqual(faults.filter((fault) => !harmless.test(fault)), []);
  await close();
});

// The images of OHIF, with the server of samples/ohif: a CT series of 500 slices of real PACS, and the demonstration.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { serve } from '../../samples/ohif/server.mjs';
import * as archives from './archives.mjs';
import { launch, open, shoot } from './browser.mjs';
import { start } from './gateway.mjs';
import { viewer } from './ohif.mjs';
import { flat, matches, openFromList, shown, until, windowed } from './viewport.mjs';

let archive, gateway, ohif, browser;

before(async () => {
  archive = await archives.start();
  const { pacsFile: PACS_FILE, folder } = archive;
  gateway = await start({ PACS_FILE, CACHE_SIZE: '1GiB', CACHE_DIR: folder, SPOOL_DIR: folder });
  ohif = await serve(await viewer(), { gateway: gateway.url });
  browser = await launch();
}, { timeout: 120_000 });

after(async () => {
  await browser?.close();
  await ohif?.stop();
  await gateway?.stop();
  await archive?.stop();
});

async function openList(pacs) {
  const opened = await open(browser, ohif.url, `/?datasources=${pacs}`, { width: 1400 });
  opened.page.setDefaultTimeout(30_000);
  return opened;
}

// showsSlice waits until the viewport shows the slice of its index, with a window, and returns its index.
async function showsSlice(page, window, index) {
  return until(async () => {
    const { instance, index: at } = await shown(page, []);
    assert.ok(instance, 'no image');
    if (index !== undefined) assert.equal(at, index);
    const pixels = await archive.pixels(instance);
    const places = flat(pixels, 512, 512);
    assert.ok(places.length > 300);
    const { colours, instance: still } = await shown(page, places);
    assert.equal(still, instance);
    matches(colours, places.map(([column, row]) => windowed(pixels[512 * row + column] - 1024, window)), 2);
    return at;
  });
}

// windowOf reads the window that the viewport names.
async function windowOf(page) {
  const text = await page.locator('body').innerText();
  const [, width, centre] = text.match(/W:\s*(-?\d+)\s*L:\s*(-?\d+)/);
  return { width: Number(width), centre: Number(centre) };
}

const softTissue = { centre: 40, width: 400 };

describe('a CT series of 500 slices in OHIF', () => {
  for (const pacs of ['qrscp', 'orthanc']) {
    test(`from ${pacs}: opens from the list, scrolls to its end and changes its window, with one C-GET`, async () => {
      const { page, faults, close } = await openList(pacs);
      await (await openFromList(page, 'VOLUME, VERA')).click();
      assert.equal(await showsSlice(page, softTissue), 0);
      await shoot(page, `ohif-volume-${pacs}`);

      const canvas = page.locator('canvas.cornerstone-canvas').first();
      await canvas.hover();
      for (let i = 1; i <= 3; i++) {
        await page.mouse.wheel(0, 100);
        await showsSlice(page, softTissue, i);
      }
      await page.keyboard.press('End');
      await showsSlice(page, softTissue, archives.slices - 1);
      await page.mouse.wheel(0, 100);
      await page.mouse.wheel(0, -100);
      await showsSlice(page, softTissue, archives.slices - 2);
      await page.mouse.wheel(0, 100);
      await showsSlice(page, softTissue, archives.slices - 1);

      const { x, y, width, height } = await canvas.boundingBox();
      await page.mouse.move(x + width / 2, y + height / 2);
      await page.mouse.down();
      await page.mouse.move(x + width / 2 + 60, y + height / 2 + 20, { steps: 3 });
      await page.mouse.up();
      const changed = await until(async () => {
        const window = await windowOf(page);
        assert.notDeepEqual(window, softTissue);
        return window;
      });
      await showsSlice(page, changed, archives.slices - 1);
      await shoot(page, `ohif-window-${pacs}`);
      assert.deepEqual(faults, []);
      await close();
      const { counts } = archive.pacs.find((p) => p.name === pacs);
      assert.equal(counts['C-GET'], 1, JSON.stringify(counts));
      assert.equal(counts['C-MOVE'], undefined);
    });
  }

  test('opens as multiplanar reconstruction', async () => {
    const { page, faults, close } = await open(browser, ohif.url, `/viewer/qrscp?StudyInstanceUIDs=${archive.study}`, { width: 1400 });
    page.setDefaultTimeout(30_000);
    await showsSlice(page, softTissue);
    await page.locator('[data-cy="Layout"]').click();
    await page.getByText('MPR', { exact: true }).first().click();
    const [row, column] = [255, 256]; // through the middle
    const places = { axial: [], sagittal: [], coronal: [] };
    const greys = { axial: [], sagittal: [], coronal: [] };
    const add = (plane, pixels, [x, y, z]) => {
      places[plane].push([x, y, z]);
      greys[plane].push(windowed(pixels[512 * y + x] - 1024, softTissue));
    };
    const [under, middle, over] = await Promise.all([248, 249, 250].map(archive.slice));
    for (const [x, y] of flat(middle, 512, 512)) {
      if ([under, over].every((other) => other[512 * y + x] === middle[512 * y + x])) add('axial', middle, [x, y, 249]);
    }
    for (let z = 6; z < archives.slices; z += 16) {
      const [below, pixels, above] = await Promise.all([z - 3, z, z + 3].map(archive.slice));
      const even = (x, y) => [-3, 3].every((d) => [pixels[512 * y + x + d], pixels[512 * (y + d) + x]].every((v) => v === pixels[512 * y + x]))
        && [below, above].every((other) => other[512 * y + x] === pixels[512 * y + x]);
      for (let i = 16; i < 500; i += 12) {
        if (even(i, row)) add('coronal', pixels, [i, row, z]);
        if (even(column, i)) add('sagittal', pixels, [column, i, z]);
      }
    }
    await until(async () => {
      for (const [n, plane] of ['axial', 'sagittal', 'coronal'].entries()) {
        assert.ok(places[plane].length > 300, plane);
        matches((await shown(page, places[plane], n)).colours, greys[plane], 3);
      }
    }, 120_000); // Chromium draws the volume without a graphics card
    await shoot(page, 'ohif-mpr');
    assert.deepEqual(faults, []);
    await close();
  });
});

// frames resolves to the stored values of frames of an image of the demonstration, as Explicit VR Little Endian.
async function frames(study, series, instance, list) {
  const path = `studies/${study}/series/${series}/instances/${instance}/frames/${list}`;
  const response = await fetch(`${gateway.url}/dicomweb/orthanca/${path}`, { headers: { Accept: 'multipart/related; type="application/octet-stream"' } });
  assert.equal(response.status, 200);
  const body = Buffer.from(await response.arrayBuffer());
  const delimiter = Buffer.from(`\r\n--${response.headers.get('content-type').match(/boundary="?([^";]+)/)[1]}`);
  const from = body.indexOf('\r\n\r\n') + 4;
  return body.subarray(from, body.indexOf(delimiter, from));
}

describe('images of the demonstration in OHIF', () => {
  for (const { accession, thumbnail, what, samples, spread, tolerance, last } of [
    { accession: 'ACC-5003', what: 'CT', samples: 1, spread: 14, tolerance: 12 },
    { accession: 'ACC-5002', thumbnail: 'COLOUR DOPPLER', what: 'colour', samples: 3, spread: 3, tolerance: 6 },
    { accession: 'ACC-5002', thumbnail: 'CLIP', what: 'multi-frame', samples: 1, spread: 3, tolerance: 6, last: true },
    { accession: 'ACC-5001', what: 'JPEG', samples: 3, spread: 6, tolerance: 8 },
  ]) {
    test(`${what}: shows its pixels`, async () => {
      const [found] = await (await fetch(`${gateway.url}/dicomweb/orthanca/studies?AccessionNumber=${accession}`)).json();
      const study = found['0020000D'].Value[0];
      const { page, faults, close } = await open(browser, ohif.url, `/viewer/orthanca?StudyInstanceUIDs=${study}`, { width: 1400 });
      page.setDefaultTimeout(30_000);
      await until(async () => assert.ok((await shown(page, [])).instance));
      if (thumbnail) await page.getByText(thumbnail).first().dblclick();
      if (last) {
        await until(async () => assert.ok((await shown(page, [])).images > 1));
        await page.keyboard.press('End');
      }
      await until(async () => {
        const { instance, frame, index, images } = await shown(page, []);
        if (last) assert.equal(index, images - 1);
        const [metadata] = await (await fetch(`${gateway.url}/dicomweb/orthanca/studies/${study}/metadata`)).json()
          .then((all) => all.filter((one) => one['00080018'].Value[0] === instance));
        const value = (tag) => metadata[tag]?.Value?.[0];
        if (thumbnail) assert.equal(value('0008103E'), thumbnail);
        if (last) assert.equal(frame, value('00280008'));
        const [rows, columns] = [value('00280010'), value('00280011')];
        let pixels = await frames(study, value('0020000E'), instance, frame);
        if (value('00280100') === 16) pixels = new Uint16Array(pixels.buffer.slice(pixels.byteOffset, pixels.byteOffset + pixels.length));
        const places = flat(pixels, columns, rows, { samples, spread, around: 2, step: 3 });
        assert.ok(places.length > 100, `${places.length} places`);
        const { colours } = await shown(page, places);
        matches(colours, places.map(([column, row]) => {
          const at = (row * columns + column) * samples;
          return samples === 3 ? [...pixels.subarray(at, at + 3)] : [value('00280100') === 16 ? windowed(pixels[at] - 1024, softTissue) : pixels[at]];
        }), tolerance);
      });
      await shoot(page, `ohif-${what.toLowerCase()}`);
      assert.deepEqual(faults, []);
      await close();
    });
  }
});

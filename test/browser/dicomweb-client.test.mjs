// dicomweb-client, the library of OHIF and of many others, calls QIDO-RS from a page of another origin.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { launch, open } from './browser.mjs';
import { start } from './gateway.mjs';

const library = new URL('node_modules/dicomweb-client/build/dicomweb-client.js', import.meta.url);

let site, gateway, browser, opened;

before(async () => {
  const script = await readFile(library);
  site = http.createServer((request, response) => {
    if (request.url === '/library.js') response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(script);
    else response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><link rel="icon" href="data:,"><script src="/library.js"></script>');
  }).listen(0, '127.0.0.1');
  await once(site, 'listening');
  const origin = `http://127.0.0.1:${site.address().port}`;
  gateway = await start({ CORS_ALLOWED_ORIGINS: origin });
  browser = await launch();
  opened = await open(browser, origin, '/', { also: [gateway.url] });
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
  site?.close();
  site?.closeAllConnections();
});

// call returns what a method of the client returns, or { status } of its error.
function call(method, options) {
  return opened.page.evaluate(async ([url, method, options]) => {
    const client = new DICOMwebClient.api.DICOMwebClient({ url, verbose: false });
    try {
      return await client[method](options);
    } catch (error) {
      return { status: error.status ?? error.message };
    }
  }, [`${gateway.url}/dicomweb/orthanca`, method, options]);
}

const value = (match, tag) => match[tag]?.Value?.[0];
const accessions = (matches) => matches.map((match) => value(match, '00080050'));

describe('dicomweb-client', () => {
  test('finds all studies, newest first', async () => {
    const studies = await call('searchForStudies', {});
    assert.equal(studies.length, 13);
    assert.deepEqual(accessions(studies).slice(0, 3), ['ACC-1007', 'ACC-1006', 'ACC-5003']);
    const name = value(studies.find((study) => value(study, '00080050') === 'ACC-4001'), '00100010');
    assert.deepEqual(name, { Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎', Phonetic: 'やまだ^たろう' });
    assert.deepEqual(opened.faults, []);
  });

  test('finds studies by their attributes', async () => {
    for (const [queryParams, found] of [
      [{ PatientID: '1112223333', StudyDate: '20240101-20251231' }, ['ACC-1007', 'ACC-1006', 'ACC-1005']],
      [{ PatientName: 'SAMPLE*', ModalitiesInStudy: 'CT,XC' }, ['ACC-5003', 'ACC-5001']],
      [{ '00080050': 'ACC-100?', limit: 2, offset: 3 }, ['ACC-1004', 'ACC-1003']],
      [{ StudyDescription: '*abdomen*', includefield: 'StudyDescription', fuzzymatching: true }, ['ACC-1007', 'ACC-2001', 'ACC-1004']],
      [{ PatientID: 'NOBODY' }, []],
    ]) assert.deepEqual(accessions(await call('searchForStudies', { queryParams })), found, JSON.stringify(queryParams));
    assert.deepEqual(opened.faults, []);
  });

  test('finds the series and the instances of a study', async () => {
    const [study] = await call('searchForStudies', { queryParams: { AccessionNumber: 'ACC-5002' } });
    const studyInstanceUID = value(study, '0020000D');
    const series = await call('searchForSeries', { studyInstanceUID });
    assert.deepEqual(series.map((s) => value(s, '0008103E')), ['COLOUR DOPPLER', 'CLIP']);
    assert.deepEqual(series.map((s) => value(s, '00201209')), [1, 1]);
    const requested = series.map((s) => value(value(s, '00400275'), '00401001'));
    assert.deepEqual(requested, ['RP-5002', 'RP-5002']);

    const seriesInstanceUID = value(series[1], '0020000E');
    const instances = await call('searchForInstances', { studyInstanceUID, seriesInstanceUID });
    assert.equal(instances.length, 1);
    assert.equal(value(instances[0], '00080016'), '1.2.840.10008.5.1.4.1.1.3.1');
    assert.equal(value(instances[0], '00280008'), 20);
    assert.equal((await call('searchForInstances', { studyInstanceUID })).length, 2);
    assert.deepEqual(opened.faults, []);
  });

  test('retrieves a study, its series and its instances, with frames, metadata and images', async () => {
    const sizes = await opened.page.evaluate(async (url) => {
      const client = new DICOMwebClient.api.DICOMwebClient({ url, verbose: false });
      const [study] = await client.searchForStudies({ queryParams: { AccessionNumber: 'ACC-5002' } });
      const studyInstanceUID = study['0020000D'].Value[0];
      const metadata = await client.retrieveStudyMetadata({ studyInstanceUID });
      const clip = metadata.find((instance) => instance['00280008']?.Value?.[0] === 20);
      const one = { studyInstanceUID, seriesInstanceUID: clip['0020000E'].Value[0], sopInstanceUID: clip['00080018'].Value[0] };
      const prefix = (file) => String.fromCharCode(...new Uint8Array(file, 128, 4));
      const instances = await client.retrieveStudy({ studyInstanceUID });
      const series = await client.retrieveSeries(one);
      const frames = await client.retrieveInstanceFrames({ ...one, frameNumbers: [1, 20] });
      const image = (file) => Array.from(new Uint8Array([file].flat()[0])).slice(0, 2);
      const pixels = await client.retrieveBulkData({ BulkDataURI: clip['7FE00010'].BulkDataURI });
      return {
        metadata: metadata.length, instances: instances.map(prefix), series: series.map(prefix), instance: prefix(await client.retrieveInstance(one)),
        frames: frames.map((frame) => frame.byteLength === frames[0].byteLength), bulk: pixels[0].byteLength === 20 * frames[0].byteLength,
        rendered: image(await client.retrieveInstanceRendered(one)), thumbnail: image(await client.retrieveInstanceThumbnail(one)),
      };
    }, `${gateway.url}/dicomweb/orthanca`);
    assert.deepEqual(sizes, {
      metadata: 2, instances: ['DICM', 'DICM'], series: ['DICM'], instance: 'DICM', frames: [true, true], bulk: true,
      rendered: [0xff, 0xd8], thumbnail: [0xff, 0xd8],
    });
    assert.deepEqual(opened.faults, []);
  });

  test('sees why a search is refused', async () => {
    assert.deepEqual(await call('searchForStudies', { queryParams: { StudyDate: 'yesterday' } }), { status: 400 });
    assert.deepEqual(await call('searchForSeries', { studyInstanceUID: 'not-a-uid' }), { status: 400 });
  });
});

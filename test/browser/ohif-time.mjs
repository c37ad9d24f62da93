// Measures how long OHIF needs from the click on a study of 500 slices to its first image: through the gateway, from dcmqrscp and Orthanc, and
// from Orthanc's own DICOMweb plugin. node ohif-time.mjs [ROUNDS]; PLUGIN is the file of the plugin.
import { serve } from '../../samples/ohif/server.mjs';
import * as archives from './archives.mjs';
import { launch, open } from './browser.mjs';
import { start } from './gateway.mjs';
import { viewer } from './ohif.mjs';
import { openFromList } from './viewport.mjs';

const rounds = Number(process.argv[2] ?? 5);
const plugin = process.env.PLUGIN ?? '/usr/share/orthanc/plugins/libOrthancDicomWeb.so';

const archive = await archives.start({ plugins: [plugin], counted: false });
const browser = await launch();

// first opens the study in a new profile and resolves to the milliseconds from the click: to the answer of the metadata, to the first frame,
// and to the image on the canvas.
async function first(url, pacs) {
  let metadata, frame, began;
  const { page, faults, close } = await open(browser, url, `/?datasources=${pacs}`, { width: 1400 });
  page.setDefaultTimeout(60_000);
  page.on('requestfinished', (request) => {
    if (request.url().includes('/metadata')) metadata ??= Date.now() - began;
    if (request.url().includes('/frames/')) frame ??= Date.now() - began;
  });
  const item = await openFromList(page, 'VOLUME, VERA');
  await page.evaluate(() => {
    window.image = new Promise((resolve) => {
      addEventListener('click', () => {
        const clicked = performance.now();
        const look = () => {
          const canvas = document.querySelector('canvas.cornerstone-canvas');
          const middle = canvas?.getContext('2d').getImageData(Math.floor(canvas.width / 2), Math.floor(canvas.height * 0.4), 1, 1).data;
          if (middle?.[0] > 0) resolve(performance.now() - clicked);
          else requestAnimationFrame(look);
        };
        look();
      }, { capture: true, once: true });
    });
  });
  began = Date.now();
  await item.click();
  const image = await page.evaluate(() => window.image);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  await close();
  return { metadata, frame, image };
}

// cold runs a gateway with an empty cache, whose viewer is then measured.
async function cold(pacs) {
  const { pacsFile: PACS_FILE, folder } = archive;
  const gateway = await start({ PACS_FILE, CACHE_SIZE: '1GiB', CACHE_DIR: folder, SPOOL_DIR: folder });
  const ohif = await serve(await viewer(), { gateway: gateway.url });
  try {
    return await first(ohif.url, pacs);
  } finally {
    await ohif.stop();
    await gateway.stop();
  }
}

async function beside() {
  const gateway = `http://127.0.0.1:${archive.httpPort}`;
  const ohif = await serve(await viewer(), { gateway, pacs: () => [{ name: 'plugin' }] });
  try {
    return await first(ohif.url, 'plugin');
  } finally {
    await ohif.stop();
  }
}

const ways = {
  'gateway, dcmqrscp': () => cold('qrscp'),
  'gateway, Orthanc': () => cold('orthanc'),
  "Orthanc's DICOMweb plugin": beside,
};
const figures = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
try {
  // In turns, so that what else the machine does concerns all.
  for (let round = 0; round <= rounds; round++) {
    for (const [name, way] of Object.entries(ways)) {
      const figure = await way();
      if (round > 0) figures[name].push(figure); // the first warms up the files of the PACS and of OHIF
    }
  }
} finally {
  await browser.close();
  await archive.stop();
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
const reference = figures["Orthanc's DICOMweb plugin"];
console.log('| 500 CT images (262 MB) in OHIF | Metadata | First frame | First image | Compared with the plugin |\n|---|---|---|---|---|');
for (const [name, all] of Object.entries(figures)) {
  const of = (what) => seconds(median(all.map((figure) => figure[what])));
  const ratio = median(all.map((figure, i) => figure.image / reference[i].image)).toFixed(2);
  console.log(`| ${name} | ${of('metadata')} | ${of('frame')} | ${of('image')} | ${all === reference ? '' : `${ratio} times as long`} |`);
}
